"""Agents and workflows as targets of a benchmark: what a whole run takes, by its turns, tools and phases."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from headrace import Agent, ConfigurationError, SequentialWorkflow, bench
from headrace.testing import Simulator

PACED = {"mode": "steady", "first_ms": 20, "interval_ms": 4}
CALL = {"tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]}
ANSWER = {"when": {"role": "tool"}, "text": ["It", " is", " cold."]}


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: Where.
    """
    time.sleep(0.03)
    return f"cold in {city}"


def agent_at(simulator: Simulator, **options: Any) -> Agent:
    return Agent(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False, **options)


def measured(target: Any, **options: Any) -> bench.Report:
    return bench.run(target, **{"self_test": False, "warm_up": 0, **options})


def test_the_answer_comes_after_the_tools_and_each_turn_is_measured() -> None:
    with Simulator(turns=[ANSWER, CALL], pacing=PACED) as simulator:
        report = measured(agent_at(simulator, tools=[weather], max_loops=3), concurrency=3, requests=6)
    assert report.verdict.kind == "valid", report.verdict
    metrics = report.metrics
    assert metrics["ttft"].p50 == metrics["ttft_call"].p50
    assert metrics["tool"].count == 6
    assert metrics["tool"].p50 >= 0.030
    assert metrics["tools"].p50 >= 0.030
    assert metrics["ttft_answer"].p50 >= 0.020 + 0.030 + 0.020
    assert metrics["turn_ttft"].count == 12
    # No gap is counted across the tools: between two turns no token is awaited.
    assert metrics["itl"].max < metrics["tool"].p50 + 0.020
    assert metrics["itl"].count == sum(len(each["turns"]) * 2 for each in report.measured.records)
    assert report.model == "openai/sim"


def test_phases_of_an_autonomous_run_are_told() -> None:
    plan = {
        "tool_calls": [
            {"name": "create_plan", "arguments": {"subtasks": [{"id": "a", "description": "do it"}]}},
        ]
    }
    turns = [
        {"when": {"contains": "subtask_done"}, "text": "unused"},
        plan,
    ]
    with Simulator(turns=turns, pacing=PACED) as simulator:
        report = measured(agent_at(simulator, max_loops="auto"), requests=1, max_error_rate=1.0)
    # Whatever the model did: the planning was a phase, and it took at least its first token.
    phases = report.measured.records[0]["phases_ns"]
    assert phases["plan"] >= 20_000_000


def test_a_workflow_is_measured_and_its_agents_turns_told() -> None:
    with Simulator(turns=[{"text": ["a", "b"]}], pacing=PACED) as simulator:
        agents = [agent_at(simulator, agent_name=name) for name in ("first", "second")]
        report = measured(SequentialWorkflow(agents=agents), requests=2, name="pair")
    assert report.target == "pair"
    assert [turn["agent"] for turn in report.measured.records[0]["turns"]] == ["first", "second"]
    assert report.metrics["e2e"].p50 >= 2 * 0.024


def test_an_open_load_of_runs_does_not_wait() -> None:
    with Simulator(turns=[{"text": ["a"]}], pacing={"mode": "steady", "first_ms": 300}) as simulator:
        report = measured(agent_at(simulator), rate=100, requests=5, arrivals="constant")
    records = report.measured.records
    assert max(each["opened_ns"] for each in records) < min(each["first_output_ns"] for each in records)
    assert report.metrics["lag"].count == 5


def test_runs_that_fail_are_failures_of_the_report() -> None:
    with Simulator(turns=[{"text": "x", "fault": {"kind": "status", "status": 400}}]) as simulator:
        report = measured(agent_at(simulator), requests=2)
    assert report.requests == {"rejected": 2}
    assert report.exit_code == 2
    assert "400" in report.verdict.reason


def test_the_own_error_is_that_of_an_agent() -> None:
    with Simulator(turns=[{"text": ["a", "b", "c"]}], pacing=PACED) as simulator:
        report = measured(agent_at(simulator), requests=4, self_test=True, warm_up=1)
    assert report.self_error is not None
    assert report.self_error.shape.tokens == 3
    assert report.self_error.itl is not None


def test_it_can_be_called_where_an_event_loop_runs() -> None:
    async def notebook(agent: Agent) -> bench.Report:
        return measured(agent, requests=1)

    with Simulator(turns=[{"text": ["a"]}]) as simulator:
        assert asyncio.run(notebook(agent_at(simulator))).requests == {"complete": 1}


def test_what_is_no_agent_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no agent and no workflow"):
        bench.run(object())  # type: ignore[arg-type]
