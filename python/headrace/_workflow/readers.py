"""How the members of a workflow's step are read: a single one, or several in parallel.

Parallel members run on an event loop: the caller's if it has one, else one in its own thread. So there is only one
way to interleave, bound and cancel them, and at most one thread per stream, however many members there are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from headrace._concurrency.event_loop_thread import EventLoopThread
from headrace._concurrency.threads import StopProgramError, contained
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

__all__ = ["ParallelReader", "ParallelReaderInThread", "SingleReader"]

_MAX_QUEUED: Final = 64
"""How many items may wait for the caller. When a queue is full, the member's stream is not read, and the socket blocks
the provider."""


class SingleReader:
    """Reads the only member of a step, in the caller's thread.

    Args:
        member: The member.
        events: Whether events are wanted instead of tokens.
    """

    def __init__(self, member: Member, *, events: bool) -> None:
        self._member = member
        self._events = events
        self._stream: RunStream[Any] | None = None
        self._closed = False
        self._pairs = self._read()

    def take(self) -> Batch | None:
        """Blocks until there is an item. None after the last."""
        pair = next(self._pairs, None)
        return None if pair is None else (pair,)

    def close(self) -> None:
        """Closes the member's stream. May be called from any thread."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _read(self) -> Iterator[tuple[Member, Item | Ended]]:
        member = self._member
        try:
            stream: RunStream[Any] = member.agent.run_stream(member.task, with_events=self._events)
            member.stream = self._stream = stream
            # `close` sets `_closed` before it reads `_stream`, so either it closes the stream, or we do it here.
            if self._closed:
                stream.close()
            for item in stream:
                yield member, item
        except Exception as error:  # noqa: BLE001 - it is passed on to the workflow's run
            yield member, Ended.with_error(error)
        else:
            yield member, Ended("complete")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


class _MemberQueue:
    """The queue of one parallel member: the task that fills it, and the items that the caller has not taken yet."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.items: deque[Item | Ended] = deque()
        self.has_room = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.stopped = False

    def stop(self) -> None:
        """Cancels the member's run, which closes its socket."""
        # Only once: a second cancel would interrupt it while it cleans up.
        if self.task is not None and not self.stopped:
            self.task.cancel()
        self.stopped = True

    def end(self, task: asyncio.Task[None]) -> Ended:
        """How the member's run ended.

        Args:
            task: The task, which is done.
        """
        if not task.cancelled():
            error = task.exception()
            if isinstance(error, StopProgramError):
                error = error.stop
            return Ended("complete") if error is None else Ended.with_error(error)
        if self.stopped:
            return Ended("cancelled")
        # For example by a tool that cancels its own task. Without an error this would look like an empty answer.
        return Ended("failed", StreamClosedError("the agent's run was cancelled, and not by the workflow"))


class ParallelReader:
    """Reads the members of a step in parallel, on the running event loop.

    Args:
        members: The members.
        events: Whether events are wanted instead of tokens.
        notices: Whether events other than tokens are wanted among the tokens.
        reasons: Whether reasoning is wanted among the tokens, as events.
        stop_on_error: Whether a member that fails cancels the others, at once and not when the caller gets there.
    """

    def __init__(
        self, members: Sequence[Member], *, events: bool, notices: bool, reasons: bool, stop_on_error: bool
    ) -> None:
        self._queues = [_MemberQueue(member) for member in members]
        self._running = len(self._queues)
        self._events = events
        self._notices = notices
        self._reasons = reasons
        self._stop_on_error = stop_on_error
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    async def take(self) -> Batch | None:
        """Waits until there are items. None after the last, and after :meth:`close`.

        Safe to cancel: nothing has been taken yet.
        """
        while not self._closed:
            batch = self._take_all()
            if batch:
                return batch
            if not self._running:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return None

    def close(self) -> None:
        """Cancels the members' runs. Must be called in the thread of the event loop."""
        self._closed = True
        for queue in self._queues:
            queue.stop()
        self._wake()

    async def wait_closed(self) -> None:
        """Waits until the connections of the cancelled runs are gone."""
        await self._wait_for_tasks()
        for queue in self._queues:
            if isinstance(queue.member.stream, AsyncRunStream):
                await queue.member.stream.aclose()

    async def _wait_for_tasks(self) -> None:
        """Waits until the members' tasks have ended. Then the sockets are closed, or are about to be."""
        # Not those that are done: their event loop may be gone by now.
        running = [queue.task for queue in self._queues if queue.task is not None and not queue.task.done()]
        await asyncio.gather(*running, return_exceptions=True)

    def _take_all(self) -> Batch:
        """Takes all items, one of each member in rotation."""
        batch: list[tuple[Member, Item | Ended]] = []
        queues = self._queues
        while queues := [queue for queue in queues if queue.items]:
            batch += [(queue.member, queue.items.popleft()) for queue in queues]
        for queue in self._queues:
            queue.has_room.set()
        return batch

    async def _read(self, queue: _MemberQueue) -> None:
        member = queue.member
        stream: AsyncRunStream[Any] = member.agent.arun_stream(member.task, with_events=self._events)
        member.stream = stream
        if self._notices:
            stream.with_notices()
        if self._reasons:
            stream.with_reasoning()
        items = cast("AsyncGenerator[Item, None]", aiter(stream))
        # Without this, asyncio would close the generator in a task that nobody waits for.
        async with contextlib.aclosing(items):
            async for item in items:
                self._put(queue, item)
                if len(queue.items) >= _MAX_QUEUED:
                    queue.has_room.clear()
                    await queue.has_room.wait()

    def _ended(self, queue: _MemberQueue, task: asyncio.Task[None]) -> None:
        self._running -= 1
        ended = queue.end(task)
        if ended.error is not None and self._stop_on_error:
            for other in self._queues:
                other.stop()
        self._put(queue, ended)

    def _put(self, queue: _MemberQueue, item: Item | Ended) -> None:
        queue.items.append(item)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def __aenter__(self) -> Self:
        for queue in self._queues:
            queue.task = asyncio.create_task(contained(self._read(queue)))
            # A callback and not the end of `_read`, which does not run if the task is cancelled before it starts.
            queue.task.add_done_callback(partial(self._ended, queue))
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()
        await self._wait_for_tasks()


class ParallelReaderInThread:
    """Reads the members of a step in parallel for a caller that blocks: on an event loop in its own thread.

    Args:
        reader: The reader, which runs on that event loop.
    """

    def __init__(self, reader: ParallelReader) -> None:
        self._reader = reader
        self._closed = False
        self._loop = EventLoopThread("headrace-workflow")

    def take(self) -> Batch | None:
        """Blocks until there are items. None after the last, and after :meth:`close`."""
        try:
            return self._loop.run(self._reader.take)
        except asyncio.CancelledError:
            if self._closed:
                return None
            raise

    def close(self) -> None:
        """Cancels the members' runs, and waits until the thread has ended.

        May be called from any thread, and repeatedly.
        """
        # Set first: `take` uses it to distinguish closing from a failure.
        self._closed = True
        self._loop.call_soon(self._reader.close)
        self._loop.close()

    def __enter__(self) -> Self:
        try:
            self._loop.run(self._reader.__aenter__)
        except BaseException:  # such as Ctrl-C
            self.close()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()
