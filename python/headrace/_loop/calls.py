"""Runs the tool calls of a turn: the user's tools, handoffs to other agents, and the loop's own tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from headrace._tools.arguments import InvalidArgumentsError, parse_object
from headrace.events import AgentEnd, AgentStart, ToolResultReturned
from headrace.tools import ToolResult

from .effects import Loop, RunTools, emit, run_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.types import ToolCall, Turn

    from .spec import AgentSpec

__all__ = ["HANDOFF", "OwnTools", "handoff_schemas", "run_calls", "tool_name"]

HANDOFF: Final = "handoff_task"
"""The name of the tool with which a model hands a task off to another agent."""

_MAX_HANDOFFS: Final = 8
"""How many handoffs a task may go through: agents might hand it off in a circle for ever."""


class OwnTools(Protocol):
    """Tools that a loop runs itself."""

    def has(self, name: str) -> bool:
        """Whether one of the tools has this name."""
        ...

    def call(self, call: ToolCall) -> ToolResult:
        """Runs a call."""
        ...


def run_calls(
    spec: AgentSpec, turn: Turn, schemas: Sequence[Mapping[str, Any]], own: OwnTools | None = None
) -> Loop[list[ToolResult]]:
    """Runs the tool calls of a turn: the user's tools in parallel, then handoffs and the loop's own tools one by one.

    A call of an unknown tool goes to the toolbox, which makes the error for the model. A call that was cut off, or that
    came in an answer that was withheld or failed, is not run.

    Args:
        spec: The agent.
        turn: The turn with the calls.
        schemas: The tools that the model was offered.
        own: Tools that the loop runs itself.

    Returns:
        The results, in the order of the calls.
    """

    def is_own(call: ToolCall) -> bool:
        return own is not None and own.has(call.name)

    def is_handoff(call: ToolCall) -> bool:
        return bool(spec.handoffs) and call.name == HANDOFF

    calls = turn.tool_calls
    results = {id(call): result for call in calls if (result := _not_run(call, turn)) is not None}
    for call in calls:
        if id(call) in results:
            yield emit(
                ToolResultReturned, call, results[id(call)].content, results[id(call)].error, 0.0, agent=spec.name
            )
    wanted = [call for call in calls if id(call) not in results]
    for_toolbox = tuple(call for call in wanted if not is_own(call) and not is_handoff(call))
    if for_toolbox:
        offered = tuple(tool_name(schema) for schema in schemas)
        returned = yield from run_tools(RunTools(spec.name, spec.toolbox, for_toolbox, offered))
        results.update(zip(map(id, for_toolbox), returned, strict=True))
    for call in wanted:
        if id(call) in results:
            continue
        result = own.call(call) if own is not None and is_own(call) else (yield from _hand_off(spec, call))
        results[id(call)] = result
        yield emit(ToolResultReturned, call, result.content, result.error, result.duration, agent=spec.name)
    return [results[id(call)] for call in calls]


def _not_run(call: ToolCall, turn: Turn) -> ToolResult | None:
    """The result of a call that must not be run; None if it may be."""
    if not call.complete:
        if turn.finish_reason == "length":
            said = "your answer reached its output limit before the call was complete. Make it again, and shorter"
        else:
            said = "your answer broke off before the call was complete. Make it again"
        return ToolResult(call, f"{call.name!r} was not called: {said}", error="cut_off")
    if turn.finish_reason in {"content_filter", "error"}:
        return ToolResult(call, f"{call.name!r} was not called: the provider broke off your answer", error="cut_off")
    return None


def tool_name(schema: Mapping[str, Any]) -> str:
    """The name in a tool's schema."""
    return str(schema.get("function", {}).get("name"))


def _hand_off(spec: AgentSpec, call: ToolCall) -> Loop[ToolResult]:
    """Runs another agent. Its tokens stream under its own name, and its answer is the result of the call."""
    by_name = {agent.name: agent for agent in spec.handoffs}
    try:
        arguments = parse_object(call.arguments)
        name, task = str(arguments["agent_name"]), str(arguments["task"])
    except (InvalidArgumentsError, KeyError) as error:
        why = f": {error}" if isinstance(error, InvalidArgumentsError) else ""
        return ToolResult(call, f"{HANDOFF} needs the members agent_name and task{why}", error="invalid_arguments")
    if name not in by_name:
        import difflib  # Imported here, because models seldom get a name wrong.

        nearest = difflib.get_close_matches(name, by_name, n=1) or list(by_name)
        return ToolResult(call, f"there is no agent {name!r}; known: {', '.join(nearest)}", error="unknown_tool")
    other = by_name[name]
    if other.agent_id in (spec.agent_id, *spec.waiting):
        refusal = f"{name!r} cannot take this task: it waits for your answer. Answer it yourself"
        return ToolResult(call, refusal, error="refused")
    if len(spec.waiting) >= _MAX_HANDOFFS:
        refusal = f"the task was handed off {_MAX_HANDOFFS} times in a row, the maximum: answer it yourself"
        return ToolResult(call, refusal, error="refused")
    other = other._replace(waiting=(*spec.waiting, spec.agent_id))
    yield emit(AgentStart, agent=name)
    outcome = yield from other.loop(other, [{"role": "user", "content": task}], None)
    yield emit(AgentEnd, outcome.final, agent=name)
    return ToolResult(call, outcome.final, value=outcome.final)


def handoff_schemas(spec: AgentSpec) -> list[Mapping[str, Any]]:
    """The schema of the handoff tool; empty if the agent has no other agents."""
    if not spec.handoffs:
        return []
    agents = "; ".join(f"{agent.name}: {agent.description or 'no description'}" for agent in spec.handoffs)
    parameters = {
        "type": "object",
        "properties": {
            "agent_name": {"type": "string", "enum": [agent.name for agent in spec.handoffs]},
            "task": {"type": "string", "description": "The task, with all that the agent must know."},
        },
        "required": ["agent_name", "task"],
        "additionalProperties": False,
    }
    description = f"Give a task to another agent, and get its answer. Agents: {agents}"
    return [{"type": "function", "function": {"name": HANDOFF, "description": description, "parameters": parameters}}]
