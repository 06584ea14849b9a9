"""What one run may cost is bounded, over loops, subtasks and handoffs together."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from headrace import ConfigurationError, RunLimitError
from headrace.events import RunEnd
from headrace.testing import Simulator
from support.harness import Reader, Simulate, agent_at

USAGE = {"input_tokens": 60, "output_tokens": 40}


def again() -> str:
    """Does nothing."""
    return "Go on."


@pytest.fixture
def endless(simulate: Simulate) -> Simulator:
    """A model that calls a tool in every turn."""
    return simulate("Again.", tool_calls=[{"name": "again", "arguments": {}}], usage=USAGE)


def requests(simulator: Simulator) -> int:
    return len(simulator.report()["requests"])


def test_a_run_ends_at_max_turns_with_what_there_is(endless: Simulator, reader: Reader) -> None:
    result = reader.read(agent_at(endless, tools=[again], max_loops=50, max_turns=3))
    assert isinstance(result.error, RunLimitError)
    assert result.error.limit == "max_turns"
    assert result.error.text == "".join(result.tokens) == "Again." * 3
    assert len(result.stream.turns) == requests(endless) == 3
    assert result.stream.state == "failed"


def test_max_loops_above_the_default_is_no_limit_reached(endless: Simulator) -> None:
    agent = agent_at(endless, tools=[again], max_loops=120)
    agent.run("Go.")
    assert requests(endless) == 120


def test_an_autonomous_run_has_a_hundred_turns_by_default(endless: Simulator, reader: Reader) -> None:
    agent = agent_at(endless, tools=[again], max_loops="auto", max_plan_attempts=1000)
    result = reader.read(agent)
    assert isinstance(result.error, RunLimitError)
    assert requests(endless) == 100


def test_a_run_ends_at_max_total_tokens(endless: Simulator, reader: Reader) -> None:
    result = reader.read(agent_at(endless, tools=[again], max_loops=50, max_total_tokens=250))
    assert isinstance(result.error, RunLimitError)
    assert (result.error.limit, requests(endless)) == ("max_total_tokens", 3)


def test_a_run_ends_at_max_cost(endless: Simulator, reader: Reader) -> None:
    url = endless.base_url.removesuffix("/v1")
    options: Any = {"model_name": "anthropic/claude-sonnet-4-5", "llm_api_key": "sk-test-0123456789"}
    agent = agent_at(url, tools=[again], max_loops=50, max_cost=1e-9, **options)
    result = reader.read(agent)
    assert isinstance(result.error, RunLimitError)
    assert (result.error.limit, requests(endless)) == ("max_cost", 1)


def test_turns_of_unknown_cost_are_not_counted(endless: Simulator, reader: Reader) -> None:
    result = reader.read(agent_at(endless, tools=[again], max_loops=5, max_cost=1e-9))
    assert (result.error, requests(endless)) == (None, 5)


def test_the_last_event_comes_before_the_error(endless: Simulator, reader: Reader) -> None:
    result = reader.read(agent_at(endless, tools=[again], max_loops=50, max_turns=2), with_events=True)
    assert isinstance(result.error, RunLimitError)
    events: list[Any] = result.tokens
    assert isinstance(events[-1], RunEnd)
    assert (events[-1].state, events[-1].turns) == ("failed", 2)


def test_handoffs_count_for_the_run_that_they_belong_to(reader: Reader) -> None:
    """Each agent would make fifty turns, and each of them hands its task to the other again and again."""
    call = {"name": "handoff_task", "arguments": {"agent_name": "Ada", "task": "You do it."}}
    with Simulator(turns=[{"when": {"model": "chief"}, "tool_calls": [call]}, {"text": "Fine."}]) as simulator:
        ada = agent_at(simulator, agent_name="Ada")
        chief = agent_at(simulator, model_name="openai/chief", handoffs=[ada], max_loops=50, max_turns=7)
        assert isinstance(reader.read(chief).error, RunLimitError)
        assert requests(simulator) == 7


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(RunLimitError("at the limit", limit="max_turns", text="Hello")))
    assert (str(error), error.limit, error.text) == ("at the limit", "max_turns", "Hello")


@pytest.mark.parametrize("name", ["max_turns", "max_total_tokens", "max_cost"])
@pytest.mark.parametrize("value", [0, -1, True, "3"])
def test_a_limit_is_a_number_above_zero(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        agent_at("http://127.0.0.1:1/v1", **{name: value})
