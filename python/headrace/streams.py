"""What ``Agent.run_stream`` and ``Agent.arun_stream`` return."""

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
    """What only the stream of one agent has."""

    __slots__ = ()

    @property
    def timing(self) -> Timing | None:
        """What the stamps of the current turn say, or of the last; None before the first."""
        timings = self._run.timings
        return timings[-1] if timings else None

    def steer(self, message: str) -> None:
        """Adds a message of the user before the next turn. May be called from any thread.

        Args:
            message: What the model is told. If it was about to stop, it gets another turn, within ``max_loops``.
        """
        self._run.inbox.append(message)


class RunStream(_OfOneAgent, Stream[Run, T], Generic[T]):
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

    __slots__ = ()

    def __init__(self, run: Run) -> None:
        super().__init__(run, cast("Iterator[T]", drive(run)))


class AsyncRunStream(_OfOneAgent, AsyncStream[Run, T], Generic[T]):
    """The tokens of a run (or its events), in order, each as soon as it arrived; for ``async for``.

    There is no thread behind it, however many there are. Cancelling the task that reads closes the connection at
    once. Otherwise it behaves as :class:`RunStream` does.

    Raises:
        StreamError: From the iteration: the run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the first token: the request could not be built.
    """

    __slots__ = ()

    def __init__(self, run: Run) -> None:
        super().__init__(run, cast("AsyncIterator[T]", adrive(run)))

    async def _wait_closed(self) -> None:
        await self._run.work.released()
