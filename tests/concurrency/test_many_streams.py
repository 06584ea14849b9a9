"""Many streams at once: they are not mixed up, and on an event loop they need no threads."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from support.harness import Simulate, agent_at, collect, count_threads, needs_proc

if TYPE_CHECKING:
    from headrace import Agent
    from headrace.testing import Simulator

STREAMS = 200


def answers_by_task(count: int, **pacing: Any) -> dict[str, Any]:
    """A script in which every task has an answer of its own."""
    turns = [{"when": {"contains": f"<{n}>"}, "text": [f"{n}:{k} " for k in range(8)]} for n in range(count)]
    return {"turns": turns, "pacing": pacing}


def answer(number: int) -> list[str]:
    return [f"{number}:{k} " for k in range(8)]


@pytest.fixture
def simulator(simulate: Simulate) -> Simulator:
    """Answers slowly enough for all streams to run at the same time."""
    return simulate(**answers_by_task(STREAMS, mode="steady", interval_ms=20, jitter_ms=20))


async def gather(agent: Agent, numbers: range) -> list[list[str]]:
    return await asyncio.gather(*(collect(agent.arun_stream(f"Say <{number}>.")) for number in numbers))


def test_streams_of_one_event_loop_are_not_mixed_up(simulator: Simulator) -> None:
    answers = asyncio.run(gather(agent_at(simulator), range(STREAMS)))
    assert answers == [answer(number) for number in range(STREAMS)]


@needs_proc
def test_streams_of_one_event_loop_have_no_threads(simulator: Simulator) -> None:
    async def main() -> tuple[int, int]:
        agent = agent_at(simulator)
        await collect(agent.arun_stream("Say <0>."))
        python_threads, threads = threading.active_count(), count_threads()
        streaming = asyncio.ensure_future(gather(agent, range(STREAMS)))
        most = most_python = 0
        while not streaming.done():
            await asyncio.sleep(0.005)
            most, most_python = max(most, count_threads()), max(most_python, threading.active_count())
        assert len(await streaming) == STREAMS
        return most - threads, most_python - python_threads

    assert asyncio.run(main()) == (0, 0)


@needs_proc
def test_closing_many_streams_at_once_starts_no_thread_for_each(simulate: Simulate) -> None:
    simulator = simulate("a b", fault={"kind": "stall", "after": 1})

    async def main() -> int:
        agent = agent_at(simulator)
        streams = [agent.arun_stream("Go.") for _ in range(STREAMS)]
        assert await asyncio.gather(*map(anext, streams)) == ["a"] * STREAMS
        before = count_threads()
        closing = asyncio.gather(*(stream.aclose() for stream in streams))
        most = 0
        while not closing.done():
            await asyncio.sleep(0)
            most = max(most, count_threads())
        return most - before

    assert asyncio.run(main()) < 20


def test_one_agent_streams_from_many_threads(simulator: Simulator) -> None:
    agent = agent_at(simulator)

    def read(number: int) -> list[str]:
        return list(agent.run_stream(f"Say <{number}>."))

    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(read, range(48))) == [answer(number) for number in range(48)]


def test_one_agent_streams_from_threads_and_event_loops_at_once(simulator: Simulator) -> None:
    agent = agent_at(simulator)

    def on_an_event_loop(start: int) -> list[list[str]]:
        return asyncio.run(gather(agent, range(start, start + 20)))

    def in_a_thread(number: int) -> list[str]:
        return list(agent.run_stream(f"Say <{number}>."))

    with ThreadPoolExecutor(12) as pool:
        loops = [pool.submit(on_an_event_loop, start) for start in (0, 20)]
        threads = [pool.submit(in_a_thread, number) for number in range(40, 50)]
        answers = [tokens for loop in loops for tokens in loop.result()] + [thread.result() for thread in threads]
    assert answers == [answer(number) for number in range(50)]


def test_one_stream_is_read_by_one_thread_at_a_time(simulate: Simulate) -> None:
    simulator = simulate([f"{n} " for n in range(500)])
    stream = agent_at(simulator).run_stream("Go.")
    taken: list[str] = []
    lock = threading.Lock()

    def read() -> None:
        while True:
            with lock:
                token = next(stream, None)
                if token is None:
                    return
                taken.append(token)

    with ThreadPoolExecutor(4) as pool:
        for reading in [pool.submit(read) for _ in range(4)]:
            reading.result()
    assert taken == [f"{n} " for n in range(500)]


def test_attributes_of_a_stream_can_be_read_from_another_thread(simulate: Simulate) -> None:
    words = [f"{n} " for n in range(5000)]
    stream = agent_at(simulate(words)).run_stream("Go.")
    finished = threading.Event()
    looks: list[tuple[str, str]] = []

    def look() -> None:
        while not finished.is_set():
            looks.append((stream.state, stream.text))
            assert stream.timing is None or stream.timing.chunks <= 5000

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        assert list(stream) == words
        finished.set()
        looking.result()
    whole = "".join(words)
    assert looks
    assert all(whole.startswith(text) for _, text in looks)
