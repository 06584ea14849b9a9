"""Tools that a client brings: their calls are handed back to it, in each protocol."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
import openai
import pytest

from headrace import SequentialWorkflow
from support.conversations import add, bodies, calling, conversation
from support.harness import PATIENCE, REPOSITORY, Simulate, agent_at
from support.serving import GO, MODEL, Running, openai_at, request, serving_agents, streamed

SHOW: dict[str, Any] = {
    "type": "function",
    "function": {"name": "show", "description": "Shows.", "parameters": {"type": "object", "properties": {}}},
}
BOTH = {"text": "Look: ", "tool_calls": [calling("add", {"a": 1, "b": 2}), calling("show", {"what": "a mill"})]}
TWICE = {"tool_calls": [calling("show", {"n": 1}, id="same"), calling("show", {"n": 2}, id="same")]}


def calls_of(chunks: list[Any]) -> dict[int, dict[str, str]]:
    """The calls of a stream's chunks, put together as a client does."""
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or ():
                call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += piece.id or ""
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
    return calls


def anthropic_at(running: Running) -> anthropic.Anthropic:
    client = anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0, timeout=PATIENCE)
    return running.clients.enter_context(client)


@pytest.mark.parametrize("called_back", [False, True])
def test_calls_of_the_clients_tools_stream_and_others_are_not_run(simulate: Simulate, called_back: bool) -> None:
    ran: list[int] = []

    def add(a: int, b: int) -> int:
        """Adds."""
        ran.append(a + b)
        return a + b

    simulator = simulate(turns=[BOTH])
    agent = agent_at(simulator, tools=[add], max_loops=5)
    if called_back:
        agent.streaming_callback = lambda _token: None
    with serving_agents(agent) as running:
        chunks = streamed(running, tools=[SHOW])
    [call] = calls_of(chunks).values()
    assert (call["name"], json.loads(call["arguments"])) == ("show", {"what": "a mill"})
    assert call["id"]
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "tool_calls"
    assert ran == []
    [body] = bodies(simulator)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["add", "show"]


def test_two_calls_with_one_id_get_two(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[TWICE]))) as running:
        calls = calls_of(streamed(running, tools=[SHOW]))
    assert [json.loads(call["arguments"])["n"] for call in calls.values()] == [1, 2]
    assert len({call["id"] for call in calls.values()}) == 2


def test_the_client_goes_on_with_its_results(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Shown."}, BOTH])
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        tools: Any = [SHOW]
        answer = client.chat.completions.create(model=MODEL, messages=GO, tools=tools)
        message: Any = answer.choices[0].message
        assert answer.choices[0].finish_reason == "tool_calls"
        [call] = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "done"}
        messages: Any = [*GO, message.to_dict(), result]
        answer = client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
    assert answer.choices[0].message.content == "Shown."
    assert bodies(simulator)[-1]["messages"][-1]["content"] == "done"


def test_the_agents_own_tools_run_before(simulate: Simulate) -> None:
    turns = conversation(
        {"tool_calls": [calling("add", {"a": 1, "b": 2})]}, {"tool_calls": [calling("show", {"what": "3"})]}
    )
    with serving_agents(agent_at(simulate(turns=turns), tools=[add], max_loops=5)) as running:
        chunks = streamed(running, tools=[SHOW])
    [call] = calls_of(chunks).values()
    assert call["name"] == "show"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "tool_calls"


def test_a_run_that_ends_with_its_own_calls_hands_none_back(simulate: Simulate) -> None:
    turns = [{"text": "I add.", "tool_calls": [calling("add", {"a": 1, "b": 2})]}]
    with serving_agents(agent_at(simulate(turns=turns), tools=[add])) as running:
        chunks = streamed(running, tools=[SHOW])
    assert calls_of(chunks) == {}
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"


def test_anthropics_client_gets_its_calls(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Shown."}, BOTH])
    tools: Any = [{"name": "show", "description": "Shows.", "input_schema": {"type": "object"}}]
    with serving_agents(agent_at(simulator, tools=[add])) as running:
        client = anthropic_at(running)
        with client.messages.stream(model=MODEL, max_tokens=9, messages=GO, tools=tools) as stream:
            message = stream.get_final_message()
        [use] = [block for block in message.content if block.type == "tool_use"]
        assert (message.stop_reason, use.name, use.input) == ("tool_use", "show", {"what": "a mill"})
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "done"}
        messages: Any = [
            *GO,
            {"role": "assistant", "content": [block.to_dict() for block in message.content]},
            {"role": "user", "content": [result]},
        ]
        answer = client.messages.create(model=MODEL, max_tokens=9, messages=messages, tools=tools)
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Shown."


def test_options_of_the_request_reach_the_model(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": "Yes."}])
    with serving_agents(agent_at(simulator, max_tokens=100, temperature=0.5)) as running:
        choice: Any = {"type": "function", "function": {"name": "show"}}
        streamed(running, max_completion_tokens=7, temperature=0, stop=["x"], seed=3, tools=[SHOW], tool_choice=choice)
    [body] = bodies(simulator)
    wanted = {"max_completion_tokens": 7, "temperature": 0, "stop": ["x"], "seed": 3, "tool_choice": choice}
    assert {name: body[name] for name in wanted} == wanted
    assert "max_tokens" not in body


@pytest.mark.parametrize("kind", ["same name", "autonomous", "workflow"])
def test_tools_that_cannot_be_handed_back_are_refused(simulate: Simulate, kind: str) -> None:
    simulator = simulate(turns=[{"text": "Yes."}])

    def show() -> str:
        """Shows."""
        return ""

    agents: dict[str, Any] = {
        "same name": agent_at(simulator, tools=[show]),
        "autonomous": agent_at(simulator, max_loops="auto"),
        "workflow": SequentialWorkflow(agents=[agent_at(simulator)]),
    }
    with serving_agents({MODEL: agents[kind]}) as running, pytest.raises(openai.BadRequestError, match="tools"):
        streamed(running, tools=[SHOW])


@pytest.mark.parametrize("protocol", ["chat", "responses", "messages"])
def test_a_tool_named_like_one_of_an_mcp_server_is_a_bad_request(simulate: Simulate, protocol: str) -> None:
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed", exc_type=ImportError)
    simulator = simulate(turns=[{"text": "Yes."}])
    server = {"command": sys.executable, "args": [str(REPOSITORY / "tests" / "support" / "mcp_raw_server.py")]}
    agent = agent_at(simulator, mcp_config={"raw": server}, mcp_connect_timeout=PATIENCE)
    function = {"name": "echo", "parameters": {"type": "object"}}
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("chat/completions", {"messages": GO, "tools": [{"type": "function", "function": function}]}),
        "responses": ("responses", {"input": GO, "tools": [{"type": "function", **function}]}),
        "messages": ("messages", {"messages": GO, "tools": [{"name": "echo", "input_schema": {}}], "max_tokens": 9}),
    }
    path, extra = requests[protocol]
    with serving_agents(agent) as running:
        response = request(running, f"/v1/{path}", {"model": MODEL, "stream": True, **extra})
    assert response.status_code == 400
    assert "'echo'" in response.json()["error"]["message"]
    assert bodies(simulator) == []


@pytest.mark.parametrize("by_client", [True, False])
def test_a_parameter_that_the_provider_has_not_is_the_fault_of_who_gave_it(simulate: Simulate, by_client: bool) -> None:
    seed = {"seed": 3}
    simulator = simulate(turns=[{"text": "Yes."}])
    agent = agent_at(
        simulator.base_url.removesuffix("/v1"),
        model_name="anthropic/claude-3-haiku-20240307",
        llm_api_key="sk-test",
        llm_args={} if by_client else seed,
    )
    with serving_agents(agent) as running:
        body = {"model": MODEL, "messages": GO, **(seed if by_client else {})}
        response = request(running, "/v1/chat/completions", body)
    assert response.status_code == (400 if by_client else 500)
    assert "seed" in response.json()["error"]["message"]
    assert bodies(simulator) == []


def test_a_tool_without_a_name_is_a_bad_request(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": "Yes."}]))) as running:
        body = {"model": MODEL, "messages": GO, "tools": [{"type": "function"}]}
        response = request(running, "/v1/chat/completions", body)
    assert response.status_code == 400
    assert "a function with a name" in response.json()["error"]["message"]
