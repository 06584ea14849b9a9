"""Where async and blocking code meet: a blocking call under an event loop, and a coroutine under a blocking caller.

All threads here are daemons of their own, not those of an executor: Python cannot stop a thread, and the end of an
event loop, or of the interpreter, waits for the threads of its executors. A call that hangs would hang both.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["PrivateLoop", "apart", "finishes", "in_thread", "on_private_loop"]

_T = TypeVar("_T")

_GRACE = 1.0
"""Seconds that cancelled work has to clean up. After them it is left behind, and nobody waits for it any more."""

_SLICE = 0.1
"""Seconds of one wait of the caller: Windows notices Ctrl-C only between waits."""


def apart(function: Callable[[], _T]) -> _T:
    """Calls a function in a thread of its own, with the caller's context variables, and waits for it.

    There it finds no event loop: it can neither use the caller's, nor leave one behind that nobody closes. An interrupt
    of the wait, such as Ctrl-C, is raised at once; the function goes on, and what becomes of it is dropped.

    Args:
        function: What to call.

    Returns:
        What the function returned.

    Raises:
        BaseException: Whatever the function raised, or whatever interrupted the wait.
    """
    outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(_deliver, outcome, function), name="headrace-call", daemon=True).start()
    try:
        while not concurrent.futures.wait((outcome,), timeout=_SLICE).done:
            pass
        return outcome.result()
    finally:
        # An exception knows this frame; the frame need not know the exception.
        del outcome


def _deliver(outcome: concurrent.futures.Future[_T], function: Callable[[], _T]) -> None:
    try:
        outcome.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is not handled but handed over
        outcome.set_exception(error)


async def in_thread(function: Callable[[], _T]) -> _T:
    """Calls a blocking function in a thread of its own, with the caller's context variables.

    Cancelling gives up the wait at once. The function goes on, and what becomes of it is dropped.

    Args:
        function: What to call.

    Returns:
        What the function returned.

    Raises:
        BaseException: Whatever the function raised; a RuntimeError for a StopIteration, which no future can carry.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(deliver: Callable[[], None]) -> None:
        # The loop may be closed by now, and then nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if future.done() else deliver())

    def work() -> None:
        try:
            value = context.run(function)
        except StopIteration as stop:
            error = RuntimeError("the function raised StopIteration")
            error.__cause__ = stop
            settle(lambda: future.set_exception(error))
        except BaseException as raised:  # noqa: BLE001 - it is not handled but handed over
            failure = raised
            settle(lambda: future.set_exception(failure))
        else:
            settle(lambda: future.set_result(value))

    threading.Thread(target=work, name="headrace-call", daemon=True).start()
    return await future


async def finishes(work: asyncio.Task[Any], timeout: float | None) -> bool:
    """Waits for a task, and leaves none running: out of time, or cancelled itself, it cancels the task.

    Unlike ``asyncio.wait_for`` it tells its own timeout from a TimeoutError of the task, and does not wait for ever
    for a task that ignores its cancellation.

    Args:
        work: The task.
        timeout: Seconds to wait; None for as long as it takes.

    Returns:
        Whether the task came to its end in time. How it ended is for the caller to ask.
    """
    try:
        done, _ = await asyncio.wait({work}, timeout=timeout)
        return bool(done)
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=_GRACE)
        if work.done() and not work.cancelled():
            work.exception()  # Asked for, so that asyncio does not log it as lost.


def on_private_loop(main: Callable[[], Awaitable[_T]]) -> _T:
    """Runs one coroutine on an event loop that exists for it alone; see :class:`PrivateLoop`."""
    loop = PrivateLoop()
    try:
        return loop.run(main)
    finally:
        loop.close()


class PrivateLoop:
    """An event loop in a helper thread, on which a blocking caller runs coroutines, one after the other.

    It makes no difference whether a loop runs in the calling thread. The helper thread is there from the first
    coroutine until the loop is closed, so what one coroutine leaves behind, such as a client, serves the next.
    """

    def __init__(self) -> None:
        self._works: asyncio.Queue[_Work] = asyncio.Queue()
        self._outcome: concurrent.futures.Future[Any] | None = None  # of the newest work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._working: asyncio.Task[Any] | None = None
        self._begun = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="headrace-loop", daemon=True)

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
        outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()
        self._outcome = outcome
        work = _Work(main, contextvars.copy_context(), outcome)
        try:
            if not self._begun:
                self._begun = True
                self._thread.start()  # It waits, too, and may be interrupted when the thread runs already.
            self._ready.wait()
            if not self._call(lambda: self._works.put_nowait(work)):
                _settle(outcome, asyncio.CancelledError())
            while not concurrent.futures.wait((outcome,), timeout=_SLICE).done:
                pass
        except BaseException:
            self._cancel(lambda: self._working)
            concurrent.futures.wait((outcome,), timeout=_GRACE)
            raise
        return outcome.result()

    def close(self) -> None:
        """Cancels what runs on the loop, and waits until the thread is gone. May be called from any thread, and again.

        What does not end within a second is left behind.
        """
        if not self._begun:
            return
        self._cancel(lambda: self._serving)
        # The garbage collector may call this in the thread itself; and when Python ends, daemons do not go on.
        if self._thread.is_alive() and self._thread is not threading.current_thread() and not sys.is_finalizing():
            self._thread.join(_GRACE)

    def _cancel(self, which: Callable[[], asyncio.Task[Any] | None]) -> None:
        def cancel() -> None:
            task = which()
            if task is not None:
                task.cancel()

        if self._ready.wait(_GRACE):
            self._call(cancel)

    def _call(self, function: Callable[[], object]) -> bool:
        """Calls a function where the loop runs, if it still does."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)
                return True
        return False

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - it is not handled but handed over
            # The loop was closed, or a task raised SystemExit or KeyboardInterrupt, which stop it on the spot.
            if self._outcome is not None:
                _settle(self._outcome, error)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._serving = asyncio.get_running_loop(), asyncio.current_task()
        self._ready.set()
        while True:
            await self._carry_out(await self._works.get())

    async def _carry_out(self, work: _Work) -> None:
        self._working = task = work.context.run(asyncio.ensure_future, work.run())
        await asyncio.wait({task})
        self._working = None
        if task.cancelled():
            _settle(work.outcome, asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            _settle(work.outcome, error)
        else:
            work.outcome.set_result(task.result())


@dataclass(frozen=True, slots=True)
class _Work:
    main: Callable[[], Awaitable[Any]]
    context: contextvars.Context
    outcome: concurrent.futures.Future[Any]

    async def run(self) -> Any:
        return await self.main()


def _settle(outcome: concurrent.futures.Future[Any], error: BaseException) -> None:
    """Ends a wait with an error, unless it has ended."""
    with contextlib.suppress(concurrent.futures.InvalidStateError):
        outcome.set_exception(error)
