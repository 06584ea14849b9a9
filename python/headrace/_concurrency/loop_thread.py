"""An event loop in a thread of its own: the one bridge from blocking code to coroutines.

It makes no difference to a blocking caller whether an event loop runs in its own thread. Tools of ``run_stream``, the
parallel agents of a workflow and the sessions with MCP servers all run on such a loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .threads import wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["LoopThread", "run_on_new_loop"]

_T = TypeVar("_T")

_GRACE: Final = 1.0
"""Seconds that cancelled work has to clean up. After them it is left behind, and nobody waits for it any more."""


def run_on_new_loop(main: Callable[[], Awaitable[_T]]) -> _T:
    """Runs one coroutine on an event loop that exists for it alone; see :class:`LoopThread`."""
    loop = LoopThread("headrace-loop")
    try:
        return loop.run(main)
    finally:
        loop.close()


class LoopThread:
    """A daemon thread that runs an event loop, from the first coroutine that is sent there until it is closed.

    What one coroutine leaves behind on the loop, such as a client, serves the next. All methods may be called from any
    thread.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        # Reentrant: the garbage collector may close a loop in the midst of any method.
        self._lock = threading.RLock()
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._begun = self._ending = self._over = False
        self._failure: BaseException | None = None  # why there is no event loop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def submit(self, main: Callable[[], Awaitable[_T]]) -> concurrent.futures.Future[_T]:
        """Starts a coroutine on the loop.

        Args:
            main: Makes the coroutine, which sees the caller's context variables as they are now.

        Returns:
            Its outcome: asyncio's CancelledError if it was cancelled, or if the loop was closed. Cancelling the future
            cancels the coroutine.
        """
        outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()
        work = _Work(main, lambda: self._ending)
        self._start()
        with self._lock:
            # The callback sees the context of this call, and so does the task that it makes.
            if not self._over and self.call_soon(lambda: work.begin(outcome)):
                self._waiting.add(outcome)
            else:
                outcome.set_exception(self._failure or asyncio.CancelledError())
        outcome.add_done_callback(self._waiting.discard)
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
            BaseException: Whatever the coroutine raised, or whatever interrupted the wait; CancelledError if the loop
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
            # An interrupt leaves it running. The coroutine has some time to clean up.
            if outcome.cancel():
                ended.wait(_GRACE)
            # The exception refers to this frame, so the frame must not refer to the exception.
            del outcome

    def call_soon(self, function: Callable[[], object]) -> bool:
        """Calls a function where the loop runs.

        Returns:
            False if the loop does not run: nothing was sent there yet, or it was closed.
        """
        loop = self._loop
        if loop is None:
            return False
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(function)
            return True
        return False

    async def wait_for_others(self, timeout: float) -> None:
        """Waits until all other tasks of the loop have ended. To be awaited on the loop.

        Args:
            timeout: Seconds to wait at most.
        """
        others = asyncio.all_tasks() - {asyncio.current_task(), self._serving}
        if others:
            await asyncio.wait(others, timeout=timeout)

    def close(self, *, wait: float = _GRACE) -> None:
        """Cancels what runs on the loop, and waits until the thread is gone. May be called again.

        Args:
            wait: Seconds to wait at most. What has not ended by then is left behind.
        """
        with self._lock:
            if not self._begun:
                self._over = True
                return
        if self._ready.wait(wait):
            self.call_soon(self._closing.set)
        # The garbage collector may call this in the thread itself; and when Python ends, daemons do not go on.
        if self._thread.is_alive() and self._thread is not threading.current_thread() and not sys.is_finalizing():
            self._thread.join(wait)

    def _start(self) -> None:
        with self._lock:
            begins = not self._begun and not self._over
            self._begun = self._begun or begins
        if begins:
            try:
                self._thread.start()
            except RuntimeError:  # No more threads can be started.
                self._begun = False
                raise
        if self._begun:
            self._ready.wait()

    def _main(self) -> None:
        error: BaseException = asyncio.CancelledError()
        serving = self._serve()
        try:
            asyncio.run(serving)
        except BaseException as raised:  # noqa: BLE001 - it is not handled but handed over
            # A task raised SystemExit or KeyboardInterrupt, which stop the loop at once; or there is no loop.
            error = raised
        finally:
            serving.close()
            with self._lock:
                self._over = True
                if self._loop is None:
                    self._failure = error
            self._ready.set()
            # Whatever has happened, nobody waits for this thread any longer.
            for outcome in list(self._waiting):
                with contextlib.suppress(concurrent.futures.InvalidStateError):
                    outcome.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._serving = asyncio.get_running_loop(), asyncio.current_task()
        self._ready.set()
        try:
            await self._closing.wait()
        finally:
            self._ending = True
        for task in asyncio.all_tasks() - {self._serving}:
            # A task that is being cancelled cleans up, and a second time would interrupt that. 3.10 cannot tell.
            if sys.version_info < (3, 11) or not task.cancelling():
                task.cancel()
        # What has not ended by then is cancelled again, by `asyncio.run`.
        await self.wait_for_others(_GRACE)


class _Work(Generic[_T]):
    """One coroutine on its way to the loop, and on it.

    It has no reference to its outcome, which has one to it: both are freed at once, without the garbage collector.

    Args:
        main: Makes the coroutine.
        is_ending: Whether the loop is ending.
    """

    __slots__ = ("_is_ending", "_main", "_task")

    def __init__(self, main: Callable[[], Awaitable[_T]], is_ending: Callable[[], bool]) -> None:
        self._main = main
        self._is_ending = is_ending
        self._task: asyncio.Task[_T] | None = None

    def begin(self, outcome: concurrent.futures.Future[_T]) -> None:
        """Starts it, where the loop runs. Not on a loop that is ending, which would not wait for it.

        Args:
            outcome: Where its result goes.
        """
        if not outcome.cancelled() and not self._is_ending():
            self._task = asyncio.ensure_future(self._run())
            self._task.add_done_callback(partial(self._settle, outcome))

    def cancel(self) -> None:
        """Cancels it, where the loop runs."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> _T:
        return await self._main()

    def _settle(self, outcome: concurrent.futures.Future[_T], task: asyncio.Task[_T]) -> None:
        self._task = None
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # It was cancelled meanwhile.
            if task.cancelled():
                # A loop that ends cancels its tasks, and then says what ended it.
                if not self._is_ending():
                    outcome.set_exception(asyncio.CancelledError())
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())
