"""Answers that say nothing and call nothing: an error that is retried, and not remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from headrace import EmptyAnswerError, RateLimitError, SequentialWorkflow
from headrace.events import Fallback
from support.conversations import add, bodies, calling, conversation, sent
from support.harness import Reader, Simulate, agent_at, asking

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.events import Event

EMPTY: dict[str, dict[str, Any]] = {
    "no text": {"text": ""},
    "blanks": {"text": "\n"},
    "only reasoning": {"reasoning": "Hm.", "text": ""},
    "at its limit": {"text": "", "finish_reason": "length"},
    "reasoned to its limit": {"reasoning": "Hm.", "text": "", "finish_reason": "length"},
}


@pytest.fixture(params=EMPTY.values(), ids=list(EMPTY))
def empty(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A turn that says nothing."""
    turn: dict[str, Any] = request.param
    return turn


def test_an_answer_that_says_nothing_is_an_error(simulate: Simulate, reader: Reader, empty: dict[str, Any]) -> None:
    result = reader.read(agent_at(simulate(turns=[empty])))
    assert type(result.error) is EmptyAnswerError
    assert (result.stream.state, result.error.model) == ("error", "openai/sim")
    assert "openai/sim gave an empty answer" in str(result.error)
    assert "allow_empty" in str(result.error)
    # The provider is paid for it.
    assert result.stream.usage is not None


@pytest.mark.parametrize("model", ["openai/responses/sim", "anthropic/sim", "gemini/sim", "ollama_chat/sim"])
def test_it_is_one_in_every_dialect(simulate: Simulate, reader: Reader, model: str, empty: dict[str, Any]) -> None:
    simulator = simulate(turns=[empty])
    url = simulator.base_url if model.startswith("openai/") else simulator.base_url.removesuffix("/v1")
    result = reader.read(agent_at(url, model_name=model, llm_api_key="sk-test"))
    assert type(result.error) is EmptyAnswerError


def test_the_message_says_why(simulate: Simulate, reader: Reader) -> None:
    cut = agent_at(simulate(turns=[EMPTY["reasoned to its limit"]]), max_tokens=7)
    assert "reached its output limit of 7 tokens before it said anything. It has only reasoned" in str(
        reader.read(cut).error
    )
    ended = agent_at(simulate(turns=[EMPTY["no text"]]))
    assert "finish reason 'stop'" in str(reader.read(ended).error)


def test_it_is_retried_and_the_caller_sees_one_answer(reader: Reader) -> None:
    asked: list[Any] = []

    def llm(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
        asked.append(messages)
        return [{"reasoning_content": "Hm."}] if len(asked) == 1 else [{"content": "Here."}]

    result = reader.read(asking(llm, retry_attempts=2, retry_interval=0))
    assert (result.tokens, result.error, result.stream.final) == (["Here."], None, "Here.")
    # What was not said is not in the conversation.
    first, second = asked
    assert first == second


def test_it_is_retried_no_more_than_that(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[EMPTY["no text"]])
    result = reader.read(agent_at(simulator, retry_attempts=2, retry_interval=0))
    assert type(result.error) is EmptyAnswerError
    assert len(bodies(simulator)) == 3


def test_a_fallback_model_is_asked(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{**EMPTY["no text"], "when": {"model": "sim"}}, {"text": "Here."}])
    result = reader.read(agent_at(simulator, fallback_models=["openai/other"]), with_events=True)
    assert result.stream.final == "Here."
    [fallback] = [event for event in result.tokens if isinstance(cast("Event", event), Fallback)]
    assert "empty answer" in cast("Fallback", fallback).error


def test_after_a_tool_what_was_said_before_is_not_the_answer(
    simulate: Simulate, reader: Reader, empty: dict[str, Any]
) -> None:
    calls = {"text": "Let me add.", "tool_calls": [calling("add", {"a": 1, "b": 2})]}
    result = reader.read(agent_at(simulate(turns=conversation(calls, empty)), tools=[add], max_loops=3))
    assert "".join(result.tokens).startswith("Let me add.")
    assert type(result.error) is EmptyAnswerError
    assert result.stream.final == ""


def test_it_is_not_remembered_but_the_question_is(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    simulator = simulate(turns=[{"text": "", "when": {"contains": "First"}}, {"text": "Here."}])
    memory = {"persistent_memory": True, "memory_path": tmp_path / "memory.sqlite3"}
    assert type(reader.read(agent_at(simulator, **memory), "First?").error) is EmptyAnswerError
    agent = agent_at(simulator, **memory)
    assert agent.memory is not None
    assert agent.memory.read() == [{"role": "user", "content": "First?"}]


def test_it_can_be_allowed(simulate: Simulate, reader: Reader, empty: dict[str, Any]) -> None:
    result = reader.read(agent_at(simulate(turns=[empty]), allow_empty=True))
    assert (result.error, result.stream.state) == (None, "complete")
    assert result.stream.final.strip() == ""


def test_the_agent_of_a_workflow_that_says_nothing_has_failed(simulate: Simulate) -> None:
    agents = [agent_at(simulate(turns=[EMPTY["no text"]]), agent_name="a"), agent_at(simulate("B"), agent_name="b")]
    with pytest.raises(EmptyAnswerError):
        SequentialWorkflow(agents=agents).run("Go.")


def test_a_refused_first_turn_remembers_what_the_user_said(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    fault = {"kind": "status", "status": 429, "times": 1}
    simulator = simulate(turns=[{"text": "Here.", "fault": fault}])
    memory = {"persistent_memory": True, "memory_path": tmp_path / "memory.sqlite3"}
    assert isinstance(reader.read(agent_at(simulator, **memory), "First?").error, RateLimitError)
    agent = agent_at(simulator, **memory)
    assert reader.read(agent, "Second?").error is None
    said = [message["content"] for message in sent(simulator)]
    assert "First?" in str(said)
    assert "Second?" in str(said)
    assert agent.memory is not None
    assert [message["content"] for message in agent.memory.read()] == ["First?", "Second?", "Here."]
