"""The thread with an event loop, where it starts and where it is closed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import gc
import threading
import weakref

import pytest

from headrace._concurrency.event_loop_thread import EventLoopThread
from support.harness import PATIENCE


async def one() -> int:
    return 1


def test_a_coroutine_is_not_started_on_an_event_loop_that_is_closing() -> None:
    thread = EventLoopThread("test")
    busy, cleaning_up, may_end = threading.Event(), threading.Event(), threading.Event()
    started: list[bool] = []

    async def clean_up_slowly() -> None:
        try:
            busy.set()
            await asyncio.get_running_loop().create_future()
        finally:
            cleaning_up.set()
            await asyncio.to_thread(may_end.wait, PATIENCE)

    async def late() -> None:
        started.append(True)

    thread.submit(clean_up_slowly)
    assert busy.wait(PATIENCE)
    thread.close(wait=0)
    assert cleaning_up.wait(PATIENCE)
    outcome = thread.submit(late)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        outcome.result(PATIENCE)
    thread.close(wait=PATIENCE)
    assert started == []


def test_a_thread_that_cannot_start_leaves_no_other_caller_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = EventLoopThread("test")
    start = thread._thread.start
    submitted: concurrent.futures.Future[int] = concurrent.futures.Future()
    other = threading.Thread(target=lambda: submitted.set_result(thread.submit(one).result(PATIENCE)), daemon=True)

    def fail_once() -> None:
        monkeypatch.setattr(thread._thread, "start", start)
        other.start()
        other.join(0.1)  # The other caller has time to come here, and to wait for this start.
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(thread._thread, "start", fail_once)
    with pytest.raises(RuntimeError, match="can't start"):
        thread.submit(one)
    assert submitted.result(PATIENCE) == 1
    thread.close(wait=PATIENCE)


class Result:
    """What a coroutine returns."""


async def make_result() -> Result:
    return Result()


def test_an_event_loop_that_cannot_be_made_raises_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> asyncio.AbstractEventLoop:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", fail)
    thread = EventLoopThread("test")
    for _ in range(2):
        with pytest.raises(OSError, match="Too many open files"):
            thread.run(make_result)
    thread.close()


def test_a_result_and_an_error_are_freed_without_the_garbage_collector() -> None:
    class FailureError(Exception):
        pass

    async def fail() -> None:
        raise FailureError

    gc.collect()
    gc.disable()
    try:
        thread = EventLoopThread("test")
        result = weakref.ref(thread.run(make_result))
        with pytest.raises(FailureError) as caught:
            thread.run(fail)
        error = weakref.ref(caught.value)
        del caught
        # Until the thread has ended, it may still be about to let go of them.
        thread.close(wait=PATIENCE)
        assert result() is None
        assert error() is None
    finally:
        gc.enable()
