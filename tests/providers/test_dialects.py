"""A conversation of three turns in each dialect: what is sent in the provider's form, and what is decoded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from headrace.events import Reasoning, Token, ToolCallRequested, TurnEnd
from support.conversations import bodies, conversation
from support.dialects import IMAGE, SCRIPT, SERVICES, Service, agent_on
from support.harness import REPOSITORY, Reader, Simulate, run_python

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.testing import Simulator

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())

TASK = "How is it there?"
COUNTS = ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")


@pytest.fixture
def simulator(simulate: Simulate) -> Simulator:
    """Has the conversation of :data:`support.dialects.SCRIPT`."""
    return simulate(turns=SCRIPT)


@each_service
def test_the_request_is_written_in_the_providers_dialect(
    simulator: Simulator, reader: Reader, service: Service
) -> None:
    result = reader.read(agent_on(service, simulator), TASK, img=IMAGE)
    assert result.error is None
    requests = simulator.report()["requests"]
    assert [request["path"] for request in requests] == [service.path] * 3
    sent: dict[str, Any] = requests[2]["body"]
    assert {name: sent.get(name) for name in service.expected} == service.expected


@each_service
def test_turns_are_the_same_in_each_dialect(simulator: Simulator, reader: Reader, service: Service) -> None:
    stream = reader.read(agent_on(service, simulator), TASK, img=IMAGE).stream
    assert [turn.text for turn in stream.turns] == ["Let me look.", "", "Cold everywhere."]
    assert [turn.reasoning for turn in stream.turns] == ["Two places.", "One more.", ""]
    asked = [[(call.name, json.loads(call.arguments)) for call in turn.tool_calls] for turn in stream.turns]
    oslo, rome, bergen = (("weather", {"city": city}) for city in ("Oslo", "Rome", "Bergen"))
    assert asked == [[oslo, rome], [bergen], []]
    ids = [call.id for turn in stream.turns for call in turn.tool_calls]
    assert ids == ["call_0_0", "call_0_1", "call_1_0"]
    assert {turn.dialect for turn in stream.turns} == {service.dialect}
    assert (stream.final, stream.state) == ("Cold everywhere.", "complete")


@each_service
def test_deltas_stream_one_by_one_and_in_order(simulator: Simulator, reader: Reader, service: Service) -> None:
    assert reader.read(agent_on(service, simulator)).tokens == ["Let me", " look.", "\n\n", "Cold", " everywhere."]
    events: list[Any] = reader.read(agent_on(service, simulator), with_events=True).tokens
    seen: list[tuple[str, Any]] = []
    for event in events:
        match event:
            case Reasoning(text=text):
                seen.append(("reasoning", text))
            case Token(text=text):
                seen.append(("text", text))
            case ToolCallRequested(call=call):
                seen.append(("call", json.loads(call.arguments)["city"]))
            case TurnEnd(turn=number):
                seen.append(("end", number))
            case _:
                pass
    assert seen == [
        ("reasoning", "Two"),
        ("reasoning", " places."),
        ("text", "Let me"),
        ("text", " look."),
        ("call", "Oslo"),
        ("call", "Rome"),
        ("end", 1),
        ("reasoning", "One more."),
        ("call", "Bergen"),
        ("end", 2),
        ("text", "Cold"),
        ("text", " everywhere."),
        ("end", 3),
    ]


@each_service
def test_usage_and_finish_reasons_are_the_same_in_each_dialect(
    simulator: Simulator, reader: Reader, service: Service
) -> None:
    stream = reader.read(agent_on(service, simulator)).stream
    first, second, last = stream.turns
    counts = {"input_tokens": 50, "output_tokens": 12, "total_tokens": 62, "cached_tokens": 5, "reasoning_tokens": 3}
    assert {name: getattr(first.usage, name) for name in COUNTS} == {
        name: None if name in service.unseen else count for name, count in counts.items()
    }
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (50 + 70 + 90, 12 + 6 + 2)
    with_calls, without = service.finish_reasons
    assert [turn.finish_reason_raw for turn in stream.turns] == [with_calls, with_calls, without]
    assert last.finish_reason == "stop"
    # Ollama has one finish reason for both: "stop".
    asked = "stop" if service.dialect == "ollama" else "tool_calls"
    assert (first.finish_reason, second.finish_reason) == (asked, asked)


# --- reasoning that cannot be read ----------------------------------------------------------------------------------

ENCRYPTED = conversation(
    {
        "reasoning": "Hm.",
        "signature": "c2lnbmVk",
        "encrypted": "ZW5jcnlwdGVk",
        "tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}],
    },
    {"text": "Cold."},
)


def last_assistant(service: Service, simulator: Simulator, reader: Reader, **options: Any) -> Any:
    """The part of the second request that comes from the first turn."""
    assert reader.read(agent_on(service, simulator, **options)).error is None
    body = bodies(simulator)[1]
    if "input" in body:
        return [item for item in body["input"] if item["type"] == "reasoning"]
    [message] = [message for message in body["messages"] if message["role"] == "assistant"]
    return message


@pytest.mark.parametrize("name", ["anthropic", "bedrock_invoke"])
def test_redacted_thinking_goes_back_to_anthropic(simulate: Simulate, reader: Reader, name: str) -> None:
    message = last_assistant(SERVICES[name], simulate(turns=ENCRYPTED), reader)
    assert message["content"][:2] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
    ]


def test_encrypted_reasoning_goes_back_to_openai(simulate: Simulate, reader: Reader) -> None:
    options = {"llm_args": {"store": False, "include": ["reasoning.encrypted_content"]}}
    simulator = simulate(turns=ENCRYPTED)
    [item] = last_assistant(SERVICES["openai_responses"], simulator, reader, **options)
    assert item == {
        "type": "reasoning",
        "id": "rs_0",
        "encrypted_content": "ZW5jcnlwdGVk",
        "summary": [{"type": "summary_text", "text": "Hm."}],
    }
    assert bodies(simulator)[0]["include"] == ["reasoning.encrypted_content"]


def test_encrypted_reasoning_goes_back_in_openais_chat_dialect(simulate: Simulate, reader: Reader) -> None:
    message = last_assistant(SERVICES["openai_chat"], simulate(turns=ENCRYPTED), reader)
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm.", "signature": "c2lnbmVk", "id": None, "index": 0},
        {"type": "reasoning.encrypted", "data": "ZW5jcnlwdGVk", "id": None, "index": 1},
    ]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"anthropic", "bedrock_invoke", "bedrock_converse"}))
def test_signed_reasoning_is_not_sent_to_another_provider(
    simulate: Simulate, reader: Reader, tmp_path: Path, name: str
) -> None:
    memory = {"persistent_memory": True, "memory_path": tmp_path / "memory.db"}
    assert reader.read(agent_on(SERVICES["anthropic"], simulate(turns=SCRIPT), **memory)).error is None
    simulator = simulate("I see.")
    result = reader.read(agent_on(SERVICES[name], simulator, **memory), "And now?")
    assert (result.error, result.stream.final) == (None, "I see.")
    body = json.dumps(bodies(simulator)[0])
    assert "c2lnbmVk" not in body
    assert "Two places." not in body
    assert "Oslo: cold" in body


# --- tool calls without ids -----------------------------------------------------------------------------------------


def test_a_tool_call_without_an_id_gets_one_and_its_result_has_the_same(simulate: Simulate, reader: Reader) -> None:
    calls = [{"functionCall": {"name": "weather", "args": {"city": city}}} for city in ("Oslo", "Rome")]
    parts = [{**call, "thoughtSignature": "c2lnbmVk"} for call in calls]
    chunk = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    raw = {"kind": "raw", "body": f"data: {json.dumps(chunk)}\r\n\r\n"}
    simulator = simulate(turns=conversation({"fault": raw}, {"text": "Cold."}))
    stream = reader.read(agent_on(SERVICES["gemini"], simulator)).stream
    first, second = stream.turns[0].tool_calls
    assert first.id
    assert second.id
    assert first.id != second.id
    results = [message["tool_call_id"] for message in stream.messages if message["role"] == "tool"]
    assert results == [first.id, second.id]
    asked, answered = bodies(simulator)[1]["contents"][1:]
    assert [part["thoughtSignature"] for part in asked["parts"]] == ["c2lnbmVk"] * 2
    assert [part["function_response"] for part in answered["parts"]] == [
        {"name": "weather", "response": {"content": f"{city}: cold"}} for city in ("Oslo", "Rome")
    ]


# --- models that litellm does not know ------------------------------------------------------------------------------


def test_a_model_that_litellm_does_not_know_streams_its_responses(simulator: Simulator, reader: Reader) -> None:
    service = replace(SERVICES["openai_responses"], model="openai/responses/gpt-of-the-future")
    result = reader.read(agent_on(service, simulator))
    assert result.tokens == ["Let me", " look.", "\n\n", "Cold", " everywhere."]
    assert result.stream.turns[0].tool_calls[0].arguments == '{"city":"Oslo"}'
    assert [body["stream"] for body in bodies(simulator)] == [True] * 3


def test_a_model_that_cannot_stream_is_not_asked_to(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("It took a while.")
    service = replace(SERVICES["openai_responses"], model="openai/responses/o1-pro")
    result = reader.read(agent_on(service, simulator, tools=[]))
    assert ("".join(result.tokens), result.error) == ("It took a while.", None)
    [body] = bodies(simulator)
    assert "stream" not in body


# --- marks for the provider's cache ---------------------------------------------------------------------------------

MARK = {"type": "ephemeral"}


def test_prompt_caching_sets_marks_for_anthropic(simulator: Simulator, reader: Reader) -> None:
    agent = agent_on(SERVICES["anthropic"], simulator, prompt_caching=True)
    assert reader.read(agent, TASK, img=IMAGE).error is None
    for body in bodies(simulator):
        assert body["tools"][-1]["cache_control"] == MARK
        assert body["system"][-1]["cache_control"] == MARK
        assert body["messages"][-1]["content"][-1]["cache_control"] == MARK
        assert json.dumps(body).count("cache_control") == 3


@pytest.mark.parametrize("name", ["bedrock_converse", "bedrock_invoke"])
def test_prompt_caching_sets_marks_for_bedrock(simulator: Simulator, reader: Reader, name: str) -> None:
    assert reader.read(agent_on(SERVICES[name], simulator, prompt_caching=True)).error is None
    word = "cachePoint" if name == "bedrock_converse" else "cache_control"
    assert [json.dumps(body).count(word) for body in bodies(simulator)] == [3, 3, 3]


@pytest.mark.parametrize("name", ["openai_chat", "gemini", "cohere", "ollama_chat", "openai_responses", "azure"])
def test_prompt_caching_changes_nothing_for_other_providers(simulator: Simulator, reader: Reader, name: str) -> None:
    service = SERVICES[name]
    assert reader.read(agent_on(service, simulator, prompt_caching=True), TASK, img=IMAGE).error is None
    sent = bodies(simulator)[2]
    assert {member: sent.get(member) for member in service.expected} == service.expected


# --- warnings at exit -----------------------------------------------------------------------------------------------


def test_a_program_that_uses_litellm_exits_without_warnings() -> None:
    # If the main thread has no event loop, litellm makes one and does not close it.
    run = run_python(
        f"""
        import asyncio, sys
        sys.path.insert(0, {str(REPOSITORY / "tests")!r})
        from headrace.testing import Simulator
        from support.dialects import SERVICES, agent_on
        with Simulator() as simulator:
            print(agent_on(SERVICES["bedrock_invoke"], simulator).run("Go."))
            print(agent_on(SERVICES["gemini"], simulator).run("Go."))
        """,
        environment={"PYTHONDEVMODE": "1"},
    )
    assert run.stdout == "Hello from the simulator.\n" * 2
    assert "event loop" not in run.stderr, run.stderr
    assert "Exception ignored" not in run.stderr, run.stderr
    assert run.returncode == 0
