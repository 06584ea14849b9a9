"""``run`` for several tasks: one after the other, in threads, on the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from headrace import ConfigurationError, ServerError
from support.conversations import bodies, calling, sent
from support.harness import PATIENCE, Simulate, agent_at, outcomes, wait_for_outcomes

if TYPE_CHECKING:
    from headrace.testing import Simulator

TASKS = ["one", "two", "three"]


@pytest.fixture
def echo(simulate: Simulate) -> Simulator:
    """Answers each task with itself, the first one last."""
    turns = [
        {
            "when": {"contains": task},
            "text": f"{task}!",
            "pacing": {"mode": "fast", "first_ms": 10 * (len(TASKS) - number)},
        }
        for number, task in enumerate(TASKS)
    ]
    return simulate(turns=turns)


def test_run_batched_runs_one_after_the_other(echo: Simulator) -> None:
    assert agent_at(echo).run_batched(iter(TASKS)) == ["one!", "two!", "three!"]
    requests = echo.report()["requests"]
    assert [request["body"]["messages"][0]["content"] for request in requests] == TASKS
    for earlier, later in itertools.pairwise(requests):
        assert earlier["first_byte_ns"] < later["received_ns"]


def test_run_concurrent_keeps_the_order_of_the_tasks(echo: Simulator) -> None:
    assert agent_at(echo).run_concurrent(TASKS) == ["one!", "two!", "three!"]


def test_arun_concurrent_keeps_the_order_of_the_tasks(echo: Simulator) -> None:
    assert asyncio.run(agent_at(echo).arun_concurrent(iter(TASKS))) == ["one!", "two!", "three!"]


@pytest.mark.parametrize("way", ["run_concurrent", "arun_concurrent"])
def test_concurrent_tasks_run_at_the_same_time(simulate: Simulate, way: str) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, {"tool_calls": [calling("meet")]}])
    barrier = threading.Barrier(4)

    def meet() -> str:
        barrier.wait(PATIENCE)
        return "met"

    agent = agent_at(simulator, tools=[meet], max_loops=2)
    tasks = ["Go."] * 4
    answers = agent.run_concurrent(tasks) if way == "run_concurrent" else asyncio.run(agent.arun_concurrent(tasks))
    assert answers == ["Done."] * 4


def test_max_workers_limits_the_concurrent_tasks(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, {"tool_calls": [calling("count")]}])
    lock, now, most = threading.Lock(), [0], [0]

    def count() -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1
        return "counted"

    agent = agent_at(simulator, tools=[count], max_loops=2)
    assert agent.run_concurrent(["Go."] * 8, max_workers=2) == ["Done."] * 8
    assert most[0] <= 2


@pytest.mark.parametrize("way", ["run_batched", "run_concurrent", "arun_concurrent"])
def test_the_answers_have_the_output_type(echo: Simulator, way: str) -> None:
    agent = agent_at(echo, output_type="list")
    made = getattr(agent, way)(TASKS)
    answers = asyncio.run(made) if way == "arun_concurrent" else made
    assert answers == [[f"user: {task}", f"assistant: {task}!"] for task in TASKS]


@pytest.mark.parametrize("way", ["run_batched", "run_concurrent", "arun_concurrent"])
def test_an_empty_list_of_tasks_gives_an_empty_list(echo: Simulator, way: str) -> None:
    made = getattr(agent_at(echo), way)([])
    assert (asyncio.run(made) if way == "arun_concurrent" else made) == []
    assert bodies(echo) == []


@pytest.mark.parametrize("way", ["run_batched", "run_concurrent"])
def test_the_error_of_a_run_is_raised(simulate: Simulate, way: str) -> None:
    fails = {"when": {"contains": "two"}, "fault": {"kind": "status", "status": 500}}
    simulator = simulate(turns=[fails, {"text": "Fine."}])
    with pytest.raises(ServerError):
        getattr(agent_at(simulator), way)(TASKS)


def test_the_error_of_one_run_leaves_no_other_running(simulate: Simulate) -> None:
    fails = {"when": {"contains": "two"}, "fault": {"kind": "status", "status": 500}}
    stalls = {"text": "Fine.", "fault": {"kind": "stall", "after": 1}}
    simulator = simulate(turns=[fails, stalls])

    async def main() -> None:
        with pytest.raises(ServerError):
            await agent_at(simulator).arun_concurrent(TASKS)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    # A run that was cancelled early has sent no request.
    assert "running" not in outcomes(simulator)


def test_cancelling_arun_concurrent_closes_every_connection(simulate: Simulate) -> None:
    simulator = simulate("one two", fault={"kind": "stall", "after": 1})

    async def main() -> None:
        running = asyncio.ensure_future(agent_at(simulator).arun_concurrent(TASKS))
        await asyncio.to_thread(wait_for_outcomes, simulator, "running", 3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected", 3)

    asyncio.run(main())
    assert outcomes(simulator) == ["disconnected"] * 3


@pytest.mark.parametrize(
    "way",
    [
        "run_concurrent",
        "run_batched",
        "arun_concurrent",
    ],
)
def test_context_variables_reach_the_tools(simulate: Simulate, way: str) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, {"tool_calls": [calling("who")]}])
    user = contextvars.ContextVar("user", default="nobody")

    def who() -> str:
        return user.get()

    agent = agent_at(simulator, tools=[who], max_loops=2)

    def main() -> None:
        user.set("Ada")
        made = getattr(agent, way)(["Go.", "Go."])
        assert (asyncio.run(made) if way == "arun_concurrent" else made) == ["Done."] * 2

    contextvars.copy_context().run(main)
    answered = [message["content"] for body in bodies(simulator) for message in body["messages"][2:]]
    assert answered == ["Ada", "Ada"]


def test_arun_returns_the_answer_and_does_not_block_the_loop(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, {"tool_calls": [calling("wait")]}])

    async def main() -> str:
        over = asyncio.Event()

        async def wait() -> str:
            await over.wait()
            return "waited"

        async def release() -> None:
            over.set()

        agent = agent_at(simulator, tools=[wait], max_loops=2)
        answer, _ = await asyncio.gather(agent.arun("Go."), release())
        return str(answer)

    assert asyncio.run(main()) == "Done."


@pytest.mark.parametrize("task", ["", "  \n", None, 7])
def test_an_empty_task_is_refused(simulate: Simulate, task: object) -> None:
    simulator = simulate()
    agent = agent_at(simulator)
    with pytest.raises(ConfigurationError, match="task"):
        agent.run(task)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="task"):
        agent.run_batched([task])  # type: ignore[list-item]
    assert simulator.report()["requests"] == []


def test_arun_shows_the_answer_at_its_end(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    simulator = simulate("It is fine.")
    asyncio.run(agent_at(simulator, print_on=True).arun("Go."))
    assert capsys.readouterr() == ("It is fine.\n", "")
    asyncio.run(agent_at(simulator, print_on=False).arun("Go."))
    assert capsys.readouterr() == ("", "")


def test_a_run_of_several_turns_shows_what_streams(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    adds = {"text": "Let me look.", "tool_calls": [calling("look")]}
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "I see."}, adds])

    def look() -> str:
        return "much"

    agent = agent_at(simulator, tools=[look], max_loops=2, print_on=True, streaming_on=True)
    assert agent.run("Go.") == "I see."
    assert capsys.readouterr().out == "Let me look.I see.\n"
    assert sent(simulator)[-1]["content"] == "much"
