"""``output_type``: the forms in which ``run`` returns the conversation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConfigurationError
from support.conversations import ADDS, add, conversation
from support.harness import Simulate, agent_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import Agent

CALL = {"id": "call_0_0", "type": "function", "function": {"name": "add", "arguments": '{"a": 17, "b": 25}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "17 + 25?"},
    {"role": "assistant", "content": "Let me add.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_0_0", "name": "add", "content": "42"},
    {"role": "assistant", "content": "It is 42."},
]
LINES = ["user: 17 + 25?", "assistant: Let me add.", "tool: 42", "assistant: It is 42."]

FORMS: dict[str, Any] = {
    "final": "It is 42.",
    "last": "It is 42.",
    "str": "\n\n".join(LINES),
    "string": "\n\n".join(LINES),
    "all": "\n\n".join(LINES),
    "str-all-except-first": "\n\n".join(LINES[1:]),
    "list": LINES,
    "list-final": ["It is 42."],
    "dict": MESSAGES,
    "dictionary": MESSAGES,
    "dict-all-except-first": MESSAGES[1:],
    "dict-final": {"role": "assistant", "content": "It is 42."},
}


def run(agent: Agent, task: str) -> Any:
    return agent.run(task)


def arun(agent: Agent, task: str) -> Any:
    return asyncio.run(agent.arun(task))


@pytest.fixture(params=[run, arun], ids=["run", "arun"])
def runs(request: pytest.FixtureRequest) -> Callable[[Agent, str], Any]:
    """``run`` and ``arun`` as one function: each test with this fixture runs with both."""
    way: Callable[[Agent, str], Any] = request.param
    return way


def calculator_at(simulate: Simulate, **options: Any) -> Agent:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    return agent_at(simulator, tools=[add], max_loops=2, **options)


@pytest.mark.parametrize("form", FORMS)
def test_run_returns_the_form_of_output_type(simulate: Simulate, runs: Callable[[Agent, str], Any], form: str) -> None:
    assert runs(calculator_at(simulate, output_type=form), "17 + 25?") == FORMS[form]


def test_json_is_the_messages(simulate: Simulate, runs: Callable[[Agent, str], Any]) -> None:
    assert json.loads(runs(calculator_at(simulate, output_type="json"), "17 + 25?")) == MESSAGES


def test_by_default_run_returns_only_the_answer(simulate: Simulate, runs: Callable[[Agent, str], Any]) -> None:
    assert runs(calculator_at(simulate), "17 + 25?") == "It is 42."


def test_the_error_for_an_unknown_form_lists_the_known_forms(simulate: Simulate) -> None:
    with pytest.raises(ConfigurationError, match=r"'yaml'.*final.*dict"):
        calculator_at(simulate, output_type="yaml")


def test_the_system_prompt_is_not_returned(simulate: Simulate, runs: Callable[[Agent, str], Any]) -> None:
    agent = calculator_at(simulate, output_type="list", system_prompt="You calculate.")
    assert runs(agent, "17 + 25?") == LINES


def test_earlier_runs_in_the_memory_are_not_returned(simulate: Simulate, tmp_path: Any) -> None:
    turns = conversation({"text": "Hello Ada."}, {"text": "You are Ada."})
    simulator = simulate(turns=turns)
    agent = agent_at(simulator, output_type="list", persistent_memory=True, memory_path=tmp_path / "memory.sqlite3")
    agent.run("I am Ada.")
    assert agent.run("Who am I?") == ["user: Who am I?", "assistant: You are Ada."]


def test_changing_the_returned_messages_does_not_change_the_run(simulate: Simulate) -> None:
    agent = agent_at(simulate(), output_type="dict")
    messages = agent.run("Go.")
    messages[0]["content"] = "changed"
    assert agent.run("Go.")[0]["content"] == "Go."


def test_text_forms_show_images_by_a_placeholder(simulate: Simulate) -> None:
    agent = agent_at(simulate("A dot."), output_type="list")
    image = "data:image/png;base64,AAAA"
    assert agent.run("What?", img=image) == ["user: What? [image]", "assistant: A dot."]
