"""What the streams of agents and of workflows have in common: what they tell, and how they are read and closed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from headrace.types import Message, Timing, Turn, Usage

__all__ = ["AsyncStream", "Stream", "Told"]

T = TypeVar("T")


class Running(Protocol):
    """A run, of an agent or of a workflow, as its stream needs it."""

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

    def check_open(self) -> None:
        """Raises ``StreamClosedError`` if the stream was closed."""

    def close(self) -> None:
        """Closes all connections."""


R = TypeVar("R", bound=Running)


class Told(Generic[R]):
    """What a stream tells about its run, while it runs and after."""

    __slots__ = ("_run",)

    def __init__(self, run: R) -> None:
        self._run = run

    @property
    def state(self) -> str:
        """How the run stands.

        ``"pending"`` (nothing was sent), ``"streaming"``, ``"complete"``, ``"cancelled"`` (the reader left), or how it
        failed: ``"truncated"``, ``"rejected"`` (by status), ``"error"`` (by the provider, inside the stream),
        ``"transport"``, ``"timeout"``, ``"protocol"``, ``"failed"`` (an error that was not the stream's).

        A workflow fails as the agent did that ended it. With ``on_error="continue"`` it is complete if any agent has
        answered; ``errors`` tells of the others.
        """
        return self._run.state

    @property
    def text(self) -> str:
        """The text that was taken so far, of all turns; refusals, which are text for the user, too.

        That of a workflow is agent after agent, also where their tokens came in turns.
        """
        return self._run.text

    @property
    def final(self) -> str:
        """The answer: the text of the last turn that had any, or an autonomous run's summary.

        A turn that only refused has its refusal for its text, and one that handed the task on has the other agent's
        answer. Where no turn said anything, it is what the last tools returned. Empty until the run has ended.

        A workflow's is what its newest step came to: the answer of its agent, or of several under their names.
        """
        return self._run.final

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said in the run, the task first, as OpenAI writes messages. Empty until the run has ended.

        A workflow's are the task and all answers so far, with the agents' names for roles.
        """
        return self._run.messages

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the model said in each turn, the current one as far as it was taken; agent after agent."""
        return self._run.turns

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns and agents together; None while there are none.

        Where a provider told none, they are made from the length of the texts, and ``estimated`` says so.
        """
        return self._run.usage

    @property
    def cost(self) -> float | None:
        """What all turns together cost, in USD, by litellm's price list or the provider's own words.

        None where a price or a count is not known; never 0.0 for that. Estimated counts give an estimated cost.
        """
        return self._run.cost

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What the stamps of each turn say; agent after agent."""
        return self._run.timings

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, {len(self.text)} characters>"


class Stream(Told[R], Iterator[T], Generic[R, T]):
    """A stream that is read by ``for``.

    Args:
        run: What it tells of.
        items: What it gives.
    """

    __slots__ = ("_items",)

    def __init__(self, run: R, items: Iterator[T]) -> None:
        super().__init__(run)
        self._items = items

    def __iter__(self) -> Iterator[T]:
        # The generator itself: a `for` loop then pays nothing for this object, token by token.
        self._run.check_open()
        return self._items

    def __next__(self) -> T:
        self._run.check_open()
        return next(self._items)

    def close(self) -> None:
        """Closes the stream and all its connections. May be called from any thread, and again.

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


class AsyncStream(Told[R], AsyncIterator[T], Generic[R, T]):
    """A stream that is read by ``async for``.

    Args:
        run: What it tells of.
        items: What it gives.
    """

    __slots__ = ("_items",)

    def __init__(self, run: R, items: AsyncIterator[T]) -> None:
        super().__init__(run)
        self._items = items

    def __aiter__(self) -> AsyncIterator[T]:
        self._run.check_open()
        return self._items

    async def __anext__(self) -> T:
        self._run.check_open()
        return await anext(self._items)

    async def aclose(self) -> None:
        """Closes the stream, and returns when its connections are gone. May be called from any task, and again.

        A loop that is reading gets ``StreamClosedError``. Closing a stream that has been read to its end does nothing.
        """
        self._run.close()
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
