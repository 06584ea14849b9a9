"""Streams leave nothing behind: no thread, no file descriptor, no connection, no memory."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from support.harness import (
    PATIENCE,
    Reader,
    Simulate,
    agent_at,
    collect,
    count_descriptors,
    count_threads,
    needs_proc,
    wait_until_disconnected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import Agent
    from headrace.testing import Simulator

pytestmark = needs_proc

ROUNDS = 50

SPARE = 4
"""A request that follows at once may come before the last connection is free again. Then a second one is opened, and
kept: the client's end of it and the simulator's, which is in the same process."""


def assert_comes_down_to(count: Callable[[], int], most: int) -> None:
    """Waits for the count to fall: the simulator's threads and sockets count too, and close a little later."""
    deadline = time.monotonic() + PATIENCE
    while (found := count()) > most:
        assert time.monotonic() < deadline, f"{count.__name__}: {found}, and not {most}"
        time.sleep(0.01)


def read_to_the_end(reader: Reader, agent: Agent) -> None:
    assert reader.read(agent, "whole").error is None


def close_early(reader: Reader, agent: Agent) -> None:
    reading = reader.start(agent, "stall")
    reading.take(1)
    reading.close()


def drop(reader: Reader, agent: Agent) -> None:
    reading = reader.start(agent, "stall")
    reading.take(1)
    reading.drop()


def never_read(reader: Reader, agent: Agent) -> None:
    reader.start(agent, "stall")


def fail(reader: Reader, agent: Agent) -> None:
    assert reader.read(agent, "broken").error is not None


@pytest.fixture
def simulator(simulate: Simulate) -> Simulator:
    """Answers, stalls or breaks, depending on the task."""
    return simulate(
        turns=[
            {"when": {"contains": "whole"}, "text": "a b c"},
            {"when": {"contains": "stall"}, "text": "a b c", "fault": {"kind": "stall", "after": 1}},
            {"when": {"contains": "broken"}, "text": "a b c", "fault": {"kind": "reset", "after": 1}},
        ]
    )


@pytest.mark.parametrize("leave", [read_to_the_end, close_early, drop, never_read, fail])
def test_no_thread_or_descriptor_stays_behind(
    simulator: Simulator, reader: Reader, leave: Callable[[Reader, Agent], None]
) -> None:
    agent = agent_at(simulator)

    def go(rounds: int) -> None:
        for _ in range(rounds):
            leave(reader, agent)
        gc.collect()
        if leave is not read_to_the_end:  # which keeps its connection for the next
            wait_until_disconnected(simulator)

    go(3)
    descriptors, python_threads, threads = count_descriptors(), threading.active_count(), count_threads()
    go(ROUNDS)
    assert threading.active_count() <= python_threads
    assert_comes_down_to(count_descriptors, descriptors + SPARE)
    # The thread pool that waits for closed connections may keep a few threads for some seconds.
    assert_comes_down_to(count_threads, threads + 5)


def test_cancelled_tasks_leave_nothing_behind(simulator: Simulator) -> None:
    agent = agent_at(simulator)

    async def main() -> None:
        async def cancel_one() -> None:
            stream = agent.arun_stream("stall")
            assert await anext(stream) == "a"
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        await cancel_one()
        await asyncio.to_thread(wait_until_disconnected, simulator)
        descriptors, threads = count_descriptors(), count_threads()
        for _ in range(ROUNDS):
            await cancel_one()
        await asyncio.to_thread(assert_comes_down_to, count_descriptors, descriptors)
        assert_comes_down_to(count_threads, threads)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_closed_event_loops_leave_nothing_behind(simulator: Simulator) -> None:
    agent = agent_at(simulator)

    def one_loop() -> None:
        assert asyncio.run(collect(agent.arun_stream("whole"))) == ["a", " b", " c"]

    one_loop()
    gc.collect()
    descriptors, threads = count_descriptors(), count_threads()
    for _ in range(ROUNDS):
        one_loop()
    gc.collect()
    assert_comes_down_to(count_descriptors, descriptors + SPARE)
    assert_comes_down_to(count_threads, threads)


def test_memory_does_not_grow_from_stream_to_stream(simulator: Simulator, reader: Reader) -> None:
    agent = agent_at(simulator)

    def used() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    for _ in range(5):
        reader.read(agent, "whole")
    tracemalloc.start()
    try:
        reader.read(agent, "whole")
        before = used()
        for _ in range(ROUNDS):
            reader.read(agent, "whole")
        assert used() - before < 64 * ROUNDS
    finally:
        tracemalloc.stop()
