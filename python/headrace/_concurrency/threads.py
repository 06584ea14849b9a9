"""Blocking calls in threads of their own, for blocking and for async callers; and waiting for what runs elsewhere.

All threads here are daemons of their own, not those of an executor: Python cannot stop a thread, and the end of an
event loop, or of the interpreter, waits for the threads of its executors. A call that hangs would hang both.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["finishes", "in_thread", "run_in_own_thread", "wait_for"]

_T = TypeVar("_T")

_GRACE = 1.0
"""Seconds that cancelled work has to clean up. After them it is left behind, and nobody waits for it any more."""

_SLICE = 0.1
"""Seconds of one wait of the caller: Windows notices Ctrl-C only between waits."""


def wait_for(future: concurrent.futures.Future[_T]) -> _T:
    """Waits in this thread for a future; Ctrl-C is heard meanwhile.

    Args:
        future: What to wait for.

    Returns:
        Its result.

    Raises:
        BaseException: The future's exception, or whatever interrupted the wait.
    """
    try:
        while not future.done():
            with contextlib.suppress(concurrent.futures.TimeoutError):
                # This returns the future's own exception; it raises only when the slice is over.
                future.exception(_SLICE)
        return future.result()
    finally:
        # The exception refers to this frame, so the frame must not refer to the exception.
        del future


def run_in_own_thread(function: Callable[[], _T]) -> _T:
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
        return wait_for(outcome)
    finally:
        del outcome  # see above


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
