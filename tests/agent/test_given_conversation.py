"""A conversation that the caller gives to a run, and options that are used instead of the agent's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent, ConfigurationError
from support.conversations import add, bodies, calling, sent
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from pathlib import Path

YES = {"text": "Yes."}
ANN: list[dict[str, Any]] = [
    {"role": "user", "content": "I am Ann."},
    {"role": "assistant", "content": "Hello, Ann."},
]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_the_task_follows_the_conversation(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[YES])
    result = reader.read(agent_at(simulator, system_prompt="You greet."), "Who am I?", messages=ANN)
    assert sent(simulator) == [{"role": "system", "content": "You greet."}, *ANN, user("Who am I?")]
    assert result.stream.messages[0] == user("Who am I?")
    assert len(result.stream.messages) == 2


def test_a_conversation_may_end_with_the_task(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[YES])
    result = reader.read(agent_at(simulator), None, messages=[*ANN, user("Who am I?")])
    assert sent(simulator) == [*ANN, user("Who am I?")]
    assert result.stream.messages[0] == user("Who am I?")


def test_images_tool_calls_and_results_are_sent_as_they_are(simulate: Simulate, reader: Reader) -> None:
    given = [
        {"role": "user", "content": [{"type": "text", "text": "What is it, and 1 + 2?"}, PICTURE]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
    ]
    simulator = simulate(turns=[YES])
    reader.read(agent_at(simulator), None, messages=given)
    assert sent(simulator) == given


def test_system_messages_at_the_beginning_join_the_system_prompt(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[YES])
    given = [
        {"role": "system", "content": "Speak Dutch."},
        {"role": "developer", "content": [{"type": "text", "text": "Be short."}]},
        user("Hello."),
    ]
    reader.read(agent_at(simulator, system_prompt="You greet."), None, messages=given)
    assert sent(simulator) == [
        {"role": "system", "content": "You greet.\n\nSpeak Dutch.\n\nBe short."},
        user("Hello."),
    ]


def test_a_conversation_is_not_changed_by_a_run(simulate: Simulate, reader: Reader) -> None:
    given = [*ANN, user("1 + 2?")]
    simulator = simulate(turns=[{"tool_calls": [calling("add", {"a": 1, "b": 2})]}, YES])
    reader.read(agent_at(simulator, tools=[add], max_loops=2), None, messages=given)
    assert given == [*ANN, user("1 + 2?")]
    assert [message["role"] for message in sent(simulator)] == ["user", "assistant", "user", "assistant", "tool"]


def test_the_memory_is_neither_read_nor_written(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    simulator = simulate(turns=[YES] * 3)
    agent = agent_at(simulator, persistent_memory=True, memory_path=tmp_path / "memory.db")
    reader.read(agent, "First.")
    reader.read(agent, "Of a chat.", messages=ANN)
    reader.read(agent, "Last.")
    first, chat, last = (body["messages"] for body in bodies(simulator))
    assert chat == [*ANN, user("Of a chat.")]
    assert last == [*first, {"role": "assistant", "content": "Yes."}, user("Last.")]


def test_an_autonomous_run_knows_the_conversation(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"text": "I know."}] * 5)
    reader.read(agent_at(simulator, max_loops="auto"), "Who am I?", messages=ANN)
    assert bodies(simulator)[0]["messages"][:3] == [*ANN, user("Who am I?")]


def test_a_conversation_is_cut_to_the_context_length_but_not_its_end(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[YES])
    long = [{"role": role, "content": "word " * 2000} for role in ("user", "assistant")] * 3
    reader.read(agent_at(simulator, context_length=4000), None, messages=[*long, user("Who am I?")])
    messages = sent(simulator)
    assert len(messages) < len(long)
    assert messages[-1] == user("Who am I?")


@pytest.mark.parametrize(
    ("option", "member", "value"), [("temperature", "temperature", 0.25), ("system_prompt", "messages", None)]
)
def test_options_of_one_run_are_of_that_run_only(
    simulate: Simulate, reader: Reader, option: str, member: str, value: float | None
) -> None:
    simulator = simulate(turns=[YES] * 3)
    agent = agent_at(simulator, temperature=0.5, system_prompt="You greet.")
    given: Any = "You are another." if value is None else value
    reader.read(agent)
    reader.read(agent, **{option: given})
    reader.read(agent)
    before, during, after = (body[member] for body in bodies(simulator))
    assert before == after
    wanted = [{"role": "system", "content": given}, user("Go.")] if value is None else value
    assert during == wanted


def test_a_run_may_be_without_the_system_prompt(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[YES])
    reader.read(agent_at(simulator, system_prompt="You greet."), system_prompt="")
    assert sent(simulator) == [user("Go.")]


def test_headers_of_one_run_are_added_to_the_agents(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[YES] * 2)
    agent = agent_at(simulator, headers={"x-team": "mill", "x-run": "none"})
    reader.read(agent, headers={"x-run": "7"})
    reader.read(agent)
    first, second = (request["headers"] for request in simulator.report()["requests"])
    assert (first["x-team"], first["x-run"]) == ("mill", "7")
    assert (second["x-team"], second["x-run"]) == ("mill", "none")


def test_fallback_models_get_the_options_of_the_run(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"when": {"model": "sim"}, "fault": {"kind": "status", "status": 404}}, YES])
    agent = agent_at(simulator, fallback_models=["openai/other"])
    reader.read(agent, temperature=0.25, headers={"x-run": "7"})
    requests = simulator.report()["requests"]
    assert [request["body"]["model"] for request in requests] == ["sim", "other"]
    assert [request["body"]["temperature"] for request in requests] == [0.25, 0.25]
    assert [request["headers"]["x-run"] for request in requests] == ["7", "7"]


def test_metadata_stay_with_the_stream_and_are_not_sent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[YES])
    notes = {"user": "ann", "trace": 7}
    result = reader.read(agent_at(simulator), metadata=notes)
    notes["user"] = "changed later"
    stream: Any = result.stream
    assert stream.metadata == {"user": "ann", "trace": 7}
    assert "metadata" not in bodies(simulator)[0]


@pytest.mark.parametrize("awaited", [False, True])
def test_run_and_arun_take_the_same_options(simulate: Simulate, awaited: bool) -> None:
    simulator = simulate(turns=[YES])
    agent = agent_at(simulator)
    options: dict[str, Any] = {"messages": [*ANN, user("Who am I?")], "temperature": 0.25, "headers": {"x-run": "7"}}
    answer = asyncio.run(agent.arun(**options)) if awaited else agent.run(**options)
    assert answer == "Yes."
    [body] = bodies(simulator)
    assert (len(body["messages"]), body["temperature"]) == (3, 0.25)


WRONG: list[tuple[Any, str]] = [
    ("Who am I?", "must be a list of messages in OpenAI's format, not str"),
    ({"role": "user", "content": "Hi."}, "must be a list of messages in OpenAI's format, not dict"),
    ([user("Hi."), "Who am I?"], r"messages\[1\] must be a dict with a role and a content, not str"),
    ([{"content": "Hi."}], r"messages\[0\] has the role None"),
    ([{"role": "bot", "content": "Hi."}], r"messages\[0\] has the role 'bot'; there are system, developer, user"),
    ([{"role": "user"}], r"messages\[0\] has no content"),
    ([{"role": "user", "content": 7}], r"messages\[0\]: content must be a string or a list of parts, not int"),
    ([{"role": "user", "content": ["Hi."]}], r"messages\[0\]: each part of content must be a dict with a type"),
    ([user("Hi."), {"role": "tool", "content": "3"}], r"messages\[1\] is a tool's result without a tool_call_id"),
    ([user("Hi."), {"role": "assistant", "tool_calls": [{"id": "1"}]}], r"messages\[1\]: tool_calls must be"),
    ([{"role": "user", "content": "Hi.", "tool_calls": [CALL]}], r"messages\[0\] has tool_calls, which only"),
    ([], "no message of the user, and there is no task"),
    ([{"role": "system", "content": "You greet."}], "no message of the user, and there is no task"),
]


@pytest.mark.parametrize(("messages", "error"), WRONG)
def test_a_wrong_conversation_is_refused_with_the_place(messages: Any, error: str) -> None:
    agent = Agent(model_name="openai/sim", llm_base_url="http://127.0.0.1:9/v1", print_on=False)
    for start in (agent.run_stream, agent.arun_stream):
        with pytest.raises(ConfigurationError, match=error):
            start(messages=messages)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "the task must be a string"),
        ({"task": " "}, "the task is empty"),
        ({"task": " ", "messages": ANN}, "the task is empty"),
        ({"task": "Go.", "temperature": "hot"}, "temperature must be a number"),
        ({"task": "Go.", "system_prompt": 7}, "system_prompt must be a string"),
        ({"task": "Go.", "headers": {"host": "elsewhere"}}, "'host' is written by headrace"),
        ({"task": "Go.", "headers": ["x-run"]}, "headers must be a dict"),
        ({"task": "Go.", "metadata": "notes"}, "metadata must be a dict"),
        ({"messages": [user("Look.")], "img": "https://example.org/mill.png"}, "img and imgs belong to a task"),
    ],
)
def test_wrong_options_of_a_run_are_refused(options: dict[str, Any], error: str) -> None:
    agent = Agent(model_name="openai/sim", llm_base_url="http://127.0.0.1:9/v1", print_on=False)
    with pytest.raises(ConfigurationError, match=error):
        agent.run_stream(**options)
