"""An event loop in a thread of its own: the one bridge from blocking code to coroutines.

A blocking caller does not notice that the event loop runs in another thread. Async tools under ``run_stream``, the
parallel agents of a workflow and the sessions with MCP servers all run on such an event loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .threads import StopProgramError, contained, wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["EventLoopThread", "run_on_new_event_loop"]

_T = TypeVar("_T")

_GRACE_PERIOD: Final = 1.0
"""Seconds that cancelled work has to clean up. After that nobody waits for it."""


def run_on_new_event_loop(main: Callable[[], Awaitable[_T]]) -> _T:
    """Runs one coroutine on an event loop that is made for it alone; see :class:`EventLoopThread`."""
    thread = EventLoopThread("headrace-loop")
    try:
        return thread.run(main)
    finally:
        thread.close()


class EventLoopThread:
    """A daemon thread that runs an event loop: it starts with the first coroutine, and ends when it is closed.

    What one coroutine leaves on the event loop, such as a client, can be used by the next. All methods may be called
    from any thread.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        # Reentrant: the garbage collector may call close() in the middle of any method.
        self._lock = threading.RLock()
        self._unfinished: set[concurrent.futures.Future[Any]] = set()
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[None] | None = None
        self._close_requested = asyncio.Event()
        self._started = self._closing = self._closed = False
        self._failure: BaseException | None = None  # why there is no event loop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def submit(self, main: Callable[[], Awaitable[_T]]) -> concurrent.futures.Future[_T]:
        """Starts a coroutine on the event loop.

        Args:
            main: Makes the coroutine, which sees the caller's context variables as they are now.

        Returns:
            Its outcome: asyncio's CancelledError if it was cancelled, or if the event loop was closed. Cancelling the
            future cancels the coroutine.
        """
        outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()
        work = _Work(main, lambda: self._closing)
        self._start()
        with self._lock:
            # The callback sees the context of this call, and so does the task that it makes.
            if not self._closed and self.call_soon(lambda: work.start(outcome)):
                self._unfinished.add(outcome)
            else:
                outcome.set_exception(self._failure or asyncio.CancelledError())
        outcome.add_done_callback(self._unfinished.discard)
        outcome.add_done_callback(lambda outcome: outcome.cancelled() and self.call_soon(work.cancel))
        return outcome

    def run(self, main: Callable[[], Awaitable[_T]]) -> _T:
        """Runs a coroutine, and waits for it.

        An interrupt of the wait, such as Ctrl-C, cancels the coroutine and is raised after at most a second.

        Args:
            main: Makes the coroutine, which sees the caller's context variables as they are now.

        Returns:
            What the coroutine returned.

        Raises:
            BaseException: What the coroutine raised, or what interrupted the wait; CancelledError if the event loop
                was closed.
        """
        ended = threading.Event()

        async def work() -> _T:
            try:
                return await main()
            finally:
                ended.set()

        outcome = self.submit(work)
        try:
            return wait_for(outcome)
        finally:
            # This cancels something only if the wait was interrupted. The coroutine then has some time to clean up.
            if outcome.cancel():
                ended.wait(_GRACE_PERIOD)
            # The exception refers to this frame, so the frame must not refer to the exception.
            del outcome

    def call_soon(self, function: Callable[[], object]) -> bool:
        """Calls a function in the event loop's thread.

        Returns:
            False if the event loop does not run: nothing was submitted yet, or it was closed.
        """
        event_loop = self._event_loop
        if event_loop is None:
            return False
        with contextlib.suppress(RuntimeError):
            event_loop.call_soon_threadsafe(function)
            return True
        return False

    async def wait_for_others(self, timeout: float) -> None:
        """Waits until all other tasks of the event loop have ended. Call it on the event loop.

        Args:
            timeout: Seconds to wait at most.
        """
        others = asyncio.all_tasks() - {asyncio.current_task(), self._main_task}
        if others:
            await asyncio.wait(others, timeout=timeout)

    def close(self, *, wait: float = _GRACE_PERIOD) -> None:
        """Cancels what runs on the event loop, and waits until the thread has ended. May be called again.

        Args:
            wait: Seconds to wait at most. Work that takes longer goes on, and nobody waits for it.
        """
        with self._lock:
            if not self._started:
                self._closed = True
                return
        if self._ready.wait(wait):
            self.call_soon(self._close_requested.set)
        # The garbage collector may call this in the thread itself. When Python exits, daemon threads are frozen.
        if self._thread.is_alive() and self._thread is not threading.current_thread() and not sys.is_finalizing():
            self._thread.join(wait)

    def _start(self) -> None:
        with self._lock:
            if not self._started and not self._closed:
                self._started = True
                try:
                    self._thread.start()
                except RuntimeError:  # The system has no more threads.
                    self._started = False
                    raise
        if self._started:
            self._ready.wait()

    def _main(self) -> None:
        error: BaseException = asyncio.CancelledError()
        main = self._run_until_closed()
        try:
            asyncio.run(main)
        except BaseException as raised:  # noqa: BLE001 - it is not handled but passed on
            # A task raised SystemExit or KeyboardInterrupt, which stop the event loop at once; or there is none.
            error = raised
        finally:
            main.close()
            with self._lock:
                self._closed = True
                if self._event_loop is None:
                    self._failure = error
            self._ready.set()
            # In any case: no caller may wait for this thread any longer.
            for outcome in list(self._unfinished):
                with contextlib.suppress(concurrent.futures.InvalidStateError):
                    outcome.set_exception(error)

    async def _run_until_closed(self) -> None:
        self._event_loop, self._main_task = asyncio.get_running_loop(), asyncio.current_task()
        self._ready.set()
        try:
            await self._close_requested.wait()
        finally:
            self._closing = True
        for task in asyncio.all_tasks() - {self._main_task}:
            # A task that is being cancelled cleans up, and a second cancellation would interrupt that. Python 3.10
            # cannot tell.
            if sys.version_info < (3, 11) or not task.cancelling():
                task.cancel()
        # What has not ended by then is cancelled again, by `asyncio.run`.
        await self.wait_for_others(_GRACE_PERIOD)


class _Work(Generic[_T]):
    """A coroutine that was submitted: it waits for the event loop, or runs there.

    It has no reference to its outcome, which has one to it: both are freed at once, without the garbage collector.

    Args:
        main: Makes the coroutine.
        is_closing: Whether the event loop is being closed.
    """

    __slots__ = ("_is_closing", "_main", "_task")

    def __init__(self, main: Callable[[], Awaitable[_T]], is_closing: Callable[[], bool]) -> None:
        self._main = main
        self._is_closing = is_closing
        self._task: asyncio.Task[_T] | None = None

    def start(self, outcome: concurrent.futures.Future[_T]) -> None:
        """Starts the coroutine. Call it in the event loop's thread.

        Args:
            outcome: Gets the coroutine's result or error.
        """
        # If the event loop is closing, it would not wait for the coroutine's end. `_main` sets the outcome.
        if not outcome.cancelled() and not self._is_closing():
            self._task = asyncio.ensure_future(self._run())
            self._task.add_done_callback(partial(self._settle, outcome))

    def cancel(self) -> None:
        """Cancels the coroutine. Call it in the event loop's thread."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> _T:
        return await contained(self._main())

    def _settle(self, outcome: concurrent.futures.Future[_T], task: asyncio.Task[_T]) -> None:
        self._task = None
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # The outcome was cancelled meanwhile.
            if task.cancelled():
                # An event loop that closes cancels its tasks. `_main` then sets their outcomes: it has the reason.
                if not self._is_closing():
                    outcome.set_exception(asyncio.CancelledError())
            elif (error := task.exception()) is not None:
                outcome.set_exception(error.stop if isinstance(error, StopProgramError) else error)
            else:
                outcome.set_result(task.result())
