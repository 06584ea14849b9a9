"""Helpers that script a model's turns for the tests of autonomous runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.events import PhaseEnd, PhaseStart
from support.conversations import add, bodies, calling, conversation, sent
from support.harness import agent_at

if TYPE_CHECKING:
    from headrace import Agent
    from headrace.testing import Simulator


def step(name: str, *dependencies: str, priority: str = "medium") -> dict[str, Any]:
    """A step of a plan."""
    return {
        "step_id": name,
        "description": f"Work on {name}.",
        "priority": priority,
        "dependencies": list(dependencies),
    }


def plans(*steps: dict[str, Any] | str, text: str = "") -> dict[str, Any]:
    """A script's turn that makes a plan."""
    made = [step(one) if isinstance(one, str) else one for one in steps]
    call = calling("create_plan", {"task_description": "The task.", "steps": made})
    return {"text": text, "tool_calls": [call]}


def done(name: str, summary: str = "It went well.", *, success: bool = True, text: str = "") -> dict[str, Any]:
    """A script's turn that reports the end of a subtask."""
    call = calling("subtask_done", {"task_id": name, "summary": summary, "success": success})
    return {"text": text, "tool_calls": [call]}


def completes(summary: str, text: str = "", **members: Any) -> dict[str, Any]:
    """A script's turn that ends the task."""
    call = calling("complete_task", {"task_id": "main", "summary": summary, "success": True, **members})
    return {"text": text, "tool_calls": [call]}


def says(message: str, text: str = "") -> dict[str, Any]:
    """A script's turn that sends the user a message."""
    return {"text": text, "tool_calls": [calling("respond_to_user", {"message": message, "message_type": "info"})]}


def bot_at(simulator: Simulator, **options: Any) -> Agent:
    """An autonomous agent that can add."""
    return agent_at(simulator, **{"agent_name": "AutoBot", "max_loops": "auto", "tools": [add], **options})


def offered(simulator: Simulator) -> list[list[str]]:
    """The names of the tools that were offered, request by request."""
    return [[tool["function"]["name"] for tool in body.get("tools", [])] for body in bodies(simulator)]


def results(simulator: Simulator, number: int = -1) -> list[str]:
    """The tool results in a request, by default in the last."""
    return [message["content"] for message in sent(simulator, number) if message["role"] == "tool"]


def phases(events: list[Any]) -> list[tuple[str, str, str | None]]:
    return [(event.type, event.phase, event.subtask) for event in events if isinstance(event, PhaseStart | PhaseEnd)]


ADDS = {"text": "Adding.", "tool_calls": [calling("add", {"a": 17, "b": 25})]}
WHOLE = conversation(
    plans("sum", step("check", "sum"), text="Let me plan."),
    ADDS,
    done("sum", "17 + 25 = 42"),
    done("check", text="It checks."),
    completes("The sum is 42."),
)


def assert_every_call_is_answered(messages: list[Any]) -> None:
    """Directly after a message with tool calls come their results, one each."""
    for position, message in enumerate(messages):
        called = [call["id"] for call in message.get("tool_calls") or []]
        answers = messages[position + 1 : position + 1 + len(called)]
        assert [answer.get("tool_call_id") for answer in answers] == called
