"""Where async and blocking code meet: a blocking call under an event loop, and a coroutine under a blocking caller.

All threads here are daemons of their own, not those of an executor: Python cannot stop a thread, and the end of an
event loop, or of the interpreter, waits for the threads of its executors. A call that hangs would hang both.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["apart", "finishes", "in_thread", "on_private_loop"]

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
    threading.Thread(target=run, args=(_settle, outcome, function), name="headrace-call", daemon=True).start()
    try:
        while not concurrent.futures.wait((outcome,), timeout=_SLICE).done:
            pass
        return outcome.result()
    finally:
        # An exception knows this frame; the frame need not know the exception.
        del outcome


def _settle(outcome: concurrent.futures.Future[_T], function: Callable[[], _T]) -> None:
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


def on_private_loop(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Runs a coroutine on an event loop of its own, in a helper thread, and waits for it.

    It makes no difference whether a loop runs in the calling thread. An interrupt of the wait, such as Ctrl-C, cancels
    the coroutine and is raised after at most a second.

    Args:
        main: Makes the coroutine, with the caller's context variables.

    Returns:
        What the coroutine returned.

    Raises:
        BaseException: Whatever the coroutine raised, or whatever interrupted the wait.
    """
    return _PrivateLoop(main).result()


class _PrivateLoop(Generic[_T]):
    def __init__(self, main: Callable[[], Coroutine[Any, Any, _T]]) -> None:
        self._main = main
        self._outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._thread_main,), name="headrace-loop", daemon=True
        )

    def result(self) -> _T:
        try:
            self._thread.start()  # It waits, too, and may be interrupted when the coroutine runs already.
            while not concurrent.futures.wait((self._outcome,), timeout=_SLICE).done:
                pass
        except BaseException:
            self._cancel()
            raise
        finally:
            # The loop may have to clean up behind the coroutine. That is no reason to wait for ever either.
            if self._thread.is_alive():
                self._thread.join(_GRACE)
        return self._outcome.result()

    def _cancel(self) -> None:
        if self._started.wait(_GRACE) and self._task is not None:
            with contextlib.suppress(RuntimeError):  # The loop came to its end meanwhile.
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _thread_main(self) -> None:
        try:
            asyncio.run(self._coroutine())
        except BaseException as error:  # noqa: BLE001 - it is not handled but handed over
            # Without an outcome, a task raised SystemExit or KeyboardInterrupt, which stop the loop on the spot.
            if not self._outcome.done():
                self._outcome.set_exception(error)

    async def _coroutine(self) -> None:
        self._task = asyncio.current_task()
        self._started.set()
        try:
            value = await self._main()
        except Exception as error:  # noqa: BLE001 - it is not handled but handed over
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(value)
