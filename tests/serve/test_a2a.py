"""A2A, as its own SDK speaks it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    TaskState,
)
from a2a.utils.errors import TaskNotFoundError

from headrace._cli.keys import new_key
from support.conversations import add, bodies, calling, refusing
from support.harness import PATIENCE, Simulate, agent_at, wait_until_disconnected
from support.serving import Running, request, serving_agents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

T = TypeVar("T")

TEXT = ["Water", " turns", " the", " wheel."]
STALL = {"text": TEXT, "fault": {"kind": "stall", "after": 1}}


def asking(running: Running, use: Callable[[Any], Awaitable[T]], path: str = "", *, streaming: bool = True) -> T:
    """Uses a client that was made from the agent's card."""

    async def main() -> T:
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            card = await A2ACardResolver(http, running.url + path).get_agent_card()
            factory = ClientFactory(ClientConfig(httpx_client=http, streaming=streaming))
            return await use(factory.create(card))

    return asyncio.run(main())


def message(text: str = "Go.", **members: Any) -> SendMessageRequest:
    said = Message(message_id="m1", role=Role.ROLE_USER, parts=[Part(text=text)], **members)
    return SendMessageRequest(message=said, configuration=SendMessageConfiguration())


async def sent(client: Any, asked: SendMessageRequest) -> list[Any]:
    return [event async for event in client.send_message(asked)]


def text_of(events: list[Any]) -> str:
    updates = [event.artifact_update for event in events if event.HasField("artifact_update")]
    return "".join(part.text for update in updates for part in update.artifact.parts)


def states(events: list[Any]) -> list[TaskState]:
    first = [event.task.status.state for event in events if event.HasField("task")]
    return first + [event.status_update.status.state for event in events if event.HasField("status_update")]


def test_the_sdk_streams(simulate: Simulate) -> None:
    with serving_agents({"poet": agent_at(simulate(turns=[{"text": TEXT}]))}, expose="text") as running:
        events = asking(running, lambda client: sent(client, message()))
    assert text_of(events) == "".join(TEXT)
    assert states(events) == [TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED]
    updates = [event.artifact_update for event in events if event.HasField("artifact_update")]
    assert [update.append for update in updates] == [False, True, True, True]
    assert {update.task_id for update in updates} == {events[0].task.id}


def test_the_sdk_gets_a_whole_task_and_asks_for_it_again(simulate: Simulate) -> None:
    async def use(client: Any) -> tuple[Any, Any]:
        [event] = await sent(client, message())
        return event.task, await client.get_task(GetTaskRequest(id=event.task.id))

    with serving_agents({"poet": agent_at(simulate(turns=[{"text": TEXT}]))}) as running:
        task, again = asking(running, use, streaming=False)
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert task.artifacts[0].parts[0].text == "".join(TEXT)
    assert task == again


def test_a_context_goes_on(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"when": {"contains": "Who"}, "text": "You are Ann."}, {"text": "Hello."}])

    async def use(client: Any) -> list[Any]:
        first = await sent(client, message("I am Ann."))
        return await sent(client, message("Who am I?", context_id=first[0].task.context_id))

    with serving_agents({"poet": agent_at(simulator)}) as running:
        assert text_of(asking(running, use)) == "You are Ann."
    said = [message["content"] for message in bodies(simulator)[-1]["messages"]]
    assert [part if isinstance(part, str) else part[0]["text"] for part in said] == ["I am Ann.", "Hello.", "Who am I?"]


def test_a_task_is_cancelled(simulate: Simulate) -> None:
    simulator = simulate(turns=[STALL])

    async def use(client: Any) -> tuple[Any, list[Any]]:
        events: list[Any] = []
        cancelled = None
        async for event in client.send_message(message()):
            events.append(event)
            if event.HasField("artifact_update") and cancelled is None:
                cancelled = await client.cancel_task(CancelTaskRequest(id=events[0].task.id))
        return cancelled, events

    with serving_agents({"poet": agent_at(simulator)}) as running:
        cancelled, events = asking(running, use)
        wait_until_disconnected(simulator)
    assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
    assert states(events)[-1] == TaskState.TASK_STATE_CANCELED
    assert text_of(events) == "Water"


@pytest.mark.parametrize("streaming", [True, False])
def test_a_failure_of_the_model(simulate: Simulate, streaming: bool) -> None:
    simulator = simulate(turns=[{"text": "x", "fault": refusing(500, None)}])
    with (
        serving_agents({"poet": agent_at(simulator)}) as running,
        pytest.raises(Exception, match=r"simulated|500|server"),
    ):
        asking(running, lambda client: sent(client, message()), streaming=streaming)


def test_a_failure_within_the_answer(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "end", "after": 2}}])
    with serving_agents({"poet": agent_at(simulator)}) as running:
        events = asking(running, lambda client: sent(client, message()))
    assert text_of(events) == "Water turns"
    assert states(events)[-1] == TaskState.TASK_STATE_FAILED
    assert "before its end marker" in events[-1].status_update.status.message.parts[0].text


def test_an_unknown_task(simulate: Simulate) -> None:
    with serving_agents({"poet": agent_at(simulate("Yes."))}) as running, pytest.raises(TaskNotFoundError):
        asking(running, lambda client: client.get_task(GetTaskRequest(id="task_unknown")))


def test_what_the_agent_does_is_told_as_metadata(simulate: Simulate) -> None:
    turns = [{"when": {"role": "tool"}, "text": "It is 3."}, {"tool_calls": [calling("add", {"a": 1, "b": 2})]}]
    with serving_agents({"poet": agent_at(simulate(turns=turns), tools=[add], max_loops=3)}) as running:
        events = asking(running, lambda client: sent(client, message()))
    told = [event.status_update.metadata for event in events if event.HasField("status_update")]
    kinds = [metadata["headrace"]["type"] for metadata in told if "headrace" in metadata]
    assert {"tool_call", "tool_result"} <= set(kinds)


def test_each_agent_has_a_card(simulate: Simulate, tmp_path: Path) -> None:
    new_key("ann", tmp_path / "keys.toml")
    agents = {name: agent_at(simulate(turns=[{"text": [f"I am {name}."]}])) for name in ("poet", "a/miller")}
    with serving_agents(agents) as running:
        assert request(running, "/.well-known/agent-card.json").status_code == 404
        events = asking(running, lambda client: sent(client, message()), "/a2a/a/miller")
        assert text_of(events) == "I am a/miller."
    with serving_agents(agents, keys=tmp_path / "keys.toml") as running:
        card = request(running, "/a2a/poet/.well-known/agent-card.json").json()
        assert request(running, "/a2a/poet", {"jsonrpc": "2.0", "id": 1, "method": "GetTask"}).status_code == 401
    assert (card["name"], card["securitySchemes"]["key"]["httpAuthSecurityScheme"]["scheme"]) == ("poet", "Bearer")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({"jsonrpc": "2.0", "id": 7, "method": "ListTasks", "params": {}}, -32601),
        ({"jsonrpc": "2.0", "id": 7, "method": "SendMessage", "params": {}}, -32602),
        ({"jsonrpc": "2.0", "id": 7, "method": "GetTask", "params": {"id": "x"}}, -32001),
    ],
)
def test_calls_that_cannot_work(simulate: Simulate, call: dict[str, Any], code: int) -> None:
    with serving_agents({"poet": agent_at(simulate("Yes."))}) as running:
        answer = request(running, "/a2a/poet", call).json()
    assert (answer["id"], answer["error"]["code"]) == (7, code)
