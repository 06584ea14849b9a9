"""Runs blocking calls in threads of their own, for blocking and for async callers; and waits for futures and tasks.

Each call gets a new daemon thread, not one of an executor. Python cannot stop a thread, and both an event loop that
closes and Python when it exits wait for the threads of executors: a call that hangs would hang them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["StopProgramError", "contained", "finishes", "in_thread", "run_in_own_thread", "wait_for"]

_T = TypeVar("_T")

_GRACE_PERIOD = 1.0
"""Seconds that cancelled work has to clean up. After that nobody waits for it."""

_WAIT_INTERVAL = 0.1
"""A caller's wait is split into waits of this many seconds, because Windows notices Ctrl-C only between them."""


class StopProgramError(Exception):
    """Carries a ``SystemExit`` or ``KeyboardInterrupt`` out of a task.

    Attributes:
        stop: The exception.
    """

    def __init__(self, stop: BaseException) -> None:
        super().__init__()
        self.stop = stop


async def contained(work: Awaitable[_T]) -> _T:
    """Awaits something in a task of its own, so that it cannot stop the event loop.

    An event loop stops at once when a task raises SystemExit or KeyboardInterrupt: all other tasks, which may be the
    user's, are left as they are. Whoever waits for the task raises ``stop`` of the error.

    Args:
        work: What to await.

    Returns:
        Its result.

    Raises:
        StopProgramError: It raised SystemExit or KeyboardInterrupt.
    """
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as stop:
        raise StopProgramError(stop) from None


def wait_for(future: concurrent.futures.Future[_T]) -> _T:
    """Blocks until a future is done. Ctrl-C interrupts the wait.

    Args:
        future: What to wait for.

    Returns:
        Its result.

    Raises:
        BaseException: The future's exception, or what interrupted the wait.
    """
    try:
        while not future.done():
            with contextlib.suppress(concurrent.futures.TimeoutError):
                # This returns the future's own exception, so a TimeoutError raised here is always ours.
                future.exception(_WAIT_INTERVAL)
        return future.result()
    finally:
        # Avoids a reference cycle: the exception's traceback refers to this function's frame.
        del future


def run_in_own_thread(function: Callable[[], _T]) -> _T:
    """Calls a function in a thread of its own, with the caller's context variables, and waits for it.

    The thread has no event loop: the function cannot use the caller's, and an event loop that it makes does not stay in
    the caller's thread. An interrupt of the wait, such as Ctrl-C, is raised at once; the function goes on, and its
    result is ignored.

    Args:
        function: What to call.

    Returns:
        What the function returned.

    Raises:
        BaseException: What the function raised, or what interrupted the wait.
    """
    outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(_deliver, outcome, function), name="headrace-call", daemon=True).start()
    try:
        return wait_for(outcome)
    finally:
        del outcome  # Avoids a reference cycle, as in `wait_for`.


def _deliver(outcome: concurrent.futures.Future[_T], function: Callable[[], _T]) -> None:
    try:
        outcome.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is not handled but passed on
        outcome.set_exception(error)


async def in_thread(function: Callable[[], _T]) -> _T:
    """Calls a blocking function in a thread of its own, with the caller's context variables.

    Cancelling ends the wait at once. The function goes on, and its result is ignored.

    Args:
        function: What to call.

    Returns:
        What the function returned.

    Raises:
        BaseException: What the function raised; a RuntimeError for a StopIteration, which no future can hold.
    """
    event_loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = event_loop.create_future()
    context = contextvars.copy_context()

    def settle(deliver: Callable[[], None]) -> None:
        # If the event loop was closed meanwhile, nobody waits any more.
        with contextlib.suppress(RuntimeError):
            event_loop.call_soon_threadsafe(lambda: None if future.done() else deliver())

    def work() -> None:
        try:
            value = context.run(function)
        except StopIteration as stop:
            error = RuntimeError("the function raised StopIteration")
            error.__cause__ = stop
            settle(lambda: future.set_exception(error))
        except BaseException as raised:  # noqa: BLE001 - it is not handled but passed on
            failure = raised
            settle(lambda: future.set_exception(failure))
        else:
            settle(lambda: future.set_result(value))

    threading.Thread(target=work, name="headrace-call", daemon=True).start()
    return await future


async def finishes(work: asyncio.Task[Any], timeout: float | None) -> bool:
    """Waits for a task, and cancels it when the time is up or when the wait itself is cancelled.

    Unlike ``asyncio.wait_for`` it distinguishes its own timeout from a TimeoutError of the task, and it does not wait
    for ever for a task that ignores its cancellation.

    Args:
        work: The task.
        timeout: Seconds to wait; None for no limit.

    Returns:
        Whether the task ended in time. The task has its result or exception.
    """
    try:
        done, _ = await asyncio.wait({work}, timeout=timeout)
        return bool(done)
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=_GRACE_PERIOD)
        if work.done() and not work.cancelled():
            work.exception()  # Otherwise asyncio may log that the exception was never retrieved.
