"""What a client is told of what an agent does between its texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from headrace.events import Event, Reasoning, Refusal, RunEnd, RunStart, Token, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

__all__ = ["EXPOSED", "Exposed", "notices"]

Exposed: TypeAlias = Literal["text", "tools", "all"]
"""What a client is told: only text and reasoning; also the agent's tool calls and their results; or everything."""

EXPOSED: Final[tuple[Exposed, ...]] = ("text", "tools", "all")

_SAID: Final = (Token, Refusal, Reasoning, ToolCallDelta, RunStart, RunEnd)
"""Events that the protocols have their own places for."""

_TOOLS: Final = frozenset({"tool_call", "tool_result"})

_REPEATED: Final = {"turn_end": "text", "agent_end": "output"}
"""Members of events that repeat what was sent as text."""


def notices(items: Iterable[object], exposed: Exposed, client_tools: Container[str]) -> Iterator[str]:
    """The events that a client is told, as JSON.

    Args:
        items: What happened; only events count.
        exposed: What the client is told.
        client_tools: The names of the tools that the client runs itself: it gets their calls in the
            protocol's own form.
    """
    for item in items:
        if not isinstance(item, Event) or isinstance(item, _SAID):
            continue
        if exposed == "text" or (exposed == "tools" and item.type not in _TOOLS):
            continue
        members: dict[str, Any] = item.to_dict()
        call = members.get("call")
        if call is not None and call["name"] in client_tools:
            continue
        members.pop(_REPEATED.get(item.type, ""), None)
        yield json.dumps(members, ensure_ascii=False, default=str)
