"""An event loop that watches no file descriptors, as that of Windows: a thread wakes it, and streams are the same."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any, NoReturn

from headrace.testing import Simulator
from support.harness import PATIENCE, agent_at


class WithoutReaders(asyncio.SelectorEventLoop):
    """As the proactor loop."""

    # The loop's own wake-ups use the private method.
    def add_reader(self, *_: Any) -> NoReturn:  # type: ignore[override]
        raise NotImplementedError


def run(main: Any) -> Any:
    loop = WithoutReaders()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def waking_threads() -> int:
    return sum(thread.name == "headrace-wake" for thread in threading.enumerate())


def test_streams_arrive_token_by_token_many_at_a_time() -> None:
    async def one(agent: Any) -> list[str]:
        return [token async for token in agent.arun_stream("Go.")]

    async def main(agent: Any) -> list[list[str]]:
        return await asyncio.gather(*(one(agent) for _ in range(50)))

    tokens = [f"t{number} " for number in range(20)]
    with Simulator(turns=[{"text": tokens}], pacing={"mode": "steady", "interval_ms": 1}) as simulator:
        assert run(main(agent_at(simulator))) == [tokens] * 50


def test_events_tools_and_cancelling_work() -> None:
    async def look() -> str:
        """Looks."""
        await asyncio.sleep(0)
        return "seen"

    turns = [{"when": {"role": "tool"}, "text": "I see."}, {"tool_calls": [{"name": "look"}]}]

    async def main(simulator: Simulator) -> None:
        agent = agent_at(simulator, tools=[look], max_loops=2)
        kinds = [event.type async for event in agent.arun_stream("Go.", with_events=True)]
        assert kinds[-1] == "run_end"
        assert await agent.arun("Go.") == "I see."

    with Simulator(turns=turns) as simulator:
        run(main(simulator))

    async def stalled(simulator: Simulator) -> None:
        stream = agent_at(simulator).arun_stream("Go.")
        assert await anext(stream) == "one"
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        await stream.aclose()
        assert await simulator.await_for(lambda report: report["requests"][0]["outcome"] == "disconnected")

    with Simulator(turns=[{"text": "one two", "fault": {"kind": "stall", "after": 1}}]) as simulator:
        run(stalled(simulator))


def test_the_thread_ends_with_its_event_loop() -> None:
    before = waking_threads()
    with Simulator(turns=[{"text": "x"}]) as simulator:
        assert run(agent_at(simulator).arun("Go.")) == "x"
    gc.collect()
    until = time.monotonic() + PATIENCE
    while waking_threads() > before and time.monotonic() < until:
        time.sleep(0.05)
    assert waking_threads() <= before
