"""The streams that ``Agent.run_stream`` and ``Agent.arun_stream`` return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ._run.drive import adrive, drive
from ._run.run import Run
from ._run.streams import AsyncStream, Stream, Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from .types import Timing

__all__ = ["AsyncRunStream", "RunStream"]

T = TypeVar("T")


class _OfOneAgent(Told[Run]):
    """Properties and methods of the stream of one agent, which the stream of a workflow does not have."""

    __slots__ = ()

    @property
    def timing(self) -> Timing | None:
        """The latencies of the current turn or, between turns, of the last one; None before the first turn."""
        timings = self._run.timings
        return timings[-1] if timings else None

    def steer(self, message: str) -> None:
        """Adds a user message before the next turn. Safe to call from any thread.

        Args:
            message: The text of the message. If the run was about to end, it gets another turn, unless ``max_loops``
                is reached.
        """
        self._run.inbox.append(message)


class RunStream(_OfOneAgent, Stream[Run, T], Generic[T]):
    """An iterator over the tokens of a run (or its events), in order, each as soon as it arrives.

    The request is sent when the first token is read. ``close()``, the end of a ``with`` block, and dropping the last
    reference to the stream close its connection at once. So leaving a ``for`` loop over a stream that has no variable
    closes it; a stream that has one can be read further. Tokens that arrived before an error come before the error.

    All async tools of a run are called on the run's own event loop, so a client that a tool keeps is usable in every
    turn. The thread of that event loop starts with the first tool call, and ends with the stream.

    Raises:
        StreamError: From the iteration: the run did not complete. The subclass says why.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the first token: the request could not be built.

    Example:
        >>> with agent.run_stream("Say hello.") as stream:
        ...     for token in stream:
        ...         print(repr(token))
        'Hello'
        ', '
        'world.'
        >>> stream.state, stream.text, stream.usage.output_tokens
        ('complete', 'Hello, world.', 3)
    """

    __slots__ = ()

    def __init__(self, run: Run) -> None:
        super().__init__(run, cast("Iterator[T]", drive(run)))


class AsyncRunStream(_OfOneAgent, AsyncStream[Run, T], Generic[T]):
    """An async iterator over the tokens of a run (or its events), in order, each as soon as it arrives.

    Streams have no threads of their own, even if thousands are open. Cancelling the task that reads a stream closes its
    connection at once. Otherwise it behaves like :class:`RunStream`.

    Raises:
        StreamError: From the iteration: the run did not complete. The subclass says why.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the first token: the request could not be built.

    Example:
        >>> import asyncio
        >>> async def read():
        ...     async with agent.arun_stream("Say hello.") as stream:
        ...         return [token async for token in stream]
        >>> asyncio.run(read())
        ['Hello', ', ', 'world.']
    """

    __slots__ = ()

    def __init__(self, run: Run) -> None:
        super().__init__(run, cast("AsyncIterator[T]", adrive(run)))

    async def _wait_closed(self) -> None:
        await self._run.work.released()
