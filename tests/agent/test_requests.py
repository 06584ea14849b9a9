"""What an agent adds to its requests: tools, options of the model, and as much of the conversation as fits."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConfigurationError
from support.conversations import ADDS, add, bodies, calling, conversation, sent
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.types import Message


# --- members of the body ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "members"),
    [
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        ({"tool_choice": "required", "tool_choice_every_turn": True}, {"tool_choice": "required"}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "add"}}, "tool_choice_every_turn": True},
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
        ),
    ],
)
def test_every_request_has_the_member(
    simulate: Simulate, reader: Reader, options: dict[str, Any], members: dict[str, Any]
) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "42"}))
    reader.read(agent_at(simulator, tools=[add], max_loops=2, **options))
    assert [{name: body.get(name) for name in members} for body in bodies(simulator)] == [members, members]


def test_options_that_are_not_set_are_not_sent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    reader.read(agent_at(simulator, tools=[add]))
    [body] = bodies(simulator)
    assert set(body) == {"model", "messages", "stream", "stream_options", "tools"}


def test_without_tools_no_tool_choice_is_sent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    reader.read(agent_at(simulator, tool_choice="required"))
    [body] = bodies(simulator)
    assert not {"tools", "tool_choice"} & set(body)


def test_the_tools_are_offered_in_openais_form_and_in_their_order(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()

    def now() -> str:
        """Tells the time."""
        return "now"

    reader.read(agent_at(simulator, tools=[now, add]))
    [one, other] = bodies(simulator)[0]["tools"]
    assert (one["type"], one["function"]["name"], one["function"]["description"]) == (
        "function",
        "now",
        "Tells the time.",
    )
    assert other["function"]["parameters"]["required"] == ["a", "b"]


# --- the length of the context ---------------------------------------------------------------------------------

LONG = "word " * 400  # some 500 tokens


def test_the_context_length_cuts_the_oldest_and_keeps_calls_with_their_results(
    simulate: Simulate, reader: Reader
) -> None:
    def lookup(n: int) -> str:
        return f"{n}: {LONG}"

    turns = conversation(*({"tool_calls": [calling("lookup", {"n": n})]} for n in range(5)), {"text": "Done."})
    # When messages are left out, the request has fewer turns than the run.
    for turn in turns[3:]:
        turn["when"] = {"contains": f"{turn['when']['turn'] - 1}: "}
    simulator = simulate(turns=sorted(turns, key=lambda turn: "turn" in turn["when"]))
    agent = agent_at(simulator, tools=[lookup], max_loops=9, context_length=2000, system_prompt="You look up.")
    result = reader.read(agent, "Look up.")
    assert (result.error, result.stream.final) == (None, "Done.")
    last = sent(simulator)
    assert [message["content"] for message in last[:2]] == ["You look up.", "Look up."]
    assert [message["role"] for message in last[2:]] == ["assistant", "tool"] * 3
    for asked, answered in zip(last[2::2], last[3::2], strict=True):
        assert asked["tool_calls"][0]["id"] == answered["tool_call_id"]
    assert last[-1]["content"].startswith("4: ")
    # Messages that are not sent are still remembered.
    assert len(result.stream.messages) == 1 + 5 * 2 + 1


def test_messages_that_cannot_fit_are_an_error_before_anything_is_sent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    result = reader.read(agent_at(simulator, context_length=100), LONG)
    assert isinstance(result.error, ConfigurationError)
    assert "100" in str(result.error)
    assert result.stream.state == "failed"
    assert bodies(simulator) == []


def test_max_tokens_are_kept_free_of_the_context(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    assert reader.read(agent_at(simulator, context_length=1000), LONG).error is None
    refused = reader.read(agent_at(simulator, context_length=1000, max_tokens=900), LONG)
    assert isinstance(refused.error, ConfigurationError)


def test_transforms_is_used_instead_of_context_length(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"when": {"contains": "42"}, "text": "42"}, ADDS])
    seen: list[list[str]] = []

    def newest(messages: Sequence[Message]) -> Sequence[Message]:
        seen.append([message["role"] for message in messages])
        kept = 2 if messages[-1]["role"] == "tool" else 1  # without its call, a result would be left out
        return [{"role": "user", "content": "What comes now is short."}, *messages[-kept:]]

    agent = agent_at(simulator, tools=[add], max_loops=2, system_prompt="Add.", context_length=10, transforms=newest)
    result = reader.read(agent, "17 + 25?" + LONG)
    assert result.error is None
    assert seen == [["system", "user"], ["system", "user", "assistant", "tool"]]
    [first, second] = [[message["content"] for message in body["messages"]] for body in bodies(simulator)]
    assert first == ["What comes now is short.", "17 + 25?" + LONG]
    assert second == ["What comes now is short.", "Let me add.", "42"]
    # It changes the messages that are sent, not the messages of the run.
    assert [message["role"] for message in result.stream.messages] == ["user", "assistant", "tool", "assistant"]


def test_transforms_that_raises_ends_the_run_with_its_error(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    result = reader.read(agent_at(simulator, transforms=lambda messages: messages[99]))
    assert isinstance(result.error, IndexError)
    assert bodies(simulator) == []


# --- persistent memory -----------------------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> dict[str, Any]:
    """The options with which agents remember in the same file."""
    return {"persistent_memory": True, "memory_path": tmp_path / "memory.sqlite3"}


def test_another_agent_of_the_same_name_remembers(simulate: Simulate, reader: Reader, memory: dict[str, Any]) -> None:
    simulator = simulate(turns=conversation({"text": "Hello Ada."}, {"text": "You are Ada."}))
    prompt = "You are brief."
    reader.read(agent_at(simulator, agent_name="Bot", system_prompt=prompt, **memory), "I am Ada.")
    reader.read(agent_at(simulator, agent_name="Bot", system_prompt=prompt, **memory), "Who am I?")
    assert sent(simulator) == [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "Who am I?"},
    ]


def test_calls_and_results_are_remembered_together(simulate: Simulate, reader: Reader, memory: dict[str, Any]) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}, {"text": "I added."}))
    agent = agent_at(simulator, tools=[add], max_loops=2, **memory)
    first = reader.read(agent, "17 + 25?")
    assert agent.memory is not None
    assert agent.memory.read() == list(first.stream.messages)
    second = reader.read(agent, "What did you do?")
    assert sent(simulator)[:-1] == list(first.stream.messages)
    # The messages of this run do not contain those of earlier runs.
    assert [message["content"] for message in second.stream.messages] == ["What did you do?", "I added."]


def test_an_agent_of_another_name_does_not_remember(simulate: Simulate, reader: Reader, memory: dict[str, Any]) -> None:
    simulator = simulate()
    reader.read(agent_at(simulator, agent_name="Bot", **memory), "I am Ada.")
    reader.read(agent_at(simulator, agent_name="Other", **memory), "Who am I?")
    assert sent(simulator) == [{"role": "user", "content": "Who am I?"}]


def test_without_persistent_memory_nothing_is_remembered(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    agent = agent_at(simulator)
    assert agent.memory is None
    for task in ("I am Ada.", "Who am I?"):
        reader.read(agent, task)
    assert sent(simulator) == [{"role": "user", "content": "Who am I?"}]


def test_a_cleared_memory_is_empty(simulate: Simulate, reader: Reader, memory: dict[str, Any]) -> None:
    simulator = simulate()
    agent = agent_at(simulator, **memory)
    assert agent.memory is not None
    reader.read(agent, "I am Ada.")
    agent.memory.clear()
    reader.read(agent, "Who am I?")
    assert sent(simulator) == [{"role": "user", "content": "Who am I?"}]


def test_the_context_length_counts_the_memory_too(simulate: Simulate, reader: Reader, memory: dict[str, Any]) -> None:
    simulator = simulate()
    for number in range(4):
        reader.read(agent_at(simulator, context_length=1200, **memory), f"{number} {LONG}")
    asked = [message["content"][0] for message in sent(simulator) if message["role"] == "user"]
    assert asked == ["2", "3"]


@pytest.mark.parametrize("fault", [{"kind": "reset", "after": 1}, {"kind": "status", "status": 500}])
def test_a_run_that_fails_leaves_no_half_exchange(
    simulate: Simulate, reader: Reader, memory: dict[str, Any], fault: dict[str, Any]
) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42.", "fault": fault}))
    agent = agent_at(simulator, tools=[add], max_loops=2, **memory)
    assert reader.read(agent, "17 + 25?").error is not None
    assert agent.memory is not None
    # The turns that were answered, with their results: a conversation that any provider takes.
    assert [message["role"] for message in agent.memory.read()] == ["user", "assistant", "tool"]


def test_a_run_that_is_left_between_call_and_result_leaves_no_call(
    simulate: Simulate, reader: Reader, memory: dict[str, Any]
) -> None:
    simulator = simulate(turns=conversation(ADDS))
    agent = agent_at(simulator, tools=[add], max_loops=2, **memory)
    with contextlib.ExitStack() as stack:
        reading = stack.enter_context(reader.start(agent, "17 + 25?"))
        reading.take(3)
    assert agent.memory is not None
    assert agent.memory.read() == []
