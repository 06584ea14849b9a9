"""The cost of a run: from the price list if the model is in it, else None."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import Agent, SequentialWorkflow, model_info
from headrace.events import RunEnd
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from headrace.testing import Simulator

MODEL = "anthropic/claude-sonnet-4-5"
TOLD = {"input_tokens": 1000, "output_tokens": 200}


def priced_at(simulator: Simulator, model: str = MODEL) -> Agent:
    url = simulator.base_url.removesuffix("/v1")
    return agent_at(url, model_name=model, llm_api_key="sk-test-0123456789")


def expected_cost() -> float:
    info = model_info(MODEL)
    assert info is not None
    assert info.input_price is not None
    assert info.output_price is not None
    return 1000 * info.input_price + 200 * info.output_price


def test_a_run_costs_what_its_tokens_cost(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(usage=TOLD)
    stream = reader.read(priced_at(simulator)).stream
    assert stream.cost == pytest.approx(expected_cost())


def test_the_last_event_has_the_cost(simulate: Simulate) -> None:
    *_, end = priced_at(simulate(usage=TOLD)).run_stream("Go.", with_events=True)
    assert isinstance(end, RunEnd)
    assert end.cost == pytest.approx(expected_cost())


def test_a_workflow_costs_what_its_agents_cost(simulate: Simulate) -> None:
    simulator = simulate(usage=TOLD)
    first, second = priced_at(simulator), priced_at(simulator)
    first.agent_name, second.agent_name = "first", "second"
    stream = SequentialWorkflow(agents=[first, second]).run_stream("Go.")
    assert list(stream)
    assert stream.cost == pytest.approx(2 * expected_cost())


@pytest.mark.parametrize("model", ["openai/gpt-4o", "gpt-4o", "openai/sim"])
def test_the_cost_of_the_users_own_server_is_unknown(simulate: Simulate, reader: Reader, model: str) -> None:
    # The name of a model has a price only if its provider is known.
    stream = reader.read(agent_at(simulate(usage=TOLD), model_name=model)).stream
    assert stream.state == "complete"
    assert stream.cost is None


def test_estimated_token_counts_give_an_estimated_cost(simulate: Simulate, reader: Reader) -> None:
    # Streams of Gemini are complete without usage.
    stream = reader.read(priced_at(simulate("one two", usage=False), "gemini/gemini-2.5-flash")).stream
    assert stream.usage is not None
    assert stream.usage.estimated
    assert stream.cost is not None
    assert 0 < stream.cost < expected_cost()


def test_a_run_has_no_cost_before_the_end_of_its_first_turn(simulate: Simulate) -> None:
    stream = priced_at(simulate("one two", usage=TOLD)).run_stream("Go.")
    assert stream.cost is None
    with stream:
        next(stream)
        assert stream.cost is None
