"""What is seen of a run while it goes on: retries, why it ended, the head of a response, answers that are short."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from headrace import IncompleteAnswerError, ServerError
from headrace.events import Fallback, Retry, RunEnd
from headrace.testing import Simulator
from support.harness import Simulate, agent_at

if TYPE_CHECKING:
    from headrace.pytest_plugin import StartSimulator


def events_of(agent: Any) -> tuple[list[Any], Exception | None]:
    events, error = [], None
    stream = agent.run_stream("Go.", with_events=True)
    try:
        while True:
            events.append(next(stream))
    except StopIteration:
        pass
    except Exception as caught:  # noqa: BLE001 - it is looked at
        error = caught
    return events, error


def test_each_attempt_is_an_event(simulate: Simulate, caplog: pytest.LogCaptureFixture) -> None:
    limited = {"kind": "status", "status": 429, "headers": {"retry-after": "0.01"}, "times": 2}
    simulator = simulate("fine", fault=limited)
    with caplog.at_level(logging.INFO, logger="headrace"):
        events, error = events_of(agent_at(simulator, retry_attempts=3))
    assert error is None
    retries = [event for event in events if isinstance(event, Retry)]
    assert [(each.status, each.attempt, each.wait, each.model) for each in retries] == [
        (429, 2, 0.01, "openai/sim"),
        (429, 3, 0.01, "openai/sim"),
    ]
    assert "429" in retries[0].error
    assert events[-1].error is None
    assert [record.name for record in caplog.records] == ["headrace.retries"] * 2


def test_a_fallback_is_seen_and_logged(simulate: Simulate, caplog: pytest.LogCaptureFixture) -> None:
    turns = [{"when": {"model": "sim"}, "text": "x", "fault": {"kind": "status", "status": 503}}, {"text": "fine"}]
    with caplog.at_level(logging.INFO, logger="headrace"):
        events, error = events_of(agent_at(simulate(turns=turns), fallback_models=["openai/other"]))
    assert error is None
    assert [event.fallback for event in events if isinstance(event, Fallback)] == ["openai/other"]
    assert caplog.records[0].levelno == logging.WARNING


def test_the_last_event_says_why_a_run_failed(simulate: Simulate) -> None:
    events, error = events_of(agent_at(simulate("x", fault={"kind": "status", "status": 500})))
    assert isinstance(error, ServerError)
    assert isinstance(events[-1], RunEnd)
    assert events[-1].error == str(error)


def test_a_turn_has_the_head_of_its_response(simulate: Simulate) -> None:
    simulator = simulate("fine")
    stream = agent_at(simulator).run_stream("Go.")
    list(stream)
    [turn] = stream.turns
    sequence = simulator.report()["requests"][0]["sequence"]
    assert turn.request_id == f"req-{sequence}"
    assert turn.headers == {"x-request-id": f"req-{sequence}"}
    assert "set-cookie" not in turn.headers


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        ({"text": "cut", "finish_reason": "length"}, "length"),
        ({"text": "whole"}, None),
        ({"tool_calls": [{"name": "look"}]}, "max_loops"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_an_answer_that_is_short_says_why(turn: dict[str, Any], why: str | None, strict: bool) -> None:
    def look() -> str:
        """Looks."""
        return "seen"

    with Simulator(turns=[turn]) as simulator:
        stream = agent_at(simulator, tools=[look], max_loops=2, strict_end=strict).run_stream("Go.")
        tokens: list[str] = []
        error = None
        try:
            tokens += stream
        except IncompleteAnswerError as caught:
            error = caught
    assert "".join(tokens) == turn.get("text", "")
    assert (error is not None) == (strict and why is not None)
    assert stream.state == ("truncated" if error else "complete")
    if not strict:
        assert stream.incomplete == why


def test_the_fixture_starts_simulators(headrace_simulator: StartSimulator) -> None:
    first = headrace_simulator(text="one")
    second = headrace_simulator(turns=[{"text": "two"}])
    assert [agent_at(each).run("Go.") for each in (first, second)] == ["one", "two"]


async def awaited(simulator: Simulator) -> bool:
    agent = agent_at(simulator)
    await agent.arun("Go.")
    return await simulator.await_for(lambda report: report["requests"][0]["outcome"] == "complete")


def test_a_report_is_awaited(headrace_simulator: StartSimulator) -> None:
    import asyncio

    assert asyncio.run(awaited(headrace_simulator(text="one")))
