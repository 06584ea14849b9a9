"""One agent with many runs at the same time: they share only its configuration."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from headrace.events import ToolResultReturned
from support.conversations import bodies, calling
from support.harness import PATIENCE, Simulate, agent_at, collect

if TYPE_CHECKING:
    from headrace import Agent
    from headrace.testing import Simulator

TASKS = 100
THREADS = 20


def answer(number: int) -> str:
    """The text of all turns of a task."""
    return f"[{number}] looks up. [{number}] found <{number}:one>. [{number}] is done."


@pytest.fixture
def simulator(simulate: Simulate) -> Simulator:
    """Calls two tools for each task, then one more, and answers; each of them with the task's own number."""
    turns: list[dict[str, Any]] = []
    for number in range(TASKS + THREADS):
        both = [calling("look", {"n": number, "what": what}) for what in ("zero", "one")]
        last = [calling("alook", {"n": number, "what": "two"})]
        turns += [
            {"when": {"contains": f"<{number}>"}, "text": f"[{number}] looks up. ", "tool_calls": both},
            {
                "when": {"contains": f"<{number}:one>"},
                "text": f"[{number}] found <{number}:one>. ",
                "tool_calls": last,
            },
            {"when": {"contains": f"<{number}:two>"}, "text": f"[{number}] is done."},
        ]
    return simulate(turns=turns, pacing={"mode": "steady", "interval_ms": 2, "jitter_ms": 2})


def look(n: int, what: str) -> str:
    return f"<{n}:{what}>"


async def alook(n: int, what: str) -> str:
    await asyncio.sleep(0)
    return f"<{n}:{what}>"


@pytest.fixture
def agent(simulator: Simulator) -> Agent:
    return agent_at(simulator, tools=[look, alook], max_loops=5, system_prompt="You look up.")


def assert_each_saw_its_own_only(simulator: Simulator) -> None:
    """Checks that each request contains only one task, and only its calls and results."""
    for body in bodies(simulator):
        [system, task, *rest] = body["messages"]
        assert system["content"] == "You look up."
        number = task["content"].strip("<>")
        for message in rest:
            content = message["content"]
            assert content.startswith((f"[{number}]", f"<{number}:"))


def test_a_hundred_tasks_and_twenty_threads_at_once(simulator: Simulator, agent: Agent) -> None:
    def in_a_thread(number: int) -> str:
        return "".join(agent.run_stream(f"<{number}>"))

    async def one(number: int) -> str:
        return "".join(await collect(agent.arun_stream(f"<{number}>")))

    async def main() -> list[str]:
        return await asyncio.gather(*map(one, range(TASKS)))

    with ThreadPoolExecutor(THREADS) as pool:
        in_threads = pool.map(in_a_thread, range(TASKS, TASKS + THREADS))
        on_the_loop = asyncio.run(main())
        assert [*on_the_loop, *in_threads] == [answer(number) for number in range(TASKS + THREADS)]
    assert len(bodies(simulator)) == 3 * (TASKS + THREADS)
    assert_each_saw_its_own_only(simulator)


def test_the_events_of_each_run_are_its_own(agent: Agent) -> None:
    async def one(number: int) -> list[Any]:
        return [event async for event in agent.arun_stream(f"<{number}>", with_events=True)]

    async def main() -> list[list[Any]]:
        return await asyncio.gather(*map(one, range(20)))

    for number, events in enumerate(asyncio.run(main())):
        assert [event.seq for event in events] == list(range(len(events)))
        results = [event.content for event in events if isinstance(event, ToolResultReturned)]
        assert results == [f"<{number}:{what}>" for what in ("zero", "one", "two")]
        assert events[-1].text == answer(number)


def test_context_variables_are_those_of_each_run(simulate: Simulate) -> None:
    user = contextvars.ContextVar("user", default="nobody")
    simulator = simulate(turns=[{"when": {"role": "user"}, "tool_calls": [calling("who"), calling("awho")]}])

    def who() -> str:
        return user.get()

    async def awho() -> str:
        return user.get()

    agent = agent_at(simulator, tools=[who, awho])

    def asked(events: list[Any]) -> list[str]:
        return [event.content for event in events if isinstance(event, ToolResultReturned)]

    async def one(name: str) -> list[str]:
        user.set(name)
        return asked([event async for event in agent.arun_stream("Go.", with_events=True)])

    async def main(names: list[str]) -> list[list[str]]:
        return await asyncio.gather(*map(one, names))

    def in_a_thread(name: str) -> list[str]:
        user.set(name)
        return asked(list[Any](agent.run_stream("Go.", with_events=True)))

    names = [f"user {number}" for number in range(20)]
    assert asyncio.run(main(names)) == [[name, name] for name in names]
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(in_a_thread, names)) == [[name, name] for name in names]
    assert user.get() == "nobody"


def test_the_end_of_one_run_does_not_touch_another(simulate: Simulate) -> None:
    wait = {"text": "Wait.", "tool_calls": [calling("wait")]}
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, wait])

    async def main() -> None:
        began: list[str] = []
        over = asyncio.Event()

        async def wait() -> str:
            began.append("")
            await over.wait()
            return "waited"

        agent = agent_at(simulator, tools=[wait], max_loops=2)
        runs = [asyncio.ensure_future(collect(agent.arun_stream("Go."))) for _ in range(4)]
        while len(began) < 4:
            assert not any(run.done() for run in runs)
            await asyncio.sleep(0.001)
        for run in runs[::2]:
            run.cancel()
        await asyncio.wait(runs[::2])
        over.set()
        assert [await run for run in runs[1::2]] == [["Wait.", "Done."]] * 2

    asyncio.run(main())


def test_changing_an_agent_changes_only_later_runs(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": "Again.", "tool_calls": [calling("look", {"n": 1, "what": "x"})]}])
    agent = agent_at(simulator, tools=[look], max_loops=3)
    stream = agent.run_stream("Go.")
    assert next(stream) == "Again."
    agent.max_loops = 1
    agent.system_prompt = "Stop."
    assert list(stream) == ["Again."] * 2
    assert list(agent.run_stream("Go.")) == ["Again."]
    assert [body["messages"][0]["role"] for body in bodies(simulator)] == ["user"] * 3 + ["system"]


def test_tools_of_parallel_runs_run_in_parallel(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, {"tool_calls": [calling("meet")]}])
    barrier = threading.Barrier(6)

    def meet() -> str:
        barrier.wait(PATIENCE)
        return "met"

    agent = agent_at(simulator, tools=[meet], max_loops=2)

    async def main() -> list[list[str]]:
        return await asyncio.gather(*(collect(agent.arun_stream("Go.")) for _ in range(3)))

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(lambda: list(agent.run_stream("Go."))) for _ in range(3)]
        assert asyncio.run(main()) == [["Done."]] * 3
        assert [thread.result() for thread in threads] == [["Done."]] * 3
