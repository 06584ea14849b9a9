"""How the agents of a workflow's step are read: one alone, or several together and in turns.

Agents that run together do so on an event loop: the caller's if it has one, else one in a thread of its own. So there
is one way to interleave, to bound and to cancel, and one thread per stream at most, however many agents there are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from headrace._concurrency.event_loop_thread import EventLoopThread
from headrace.errors import StreamClosedError
from headrace.streams import AsyncRunStream

from .run import Ended

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from headrace._run.read import Item
    from headrace.streams import RunStream

    from .run import Batch, Member

__all__ = ["Alone", "Together", "TogetherInThread"]

_MAX_QUEUED: Final = 64
"""How many items an agent may be ahead of the caller. Beyond that its stream is not read, which stops its socket."""


class Alone:
    """Reads the only agent of a step, in the caller's thread.

    Args:
        member: The agent's run.
        events: Its events are wanted, and not the text alone.
    """

    def __init__(self, member: Member, *, events: bool) -> None:
        self._member = member
        self._events = events
        self._stream: RunStream[Any] | None = None
        self._closed = False
        self._pairs = self._read()

    def take(self) -> Batch | None:
        """The next item, once there is one; None after the last."""
        pair = next(self._pairs, None)
        return None if pair is None else (pair,)

    def close(self) -> None:
        """Closes the agent's stream. May be called from any thread."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _read(self) -> Iterator[tuple[Member, Item | Ended]]:
        member = self._member
        try:
            stream: RunStream[Any] = member.agent.run_stream(member.task, with_events=self._events)
            member.stream = self._stream = stream
            # Whoever closes sets its mark first and looks for the stream then, so one of the two sees the other.
            if self._closed:
                stream.close()
            for item in stream:
                yield member, item
        except Exception as error:  # noqa: BLE001 - it is not handled but handed over
            yield member, Ended.by(error)
        else:
            yield member, Ended("complete")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


class _Lane:
    """One agent among several: the task that reads it, and what of it the caller has not taken yet."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.items: deque[Item | Ended] = deque()
        self.room = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.stopped = False

    def stop(self) -> None:
        """Cancels the agent's run, which closes its socket. Once: a second time would cut its cleaning up short."""
        if self.task is not None and not self.stopped:
            self.task.cancel()
        self.stopped = True

    def end(self, task: asyncio.Task[None]) -> Ended:
        """How the run ended."""
        if not task.cancelled():
            error = task.exception()
            return Ended("complete") if error is None else Ended.by(error)
        if self.stopped:
            return Ended("cancelled")
        # A tool that cancels the task that it runs in must not pass for an agent with nothing to say.
        return Ended("failed", StreamClosedError("the agent's run was cancelled, and not by the workflow"))


class Together:
    """Reads the agents of a step at the same time, on the running event loop.

    Args:
        members: The agents' runs.
        events: Their events are wanted, and not the text alone.
        stop_on_error: An agent that fails cancels the others at once, however much the caller has still to take.
    """

    def __init__(self, members: Sequence[Member], *, events: bool, stop_on_error: bool) -> None:
        self._lanes = [_Lane(member) for member in members]
        self._running = len(self._lanes)
        self._events = events
        self._stop_on_error = stop_on_error
        self._closed = False
        self._wanted: asyncio.Future[None] | None = None

    async def take(self) -> Batch | None:
        """What the agents have said, once there is something; None after the last, and once this is closed.

        Safe to cancel: nothing has been taken yet.
        """
        while not self._closed:
            batch = self._in_turns()
            if batch:
                return batch
            if not self._running:
                return None
            self._wanted = asyncio.get_running_loop().create_future()
            try:
                await self._wanted
            finally:
                self._wanted = None
        return None

    def close(self) -> None:
        """Cancels the agents' runs. To be called where the event loop runs."""
        self._closed = True
        for lane in self._lanes:
            lane.stop()
        self._ring()

    async def closed(self) -> None:
        """Waits until the connections of the cancelled runs are gone."""
        await self._over()
        for lane in self._lanes:
            if isinstance(lane.member.stream, AsyncRunStream):
                await lane.member.stream.aclose()

    async def _over(self) -> None:
        """Waits until the agents' tasks are. The sockets are closed by then, or are about to be."""
        # Without those that are done, whose event loop may be gone by now.
        running = [lane.task for lane in self._lanes if lane.task is not None and not lane.task.done()]
        await asyncio.gather(*running, return_exceptions=True)

    def _in_turns(self) -> Batch:
        """Takes what is there, from each agent one item after the other."""
        batch: list[tuple[Member, Item | Ended]] = []
        lanes = self._lanes
        while lanes := [lane for lane in lanes if lane.items]:
            batch += [(lane.member, lane.items.popleft()) for lane in lanes]
        for lane in self._lanes:
            lane.room.set()
        return batch

    async def _fill(self, lane: _Lane) -> None:
        member = lane.member
        stream: AsyncRunStream[Any] = member.agent.arun_stream(member.task, with_events=self._events)
        member.stream = stream
        items = cast("AsyncGenerator[Item, None]", aiter(stream))
        # Left to itself, the generator would be closed by a task that nobody waits for.
        async with contextlib.aclosing(items):
            async for item in items:
                self._put(lane, item)
                if len(lane.items) >= _MAX_QUEUED:
                    lane.room.clear()
                    await lane.room.wait()

    def _filled(self, lane: _Lane, task: asyncio.Task[None]) -> None:
        self._running -= 1
        ended = lane.end(task)
        if ended.error is not None and self._stop_on_error:
            for other in self._lanes:
                other.stop()
        self._put(lane, ended)

    def _put(self, lane: _Lane, item: Item | Ended) -> None:
        lane.items.append(item)
        self._ring()

    def _ring(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    async def __aenter__(self) -> Self:
        for lane in self._lanes:
            lane.task = asyncio.create_task(self._fill(lane))
            # Not the task's own last step: one that is cancelled before its first has none.
            lane.task.add_done_callback(partial(self._filled, lane))
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()
        await self._over()


class TogetherInThread:
    """Reads the agents of a step at the same time, for a caller that blocks: on an event loop in a thread of its own.

    Args:
        together: What reads them.
    """

    def __init__(self, together: Together) -> None:
        self._together = together
        self._closed = False
        self._loop = EventLoopThread("headrace-workflow")

    def take(self) -> Batch | None:
        """What the agents have said, once there is something; None after the last, and once this is closed."""
        try:
            return self._loop.run(self._together.take)
        except asyncio.CancelledError:
            if self._closed:
                return None
            raise

    def close(self) -> None:
        """Cancels the agents' runs, and waits until the thread is gone. May be called from any thread, and again."""
        # First the mark, by which a reader tells this from a failure.
        self._closed = True
        self._loop.call_soon(self._together.close)
        self._loop.close()

    def __enter__(self) -> Self:
        try:
            self._loop.run(self._together.__aenter__)
        except BaseException:  # an interrupt
            self.close()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()
