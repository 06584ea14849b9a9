"""The loop of an agent with a fixed number of turns: policy only, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from headrace.types import Message, ModelCall, Outcome, Turn

from .calls import HANDOFF, handoff_schemas, run_calls, tool_name
from .conversation import Conversation
from .effects import Loop, OpenTurn, Sleep, connect, recall
from .retries import ask_with_retries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.tools import ToolResult

    from .spec import AgentSpec

__all__ = ["agent_turns", "begin", "connected", "take_turn"]


def agent_turns(spec: AgentSpec, opening: Sequence[Message], history: Sequence[Message] | None = None) -> Loop[Outcome]:
    """Asks the model, carries out the tool calls that it asks for, and asks again.

    The loop ends with the first turn that asks for no tool or that a stop condition is met by, or with the last of
    ``max_loops``; the tools of that one are still carried out, since the model asked for their effects.

    Args:
        spec: The agent.
        opening: The messages that the run begins with: the task.
        history: What was said before; None for what the agent's memory holds.

    Yields:
        The effects that the driver carries out.

    Returns:
        What was said, and the text of the last turn that had any. A turn that handed a task on has the other agent's
        answer for its text, and one that refused has its refusal. Where no turn said anything, it is what the tools of
        the last one returned that called any.
    """
    spec = yield from connected(spec)
    conversation = yield from begin(spec, opening, history)
    final = returned = ""
    last = spec.max_loops or 1
    for number in range(1, last + 1):
        schemas = (*spec.toolbox.schemas, *handoff_schemas(spec))
        turn = yield from take_turn(spec, conversation, schemas)
        final = turn.text or turn.refusal or final
        if turn.tool_calls:
            results = yield from run_calls(spec, turn, schemas)
            conversation.add_results(results)
            final = _together(result for result in results if result.call.name == HANDOFF and result.value) or final
            returned = _together(results)
        yield from conversation.remember()
        # A steering message that came meanwhile wants an answer.
        if not turn.tool_calls and not spec.inbox:
            break
        if any(stop(turn.text) for stop in spec.stops):
            break
        if spec.loop_interval > 0 and number < last:
            yield Sleep(spec.loop_interval)
    return Outcome(final or returned, conversation.said)


def _together(results: Iterable[ToolResult]) -> str:
    return "\n\n".join(result.content for result in results)


def connected(spec: AgentSpec) -> Loop[AgentSpec]:
    """The same agent with the tools of its MCP servers among its own."""
    if spec.servers is None:
        return spec
    tools = yield from connect(spec.servers)
    return spec._replace(toolbox=spec.toolbox.with_tools(tools), servers=None)


def begin(spec: AgentSpec, opening: Sequence[Message], history: Sequence[Message] | None = None) -> Loop[Conversation]:
    """The conversation of a run that begins, with what the agent remembers."""
    if history is None:
        history = (yield from recall(spec.memory)) if spec.memory is not None else ()
    return Conversation(spec, history, opening)


def take_turn(
    spec: AgentSpec,
    conversation: Conversation,
    schemas: Sequence[Mapping[str, Any]],
    spoken: Mapping[str, str] | None = None,
) -> Loop[Turn]:
    """One turn: asks the model, and adds its answer to the conversation.

    Args:
        spec: The agent.
        conversation: What has been said.
        schemas: The tools that the model is offered.
        spoken: Which argument of which tool is text for the user.

    Returns:
        What the model said.
    """
    conversation.add_steering()
    call = ModelCall(spec.settings, conversation.to_send(), tuple(schemas), _choice(spec, schemas))
    turn = yield from ask_with_retries(spec, OpenTurn(spec.name, call, spoken or {}))
    conversation.add_turn(turn)
    return turn


def _choice(spec: AgentSpec, schemas: Sequence[Mapping[str, Any]]) -> object:
    """The agent's tool choice, where it can be made: providers refuse one that names a tool that is not offered."""
    choice = spec.tool_choice
    if not schemas or not isinstance(choice, Mapping):
        return choice if schemas else None
    function: object = cast("Mapping[str, object]", choice).get("function")
    name = cast("Mapping[str, object]", function).get("name") if isinstance(function, Mapping) else None
    return cast("object", choice) if name is None or any(tool_name(schema) == name for schema in schemas) else None
