"""The token between the texts of two turns, phases or agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace import AgentRearrange, ConfigurationError, SequentialWorkflow
from headrace.events import RunEnd, Token
from support.autonomous import ADDS as STEP
from support.autonomous import bot_at, completes, done, plans
from support.conversations import ADDS, add, calling, conversation, sent
from support.harness import Reader, Simulate, agent_at, asking

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.testing import Simulator

SILENT = {"tool_calls": [calling("add", {"a": 1, "b": 2})]}
BREAK = {"turn_separator": "\n\n"}


def adder_at(simulator: Simulator, **options: Any) -> Any:
    return agent_at(simulator, **{"tools": [add], "max_loops": 5, **BREAK, **options})


def test_the_texts_of_two_turns_are_apart(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(adder_at(simulate(turns=conversation(ADDS, {"text": "It is 42."}))))
    assert "".join(result.tokens) == result.stream.text == "Let me add.\n\nIt is 42."
    assert result.tokens.count("\n\n") == 1
    assert result.stream.final == "It is 42."


def test_turns_without_text_are_not(simulate: Simulate, reader: Reader) -> None:
    turns = conversation(SILENT, SILENT, ADDS, SILENT, {"text": "It is 42."})
    result = reader.read(adder_at(simulate(turns=turns)))
    assert "".join(result.tokens) == result.stream.text == "Let me add.\n\nIt is 42."


def test_it_can_be_another_or_none(simulate: Simulate, reader: Reader) -> None:
    for separator in ("", "\n", " | "):
        simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
        result = reader.read(adder_at(simulator, turn_separator=separator))
        assert "".join(result.tokens) == result.stream.text == f"Let me add.{separator}It is 42."


def test_it_must_be_a_string(simulate: Simulate) -> None:
    simulator = simulate("a")
    with pytest.raises(ConfigurationError, match="turn_separator"):
        adder_at(simulator, turn_separator=5)
    with pytest.raises(ConfigurationError, match="turn_separator"):
        SequentialWorkflow(agents=[agent_at(simulator)], turn_separator=5)  # type: ignore[arg-type]


def test_events_have_none(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(adder_at(simulate(turns=conversation(ADDS, {"text": "It is 42."}))), with_events=True)
    events: list[Any] = [*result.tokens]
    said = "".join(event.text for event in events if isinstance(event, Token))
    assert isinstance(events[-1], RunEnd)
    assert said == events[-1].text == result.stream.text == "Let me add.It is 42."


def test_neither_model_nor_memory_see_it(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    agent = adder_at(simulator, persistent_memory=True, memory_path=tmp_path / "memory.sqlite3")
    result = reader.read(agent)
    said = [message["content"] for message in (*sent(simulator), *agent.memory.read(), *result.stream.messages)]
    assert not any("\n\n" in (content or "") for content in said)


def test_callbacks_get_it_as_a_token(simulate: Simulate, reader: Reader) -> None:
    seen: list[Any] = []
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    reader.read(adder_at(simulator), streaming_callback=seen.append)
    assert "".join(seen) == "Let me add.\n\nIt is 42."
    seen.clear()
    reader.read(adder_at(simulator, stream=True), streaming_callback=seen.append)
    assert "".join(each["token"] for each in seen) == "Let me add.\n\nIt is 42."


def test_with_reasoning_it_comes_before_whatever_the_turn_yields_first(simulate: Simulate, reader: Reader) -> None:
    turns = conversation(ADDS, {"reasoning": "Hm.", "text": "It is 42."})
    result = reader.read(adder_at(simulate(turns=turns)), reasoning=True)
    assert "".join(result.tokens) == "Let me add.\n\nHm.It is 42."


def test_phases_and_what_arguments_say_are_apart(simulate: Simulate, reader: Reader) -> None:
    turns = conversation(plans("a", text="Plan."), STEP, done("a"), completes("It is 42."))
    result = reader.read(bot_at(simulate(turns=turns), **BREAK))
    assert "".join(result.tokens) == result.stream.text
    assert result.stream.text.startswith("Plan.\n\n")
    assert result.stream.text.endswith("\n\nIt is 42.")


def test_the_other_agent_of_a_handoff_is_apart(simulate: Simulate, reader: Reader) -> None:
    ada = agent_at(simulate("I am Ada."), agent_name="Ada")
    hand = {"text": "Ask Ada.", "tool_calls": [calling("handoff_task", {"agent_name": "Ada", "task": "Who?"})]}
    agent = adder_at(simulate(turns=conversation(hand, {"text": "She is Ada."})), handoffs=[ada])
    assert "".join(reader.read(agent).tokens) == "Ask Ada.\n\nI am Ada.\n\nShe is Ada."


def test_an_answer_that_begins_again_is_apart(reader: Reader) -> None:
    asked: list[str] = []

    def llm(prompt: str) -> Any:
        asked.append(prompt)
        yield "Half"
        if len(asked) == 1:
            raise ConnectionResetError
        yield " and half."

    result = reader.read(asking(llm, resume_on_error=True, retry_interval=0, **BREAK))
    if result.error is None:
        assert "".join(result.tokens) == "Half\n\nHalf and half."


def test_the_agents_of_a_workflow_are_apart_step_by_step(simulate: Simulate, reader: Reader) -> None:
    agents = [agent_at(simulate(name.lower()), agent_name=name) for name in "ABC"]
    for separator in ("\n\n", ""):
        workflow = AgentRearrange(agents=agents, flow="A -> B, C", turn_separator=separator)
        result = reader.read(workflow)  # type: ignore[arg-type]
        said = "".join(result.tokens)
        assert said in {f"a{separator}bc", f"a{separator}cb"}
        assert result.stream.text == separator.join("abc")
