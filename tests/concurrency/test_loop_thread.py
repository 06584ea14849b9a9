"""The event loop in its own thread, on which blocking code runs coroutines."""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
import weakref

import pytest

from headrace._concurrency.loop_thread import LoopThread
from support.harness import PATIENCE


class Result:
    """What a coroutine returns."""


async def make_result() -> Result:
    return Result()


def test_no_coroutine_begins_on_a_loop_that_is_closing() -> None:
    running, cancelled, begun = threading.Event(), threading.Event(), threading.Event()
    may_end = threading.Event()

    async def clean_up_slowly() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await asyncio.to_thread(may_end.wait, PATIENCE)

    async def begin() -> None:
        begun.set()

    loop = LoopThread("headrace-test")
    loop.submit(clean_up_slowly)
    assert running.wait(PATIENCE)
    loop.close(wait=0)
    assert cancelled.wait(PATIENCE)
    late = loop.submit(begin)
    may_end.set()
    assert isinstance(late.exception(PATIENCE), asyncio.CancelledError)
    loop.close()
    assert not begun.is_set()


def test_a_loop_that_cannot_be_made_raises_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> asyncio.AbstractEventLoop:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", fail)
    loop = LoopThread("headrace-test")
    for _ in range(2):
        with pytest.raises(OSError, match="Too many open files"):
            loop.run(make_result)
    loop.close()


def test_a_result_and_an_error_are_freed_without_the_garbage_collector() -> None:
    class FailureError(Exception):
        pass

    async def fail() -> None:
        raise FailureError

    gc.collect()
    gc.disable()
    try:
        loop = LoopThread("headrace-test")
        result = weakref.ref(loop.run(make_result))
        with pytest.raises(FailureError) as caught:
            loop.run(fail)
        error = weakref.ref(caught.value)
        del caught
        # Until the thread has ended, it may still be about to let go of them.
        loop.close(wait=PATIENCE)
        assert result() is None
        assert error() is None
    finally:
        gc.enable()
