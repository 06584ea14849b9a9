"""Tools that the caller of a run runs itself: a turn that calls one ends the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import UnsupportedRequestError
from headrace.events import ToolResultReturned
from headrace.tools import ToolResult

from .calls import handoff_schemas, tool_name
from .effects import Loop, emit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.types import ToolCall, Turn

    from .spec import AgentSpec

__all__ = ["calls_for_client", "leave_to_client", "offered"]


def offered(spec: AgentSpec) -> tuple[Mapping[str, Any], ...]:
    """The schemas of all tools that the model is offered: the agent's, the handoff, and the caller's.

    Raises:
        UnsupportedRequestError: A tool of the caller's has the name of one of the agent's.
    """
    own = (*spec.toolbox.schemas, *handoff_schemas(spec))
    if not spec.client_tools:
        return own
    names = set(map(tool_name, own))
    for schema in spec.client_tools:
        if (name := tool_name(schema)) in names:
            raise UnsupportedRequestError(
                f"client_tools: the agent has a tool {name!r} of its own; give yours another name"
            )
    return (*own, *spec.client_tools)


def calls_for_client(spec: AgentSpec, turn: Turn) -> tuple[ToolCall, ...]:
    """The calls of a turn that the caller is to run."""
    if not (spec.client_tools and turn.tool_calls):
        return ()
    names = set(map(tool_name, spec.client_tools))
    return tuple(call for call in turn.tool_calls if call.name in names)


def leave_to_client(spec: AgentSpec, turn: Turn) -> Loop[list[ToolResult]]:
    """What becomes of the agent's own calls in a turn that calls tools of the caller's.

    They are not run. Whoever goes on from here may keep only the calls that were handed back, and the model would then
    make the others again.

    Returns:
        A result for each of these calls, so that every call of the conversation gets one.
    """
    theirs = {id(call) for call in calls_for_client(spec, turn)}
    results = [
        ToolResult(
            call,
            f"{call.name!r} was not called, because others had to be answered first: call it again",
            error="not_run",
        )
        for call in turn.tool_calls
        if id(call) not in theirs
    ]
    for result in results:
        yield emit(ToolResultReturned, result.call, result.content, result.error, 0.0, agent=spec.name)
    return results
