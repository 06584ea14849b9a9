"""Helpers that script a model's turns, and that read what it was sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.testing import Simulator


def conversation(*turns: dict[str, Any]) -> list[dict[str, Any]]:
    """A script's turns: the answer to the first request, to the second, and so on. One more request is an error."""
    return [{"when": {"turn": number}, **turn} for number, turn in enumerate(turns)]


def calling(name: str, arguments: object = None, **members: Any) -> dict[str, Any]:
    """A script's tool call. Arguments that are a string are sent as they are; the order of others is kept."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {"name": name, "arguments": text, **members}


def bodies(simulator: Simulator) -> list[dict[str, Any]]:
    """The bodies of all requests."""
    return [request["body"] for request in simulator.report()["requests"]]


def sent(simulator: Simulator, number: int = -1) -> list[dict[str, Any]]:
    """The messages of a request, by default of the last."""
    messages: list[dict[str, Any]] = bodies(simulator)[number]["messages"]
    return messages


ADDS = {"text": "Let me add.", "tool_calls": [calling("add", {"a": 17, "b": 25})]}


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def refusing(status: int, times: int | None = 1, **members: Any) -> dict[str, Any]:
    """A fault: a status, for the first few requests."""
    fault = {"kind": "status", "status": status, "times": times, **members}
    return {name: value for name, value in fault.items() if value is not None}
