"""What ``Agent.run_stream`` and ``Agent.arun_stream`` return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from typing_extensions import Self

from ._drive import Run, atokens, tokens
from .errors import StreamClosedError

if TYPE_CHECKING:
    from types import TracebackType

    from .types import Timing, Turn, Usage

__all__ = ["AsyncRunStream", "RunStream"]


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
        """The text that was taken from the model so far, of all turns."""
        return "".join(turn.text for turn in self._run.turns)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the model said in each turn, the current one as far as it was taken."""
        return self._run.turns

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns together; None where the provider told none."""
        told = [turn.usage for turn in self._run.turns if turn.usage is not None]
        return sum(told[1:], told[0]) if told else None

    @property
    def timing(self) -> Timing | None:
        """What the stamps of the current turn say, or of the last; None before the first."""
        timings = self._run.timings
        return timings[-1] if timings else None

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What the stamps of each turn say."""
        return self._run.timings

    def _check_open(self) -> None:
        if self._run.closed:
            raise StreamClosedError("the stream was closed by its reader: start a new run to read more")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, {len(self.text)} characters>"


class RunStream(_Told, Iterator[str]):
    """The tokens of a run, in order, each as soon as it arrived.

    Nothing is sent before the first token is asked for. Leaving the loop, ``close()``, the end of a ``with`` block and
    dropping the stream all close its connection at once. Tokens that arrived before an error come before the error.

    Raises:
        StreamError: From the iteration: the run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the first token: the request could not be built.
    """

    __slots__ = ("_tokens",)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._tokens = tokens(run)

    def __iter__(self) -> Iterator[str]:
        # The generator itself: a `for` loop then pays nothing for this object, token by token.
        self._check_open()
        return self._tokens

    def __next__(self) -> str:
        self._check_open()
        return next(self._tokens)

    def close(self) -> None:
        """Closes the stream and its connection. May be called from any thread, and again.

        A loop that is reading gets ``StreamClosedError``. Closing a stream that has been read to its end does nothing.
        """
        self._run.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncRunStream(_Told, AsyncIterator[str]):
    """The tokens of a run, in order, each as soon as it arrived; for ``async for``.

    There is no thread behind it, however many there are. Cancelling the task that reads closes the connection at
    once. Otherwise it behaves as :class:`RunStream` does.

    Raises:
        StreamError: From the iteration: the run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the first token: the request could not be built.
    """

    __slots__ = ("_tokens",)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._tokens = atokens(run)

    def __aiter__(self) -> AsyncIterator[str]:
        self._check_open()
        return self._tokens

    async def __anext__(self) -> str:
        self._check_open()
        return await anext(self._tokens)

    async def aclose(self) -> None:
        """Closes the stream, and returns when its connection is gone. May be called from any task, and again.

        A loop that is reading gets ``StreamClosedError``. Closing a stream that has been read to its end does nothing.
        """
        self._run.close()
        await self._run.wait_closed()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()
