"""Tool calls as models write them that misbehave, and tools that note what they are called with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CALLS", "is_call_of", "seen_by_tools"]

NAMES = st.one_of(st.sampled_from(["add", "echo", "missing", "a b", "functions.add:0", ""]), st.text(max_size=70))
IDS = st.one_of(st.sampled_from(["a", "b", "", "call 1", "null", "functions.add:0"]), st.text(max_size=50))
OBJECTS = st.fixed_dictionaries({}, optional={"a": st.integers(), "b": st.floats(), "text": st.text(max_size=8)})
ARGUMENTS = st.one_of(
    st.sampled_from(["", "null", "[]", "{", '{"a": 1', '{"a": NaN}', '{"a": 1e999}', '{"text": "\\ud800"}', '"{}"']),
    OBJECTS.map(json.dumps),
    st.text(max_size=12),
)
CALLS = st.fixed_dictionaries(
    {"name": NAMES, "arguments": ARGUMENTS}, optional={"id": IDS, "fragments": st.integers(1, 4)}
)


def seen_by_tools(calls: list[tuple[str, Any]]) -> list[Callable[..., Any]]:
    """Tools that note what they are called with."""

    def add(a: int, b: float) -> float:
        calls.append(("add", {"a": a, "b": b}))
        return a + b

    def echo(text: str = "") -> str:
        calls.append(("echo", {"text": text}))
        return text

    return [add, echo]


def is_call_of(name: str, arguments: dict[str, Any], call: dict[str, Any]) -> bool:
    """Whether a tool's arguments are those of the model's call, where it gave them."""
    try:
        meant = json.loads(call["arguments"].strip() or "{}")
        meant = json.loads(meant) if isinstance(meant, str) else meant
    except ValueError:
        return False
    told = meant if isinstance(meant, dict) else {}
    return name == call["name"] and all(same(told.get(each, value), value) for each, value in arguments.items())


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, be it as integer or float."""
    return repr(one) == repr(other) or (isinstance(one, int) and float(one) == other)
