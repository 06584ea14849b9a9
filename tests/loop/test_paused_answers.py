"""Anthropic's ``pause_turn``: the answer goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace import RunLimitError
from support.conversations import bodies
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from headrace.testing import Simulator

PAUSED = {"text": "First half, ", "finish_reason": "pause_turn"}


def paused_agent(simulator: Simulator, **options: object) -> object:
    return agent_at(
        simulator.base_url.removesuffix("/v1"), model_name="anthropic/sim", llm_api_key="sk-test", **options
    )


def test_a_paused_answer_goes_on_within_the_same_turn(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{**PAUSED, "when": {"turn": 0}}, {"text": "second half."}])
    result = reader.read(paused_agent(simulator))  # type: ignore[arg-type]
    assert (result.error, "".join(result.tokens)) == (None, "First half, second half.")
    assert result.stream.final == result.stream.text == "First half, second half."
    [first, second] = bodies(simulator)
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert second["messages"][-1]["role"] == "assistant"
    # Without the blank at its end, which Anthropic refuses.
    assert "First half," in str(second["messages"][-1]["content"])


def test_a_model_that_always_pauses_is_bounded(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[PAUSED])
    result = reader.read(paused_agent(simulator, max_turns=3))  # type: ignore[arg-type]
    assert isinstance(result.error, RunLimitError)
    assert len(bodies(simulator)) == 3


def test_the_continuation_may_be_empty(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{**PAUSED, "when": {"turn": 0}}, {"text": ""}])
    result = reader.read(paused_agent(simulator))  # type: ignore[arg-type]
    assert (result.error, result.stream.final) == (None, "First half, ")
