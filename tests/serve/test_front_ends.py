"""The protocols of front ends: AG-UI, judged by its own types, and the UI messages of Vercel's AI SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ag_ui.core import Event, EventType, RunAgentInput, UserMessage
from pydantic import TypeAdapter

from headrace import Agent, SequentialWorkflow
from support.conversations import add, bodies, calling
from support.harness import Simulate, agent_at
from support.serving import MODEL, events_of, request, serving_agents

ADDS = {"text": "I add.", "reasoning": "Hm.", "tool_calls": [calling("add", {"a": 1, "b": 2}, id="call_1")]}
TURNS = [{"when": {"role": "tool"}, "text": ["It is", " 3."]}, ADDS]
USER = [{"role": "user", "parts": [{"type": "text", "text": "Add."}]}]

UI_CHUNKS = {
    "start": {"messageId"},
    "start-step": set[str](),
    "finish-step": set[str](),
    "text-start": {"id"},
    "text-delta": {"id", "delta"},
    "text-end": {"id"},
    "reasoning-start": {"id"},
    "reasoning-delta": {"id", "delta"},
    "reasoning-end": {"id"},
    "tool-input-start": {"toolCallId", "toolName"},
    "tool-input-delta": {"toolCallId", "inputTextDelta"},
    "tool-input-available": {"toolCallId", "toolName", "input"},
    "tool-output-available": {"toolCallId", "output"},
    "tool-output-error": {"toolCallId", "errorText"},
    "error": {"errorText"},
    "finish": set[str](),
}
"""The members that each chunk must have, by the schema of the package ``ai`` (uiMessageChunkSchema)."""


def adding(simulate: Simulate, **options: Any) -> Agent:
    return agent_at(simulate(turns=TURNS), tools=[add], max_loops=3, **options)


def run_input(**members: Any) -> dict[str, Any]:
    """What AG-UI's own client sends."""
    asked = RunAgentInput(
        thread_id="thread_1",
        run_id="run_1",
        state={},
        messages=[UserMessage(id="1", role="user", content="Add.")],
        tools=[],
        context=[],
        forwarded_props={},
    )
    return {**asked.model_dump(by_alias=True, exclude_none=True, mode="json"), **members}


def agui_events(text: str) -> list[Any]:
    """The events as AG-UI's types; raises if one is wrong."""
    adapter: TypeAdapter[Any] = TypeAdapter(Event)
    return [adapter.validate_python(event) for event in events_of(text)]


def ui_chunks(text: str) -> list[dict[str, Any]]:
    """The chunks of a UI message stream; fails if one is wrong."""
    assert text.endswith("data: [DONE]\n\n")
    chunks = events_of(text)
    for chunk in chunks:
        assert chunk["type"].startswith("data-") or UI_CHUNKS[chunk["type"]] <= set(chunk), chunk
    return chunks


# --- AG-UI -----------------------------------------------------------------------------------------------------


def test_agui_gets_the_whole_run(simulate: Simulate) -> None:
    with serving_agents(adding(simulate)) as running:
        response = request(running, "/ag-ui", run_input())
    events = agui_events(response.text)
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == (EventType.RUN_STARTED, EventType.RUN_FINISHED)
    assert (events[0].thread_id, events[-1].run_id) == ("thread_1", "run_1")
    assert "".join(event.delta for event in events if event.type == EventType.TEXT_MESSAGE_CONTENT) == "I add.It is 3."
    assert "".join(event.delta for event in events if event.type == EventType.REASONING_MESSAGE_CONTENT) == "Hm."
    [result] = [event for event in events if event.type == EventType.TOOL_CALL_RESULT]
    [started] = [event for event in events if event.type == EventType.TOOL_CALL_START]
    assert (result.content, result.tool_call_id) == ("3", started.tool_call_id)
    assert kinds.count(EventType.TEXT_MESSAGE_START) == kinds.count(EventType.TEXT_MESSAGE_END) == 2


def test_agui_hands_back_calls_of_the_front_ends_tools(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"tool_calls": [calling("show", {"what": "a mill"})]}])
    tools = [{"name": "show", "description": "Shows.", "parameters": {"type": "object", "properties": {}}}]
    with serving_agents(agent_at(simulator)) as running:
        events = agui_events(request(running, "/ag-ui", run_input(tools=tools)).text)
    pieces = [event.delta for event in events if event.type == EventType.TOOL_CALL_ARGS]
    assert json.loads("".join(pieces)) == {"what": "a mill"}
    kinds = [event.type for event in events]
    assert kinds.count(EventType.TOOL_CALL_START) == kinds.count(EventType.TOOL_CALL_END) == 1
    assert EventType.TOOL_CALL_RESULT not in kinds
    assert [tool["function"]["name"] for tool in bodies(simulator)[0]["tools"]] == ["show"]


def test_agui_is_told_of_phases(simulate: Simulate) -> None:
    step = {"step_id": "1", "description": "y", "priority": "high", "dependencies": []}
    plan = {"task_description": "x", "steps": [step]}
    turns = [
        {"when": {"contains": "call create_plan"}, "tool_calls": [calling("create_plan", plan)]},
        {"tool_calls": [calling("complete_task", {"task_id": "1", "summary": "All done.", "success": True})]},
    ]
    with serving_agents(agent_at(simulate(turns=turns), max_loops="auto")) as running:
        events = agui_events(request(running, "/ag-ui", run_input()).text)
    steps = [event.step_name for event in events if event.type == EventType.STEP_STARTED]
    assert steps == ["plan", "execute 1"]
    assert steps == [event.step_name for event in events if event.type == EventType.STEP_FINISHED]
    assert "All done." in "".join(event.delta for event in events if event.type == EventType.TEXT_MESSAGE_CONTENT)


def test_agui_is_told_of_an_error(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": ["Water", " turns"], "fault": {"kind": "end", "after": 1}}])
    with serving_agents(agent_at(simulator)) as running:
        events = agui_events(request(running, "/ag-ui", run_input()).text)
    assert [event.type for event in events][-2:] == [EventType.TEXT_MESSAGE_END, EventType.RUN_ERROR]


# --- UI messages -----------------------------------------------------------------------------------------------


def test_ui_messages_get_the_whole_run(simulate: Simulate) -> None:
    with serving_agents(adding(simulate)) as running:
        response = request(running, "/api/chat", {"id": "chat", "messages": USER, "trigger": "submit-message"})
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    chunks = ui_chunks(response.text)
    assert "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta") == "I add.It is 3."
    assert "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "reasoning-delta") == "Hm."
    [called] = [chunk for chunk in chunks if chunk["type"] == "tool-input-available"]
    [returned] = [chunk for chunk in chunks if chunk["type"] == "tool-output-available"]
    assert (called["input"], returned["output"]) == ({"a": 1, "b": 2}, "3")
    assert called["toolCallId"] == returned["toolCallId"]
    assert [chunk["type"] for chunk in chunks][-2:] == ["finish-step", "finish"]
    assert chunks[-1]["finishReason"] == "stop"


def test_every_part_of_ui_messages_is_opened_and_closed_once(simulate: Simulate) -> None:
    with serving_agents(adding(simulate)) as running:
        chunks = ui_chunks(request(running, "/api/chat", {"messages": USER}).text)
    opened: set[str] = set()
    for chunk in chunks:
        kind, _, what = chunk["type"].rpartition("-")
        if kind in {"text", "reasoning"}:
            if what == "start":
                assert chunk["id"] not in opened
                opened.add(chunk["id"])
            assert chunk["id"] in opened
            if what == "end":
                opened.remove(chunk["id"])
    assert opened == set()


def test_ui_messages_are_told_of_an_error(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": ["Water", " turns"], "fault": {"kind": "end", "after": 1}}])
    with serving_agents(agent_at(simulator)) as running:
        chunks = ui_chunks(request(running, "/api/chat", {"messages": USER}).text)
    assert "before its end marker" in chunks[-1]["errorText"]


# --- both ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), [("/ag-ui", run_input()), ("/api/chat", {"messages": USER})])
def test_the_path_or_the_body_names_the_agent(simulate: Simulate, path: str, body: dict[str, Any]) -> None:
    agents = {name: agent_at(simulate(turns=[{"text": [f"I am {name}."]}])) for name in ("poet", "a/miller")}
    with serving_agents(agents) as running:
        assert "I am poet." in request(running, f"{path}/poet", body).text
        assert "I am a/miller." in request(running, f"{path}/a/miller", body).text
        assert "I am a/miller." in request(running, f"{path}/a%2Fmiller", body).text
        assert "I am poet." in request(running, path, {**body, "model": "poet"}).text
        unnamed = request(running, path, body)
        unknown = request(running, f"{path}/other", body)
    assert unnamed.status_code == 400
    assert "served: poet, a/miller" in unnamed.json()["error"]["message"]
    assert unknown.status_code == 404


@pytest.mark.parametrize("expose", ["text", "tools", "all"])
def test_a_front_end_is_told_only_what_is_exposed(simulate: Simulate, expose: str) -> None:
    with serving_agents({MODEL: adding(simulate)}, expose=expose) as running:
        agui = request(running, "/ag-ui", run_input()).text
        ui = request(running, "/api/chat", {"messages": USER}).text
        chat = request(
            running,
            "/v1/chat/completions",
            {"model": MODEL, "messages": [{"role": "user", "content": "Add."}], "stream": True},
        ).text
    assert ("TOOL_CALL_RESULT" in agui) == (expose != "text")
    assert ("tool-output-available" in ui) == (expose != "text")
    comments = [line.removeprefix(": headrace ") for line in chat.splitlines() if line.startswith(": headrace ")]
    told = [json.loads(comment)["type"] for comment in comments]
    assert ("tool_result" in told) == ("tool_call" in told) == (expose != "text")
    assert ("turn_start" in told) == ("turn_start" in agui) == ("data-turn-start" in ui) == (expose == "all")


def test_members_of_a_workflow_are_told(simulate: Simulate) -> None:
    poet = agent_at(simulate("Fine."), agent_name="poet")
    flow = SequentialWorkflow(agents=[adding(simulate, agent_name="miller"), poet])
    with serving_agents({MODEL: flow}) as running:
        events = agui_events(request(running, "/ag-ui", run_input()).text)
    steps = [event.step_name for event in events if event.type == EventType.STEP_STARTED]
    assert steps == ["miller", "poet"]
    assert [event.content for event in events if event.type == EventType.TOOL_CALL_RESULT] == ["3"]
