"""What ``Agent.run_stream`` and ``Agent.arun_stream`` return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ._drive import adrive, drive

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._run import Run
    from .types import Message, Timing, Turn, Usage

__all__ = ["AsyncRunStream", "RunStream"]

T = TypeVar("T")


class _Told:
    """What a stream tells about its run, while it runs and after."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def state(self) -> str:
        """How the run stands.

        ``"pending"`` (nothing was sent), ``"streaming"``, ``"complete"``, ``"cancelled"`` (the reader left), or how it
        failed: ``"truncated"``, ``"rejected"`` (by status), ``"error"`` (by the provider, inside the stream),
        ``"transport"``, ``"timeout"``, ``"protocol"``, ``"failed"`` (an error that was not the stream's).
        """
        return self._run.state

    @property
    def text(self) -> str:
        """The text that was taken from the model so far, of all turns; refusals, which are text for the user, too."""
        return self._run.text

    @property
    def final(self) -> str:
        """The answer: the text of the last turn that had any, or an autonomous run's summary.

        A turn that only refused has its refusal for its text, and one that handed the task on has the other agent's
        answer. Where no turn said anything, it is what the last tools returned. Empty until the run has ended.
        """
        return self._run.outcome.final

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said in the run, the task first, as OpenAI writes messages. Empty until the run has ended."""
        return self._run.outcome.messages

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the model said in each turn, the current one as far as it was taken."""
        return self._run.turns

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns together; None where the provider told none."""
        return self._run.usage

    @property
    def timing(self) -> Timing | None:
        """What the stamps of the current turn say, or of the last; None before the first."""
        timings = self._run.timings
        return timings[-1] if timings else None

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What the stamps of each turn say."""
        return self._run.timings

    def steer(self, message: str) -> None:
        """Adds a message of the user before the next turn. May be called from any thread.

        Args:
            message: What the model is told. If it was about to stop, it gets another turn, within ``max_loops``.
        """
        self._run.inbox.append(message)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, {len(self.text)} characters>"


class RunStream(_Told, Iterator[T], Generic[T]):
    """The tokens of a run (or its events), in order, each as soon as it arrived.

    Nothing is sent before the first token is asked for. ``close()``, the end of a ``with`` block and dropping the
    stream close its connection at once; so does leaving a loop over a stream that nothing else holds, while one that
    is held can be read on. Tokens that arrived before an error come before the error.

    Async tools run on an event loop of the run's own, so what they keep, such as a client, is good for all its turns.
    Its thread begins with the first tool, and is gone when the stream has ended.

    Raises:
        StreamError: From the iteration: the run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the first token: the request could not be built.
    """

    __slots__ = ("_items",)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._items = cast("Iterator[T]", drive(run))

    def __iter__(self) -> Iterator[T]:
        # The generator itself: a `for` loop then pays nothing for this object, token by token.
        self._run.check_open()
        return self._items

    def __next__(self) -> T:
        self._run.check_open()
        return next(self._items)

    def close(self) -> None:
        """Closes the stream and its connection. May be called from any thread, and again.

        A loop that is reading gets ``StreamClosedError``. Closing a stream that has been read to its end does nothing.
        """
        self._run.close()

    def __enter__(self) -> Self:
        self._run.check_open()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncRunStream(_Told, AsyncIterator[T], Generic[T]):
    """The tokens of a run (or its events), in order, each as soon as it arrived; for ``async for``.

    There is no thread behind it, however many there are. Cancelling the task that reads closes the connection at
    once. Otherwise it behaves as :class:`RunStream` does.

    Raises:
        StreamError: From the iteration: the run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the first token: the request could not be built.
    """

    __slots__ = ("_items",)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._items = cast("AsyncIterator[T]", adrive(run))

    def __aiter__(self) -> AsyncIterator[T]:
        self._run.check_open()
        return self._items

    async def __anext__(self) -> T:
        self._run.check_open()
        return await anext(self._items)

    async def aclose(self) -> None:
        """Closes the stream, and returns when its connection is gone. May be called from any task, and again.

        A loop that is reading gets ``StreamClosedError``. Closing a stream that has been read to its end does nothing.
        """
        self._run.close()
        await self._run.wait_closed()

    async def __aenter__(self) -> Self:
        self._run.check_open()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()
