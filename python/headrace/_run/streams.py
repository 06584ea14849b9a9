"""What the streams of agents and of workflows have in common: their properties, and how they are read and closed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from headrace.types import Message, Timing, Turn, Usage

    from .output import Output

__all__ = ["AsyncStream", "AsyncTokenIterator", "Stream", "StreamInfo", "TokenIterator"]

T = TypeVar("T")


class Running(Protocol):
    """What a stream needs of its run, which is an agent's or a workflow's."""

    @property
    def state(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def final(self) -> str: ...
    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def turns(self) -> tuple[Turn, ...]: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def cost(self) -> float | None: ...
    @property
    def timings(self) -> tuple[Timing, ...]: ...
    @property
    def output(self) -> Output: ...

    def check_open(self) -> None:
        """Raises ``StreamClosedError`` if the stream was closed."""

    def close(self) -> None:
        """Closes all connections."""

    def read_cancelled(self) -> None:
        """A read was cancelled while tokens were awaited."""

    def read_again(self) -> None:
        """The stream is read again after that."""


R = TypeVar("R", bound=Running)
T_co = TypeVar("T_co", covariant=True)


class TokenIterator(Protocol[T_co]):
    """``_native.TokenIterator``, as an iterator of what the stream yields."""

    def __iter__(self) -> Iterator[T_co]: ...
    def __next__(self) -> T_co: ...
    def discard(self) -> None:
        """Drops what was taken and not yielded yet."""


class AsyncTokenIterator(Protocol[T_co]):
    """``_native.AsyncTokenIterator``, as an async iterator of what the stream yields."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...
    def __anext__(self) -> Awaitable[T_co]: ...
    def discard(self) -> None:
        """Drops what was taken and not yielded yet."""


class StreamInfo(Generic[R]):
    """What is known of a stream's run, during the run and afterwards."""

    __slots__ = ("_run",)

    def __init__(self, run: R) -> None:
        self._run = run

    @property
    def state(self) -> str:
        """The state of the run.

        ``"pending"`` (no request was sent yet), ``"streaming"``, ``"complete"``, ``"cancelled"`` (the caller left), or
        the way it failed: ``"truncated"``, ``"rejected"`` (by HTTP status), ``"error"`` (an error that the provider
        sent in the stream), ``"transport"``, ``"timeout"``, ``"protocol"``, ``"failed"`` (any other error).

        The state of a failed workflow is that of the agent that failed. With ``on_error="continue"`` a workflow is
        complete if any agent has answered; the errors of the others are in ``errors``.
        """
        return self._run.state

    @property
    def text(self) -> str:
        """The text of all turns that was read so far, refusals included.

        For a workflow it is sorted by agent, also where the tokens of parallel agents were interleaved.
        """
        return self._run.text

    @property
    def final(self) -> str:
        """The answer: the text of the last turn that has text, or the summary of an autonomous run.

        For a turn that is only a refusal, it is the refusal; for a handoff, the answer of the other agent. If no turn
        has text, it is what the last tools returned. Empty until the run has ended.

        For a workflow it is the answer of the last step: of its agent, or of its agents, each under its name.
        """
        return self._run.final

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of the run in OpenAI's format, the task first. Empty until the run has ended.

        For a workflow: the task and all answers so far, with the agents' names as roles.
        """
        return self._run.messages

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, the current one as far as it was read; for a workflow agent after agent."""
        return self._run.turns

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns together, and of all agents; None if none is known yet.

        If a provider sends none, they are estimated from the length of the text, and ``estimated`` is true.
        """
        return self._run.usage

    @property
    def cost(self) -> float | None:
        """The cost of all turns together in USD, from litellm's price list, or as the provider sent it.

        None if a price or a count is not known; never 0.0 instead. Estimated counts give an estimated cost.
        """
        return self._run.cost

    @property
    def timings(self) -> tuple[Timing, ...]:
        """The timing of each turn; for a workflow agent after agent."""
        return self._run.timings

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, {len(self.text)} characters>"


class Stream(StreamInfo[R], Iterator[T], Generic[R, T]):
    """A stream that is read by ``for``.

    Args:
        run: The run.
        items: What the stream yields.
    """

    __slots__ = ("_items",)

    def __init__(self, run: R, items: TokenIterator[T]) -> None:
        super().__init__(run)
        self._items = items

    def __iter__(self) -> Iterator[T]:
        # The native iterator itself, so that a `for` loop does not call `__next__` below for each token.
        self._run.check_open()
        return self._items

    def __next__(self) -> T:
        self._run.check_open()
        return next(self._items)

    def close(self) -> None:
        """Closes the stream and all its connections. May be called from any thread, and repeatedly.

        Whoever reads the stream gets ``StreamClosedError``. Closing a stream that was read to its end does nothing.

        Example:
            >>> stream = agent.run_stream("Greet me.")
            >>> next(stream)
            'Hello'
            >>> stream.close()
            >>> stream.state
            'cancelled'
        """
        self._run.close()
        self._items.discard()

    def __enter__(self) -> Self:
        self._run.check_open()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(StreamInfo[R], AsyncIterator[T], Generic[R, T]):
    """A stream that is read by ``async for``.

    Args:
        run: The run.
        items: What the stream yields.
    """

    __slots__ = ("_items",)

    def __init__(self, run: R, items: AsyncTokenIterator[T]) -> None:
        super().__init__(run)
        self._items = items

    def __aiter__(self) -> AsyncIterator[T]:
        self._run.check_open()
        return self._items

    def __anext__(self) -> Awaitable[T]:
        # Not a coroutine around it: `wait_for` makes a task of it before Python 3.12, and that must be the read alone.
        self._run.check_open()
        return self._items.__anext__()

    def with_notices(self) -> None:
        """Yields events other than tokens among the tokens. For ``headrace.serve``; before the stream is read."""
        self._run.output.tells = True

    def with_reasoning(self) -> None:
        """Yields reasoning among the tokens, as events. For ``headrace.serve``; before the stream is read."""
        self._run.output.reasons = True

    async def aclose(self) -> None:
        """Closes the stream, and returns when its connections are gone. May be called from any task, and repeatedly.

        Whoever reads the stream gets ``StreamClosedError``. Closing a stream that was read to its end does nothing.
        """
        self._run.close()
        self._items.discard()
        await self._wait_closed()

    @abstractmethod
    async def _wait_closed(self) -> None:
        """Waits until the connections of the closed stream are gone."""

    async def __aenter__(self) -> Self:
        self._run.check_open()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()
