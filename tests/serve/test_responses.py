"""OpenAI's responses, as its SDK gets them."""

from __future__ import annotations

import re
from typing import Any

import openai
import pytest

from support.conversations import add, bodies, calling
from support.harness import Simulate, agent_at, wait_until_disconnected
from support.serving import MODEL, openai_at, request, serving_agents

TEXT = ["Water", " turns", " the", " wheel."]
SHOW: Any = {"type": "function", "name": "show", "description": "Shows.", "parameters": {"type": "object"}}
SLOW = {"text": TEXT, "fault": {"kind": "stall", "after": 1}}


def test_the_openai_sdk_streams(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT, "reasoning": "Hm."}]))) as running:
        client = openai_at(running)
        with client.responses.stream(model=MODEL, input="Go.") as stream:
            events = list(stream)
            response = stream.get_final_response()
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "".join(TEXT)
    assert [event.type for event in events][:2] == ["response.created", "response.in_progress"]
    assert response.output_text == "".join(TEXT)
    assert response.usage is not None
    assert (response.status, response.usage.output_tokens) == ("completed", 5)


def test_the_openai_sdk_gets_a_whole_response(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT}])
    with serving_agents(agent_at(simulator, system_prompt="You greet.")) as running:
        response = openai_at(running).responses.create(
            model=MODEL,
            instructions="Be short.",
            input=[{"role": "user", "content": [{"type": "input_text", "text": "Go."}]}],
            max_output_tokens=9,
        )
    assert response.output_text == "".join(TEXT)
    [body] = bodies(simulator)
    assert body["messages"][0]["content"] == "You greet.\n\nBe short."
    assert body["max_tokens"] == 9


def test_a_response_goes_on_from_another(simulate: Simulate) -> None:
    turns = [{"when": {"contains": "Who"}, "text": "You are Ann."}, {"text": "Hello, Ann."}]
    simulator = simulate(turns=turns)
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        first = client.responses.create(model=MODEL, input="I am Ann.", instructions="Greet.")
        second = client.responses.create(model=MODEL, input="Who am I?", previous_response_id=first.id)
        third = client.responses.create(
            model=MODEL, input="Who again?", previous_response_id=second.id, instructions="Be short."
        )
    assert second.output_text == third.output_text == "You are Ann."
    said = [(message["role"], message["content"]) for message in bodies(simulator)[-1]["messages"]]
    assert said == [
        ("system", "Be short."),
        ("user", "I am Ann."),
        ("assistant", "Hello, Ann."),
        ("user", "Who am I?"),
        ("assistant", "You are Ann."),
        ("user", "Who again?"),
    ]
    assert second.previous_response_id == first.id


@pytest.mark.parametrize("call_id", ["call_1", ""])
def test_a_call_goes_on_with_its_output(simulate: Simulate, call_id: str) -> None:
    call = calling("show", {"what": "a mill"}, id=call_id)
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Shown."}, {"tool_calls": [call]}])
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        first = client.responses.create(model=MODEL, input="Show.", tools=[SHOW])
        [item] = first.output
        assert item.type == "function_call"
        assert (item.name, item.arguments) == ("show", '{"what": "a mill"}')
        output: Any = {"type": "function_call_output", "call_id": item.call_id, "output": "done"}
        second = client.responses.create(model=MODEL, input=[output], previous_response_id=first.id, tools=[SHOW])
    assert second.output_text == "Shown."
    [_, called, result] = bodies(simulator)[-1]["messages"]
    assert called["tool_calls"][0]["id"] == result["tool_call_id"] == item.call_id


def test_the_agents_own_tools_are_part_of_the_conversation_that_goes_on(simulate: Simulate) -> None:
    turns = [
        {"when": {"contains": "again"}, "text": "Still 3."},
        {"when": {"role": "tool"}, "text": "It is 3."},
        {"tool_calls": [calling("add", {"a": 1, "b": 2})]},
    ]
    simulator = simulate(turns=turns)
    with serving_agents(agent_at(simulator, tools=[add], max_loops=3)) as running:
        client = openai_at(running)
        first = client.responses.create(model=MODEL, input="Add.")
        client.responses.create(model=MODEL, input="And again?", previous_response_id=first.id)
    roles = [message["role"] for message in bodies(simulator)[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_conversation_goes_on_by_its_id(simulate: Simulate) -> None:
    turns = [{"when": {"contains": "Who"}, "text": "You are Ann."}, {"text": "Hello, Ann."}]
    simulator = simulate(turns=turns)
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        begins: Any = [{"type": "message", "role": "user", "content": "I like mills."}]
        conversation = client.conversations.create(items=begins)
        first = client.responses.create(model=MODEL, input="I am Ann.", conversation=conversation.id)
        second = client.responses.create(model=MODEL, input="Who am I?", conversation=conversation.id)
        assert client.conversations.retrieve(conversation.id).id == conversation.id
        client.conversations.delete(conversation.id)
        with pytest.raises(openai.NotFoundError, match="no conversation"):
            client.responses.create(model=MODEL, input="Who?", conversation=conversation.id)
        with pytest.raises(openai.NotFoundError, match="no conversation"):
            client.responses.create(model=MODEL, input="Who?", conversation="conv_unknown")
    said = [message["content"] for message in bodies(simulator)[-1]["messages"]]
    assert said == ["I like mills.", "I am Ann.", "Hello, Ann.", "Who am I?"]
    assert second.output_text == "You are Ann."
    assert first.conversation is not None
    assert first.conversation.id == conversation.id


def test_a_conversation_cannot_begin_with_too_much(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate("Yes."))) as running:
        item = {"role": "user", "content": "x" * 300_000}
        assert request(running, "/v1/conversations", {"items": [item]}).status_code == 413


def test_a_conversation_whose_answers_are_forgotten_is_gone(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate("Yes."))) as running:
        client = openai_at(running)
        conversation = client.conversations.create()
        last = client.responses.create(model=MODEL, input="I am Ann.", conversation=conversation.id)
        client.responses.delete(last.id)
        with pytest.raises(openai.NotFoundError, match="no conversation"):
            client.responses.create(model=MODEL, input="Who am I?", conversation=conversation.id)


def test_a_response_is_kept_until_it_is_deleted(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        client = openai_at(running)
        kept = client.responses.create(model=MODEL, input="Go.")
        assert client.responses.retrieve(kept.id).output_text == "".join(TEXT)
        client.responses.delete(kept.id)
        with pytest.raises(openai.NotFoundError, match="no response"):
            client.responses.retrieve(kept.id)
        other = client.responses.create(model=MODEL, input="Go.", store=False)
        for previous in (kept.id, other.id, "resp_unknown"):
            with pytest.raises(openai.NotFoundError, match="no response"):
                client.responses.create(model=MODEL, input="Go on.", previous_response_id=previous)


def test_a_background_response_is_asked_for_later(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT}], pacing={"mode": "steady", "interval_ms": 50})
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        response = client.responses.create(model=MODEL, input="Go.", background=True)
        assert response.status == "in_progress"
        while response.status == "in_progress":
            response = client.responses.retrieve(response.id)
        assert (response.status, response.output_text) == ("completed", "".join(TEXT))


def test_a_background_response_can_be_cancelled(simulate: Simulate) -> None:
    simulator = simulate(turns=[SLOW])
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        response = client.responses.create(model=MODEL, input="Go.", background=True)
        assert simulator.wait_for(lambda report: report["requests_seen"] == 1)
        assert client.responses.cancel(response.id).status == "cancelled"
        wait_until_disconnected(simulator)
        assert client.responses.retrieve(response.id).status == "cancelled"
        with pytest.raises(openai.BadRequestError, match="not complete"):
            client.responses.create(model=MODEL, input="Go on.", previous_response_id=response.id)


def test_a_failed_background_response_says_why(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "end", "after": 2}}])
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        response = client.responses.create(model=MODEL, input="Go.", background=True)
        while response.status == "in_progress":
            response = client.responses.retrieve(response.id)
    assert response.status == "failed"
    assert response.error is not None
    assert "before its end marker" in response.error.message
    assert response.output_text == "".join(TEXT[:2])


def test_an_error_within_the_stream_is_a_failed_response(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "end", "after": 2}}])
    with serving_agents(agent_at(simulator)) as running:
        events = list(openai_at(running).responses.create(model=MODEL, input="Go.", stream=True))
    assert events[-1].type == "response.failed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Water turns"


@pytest.mark.parametrize(
    ("member", "value", "why"),
    [
        ("input", None, "input must be"),
        ("input", [{"type": "computer_call"}], r"input\[0\] is of the type computer_call"),
        ("tools", [{"type": "web_search"}], "web_search"),
        ("conversation", {}, "must have an id"),
    ],
)
def test_what_is_not_served_is_refused(simulate: Simulate, member: str, value: Any, why: str) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        response = request(running, "/v1/responses", {"model": MODEL, "input": "Go.", member: value})
    assert response.status_code == 400
    assert re.search(why, response.json()["error"]["message"])
