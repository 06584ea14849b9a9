"""The thread with an event loop, where it starts and where it is closed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

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
