"""The loop of an agent with a fixed number of turns: policy only, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from headrace.errors import IncompleteAnswerError, RunLimitError, StreamError
from headrace.events import MCPServerFailed
from headrace.types import Message, ModelCall, Outcome, Turn

from .answers import is_paused, joined
from .calls import HANDOFF, run_calls, tool_name
from .client_tools import calls_for_client, leave_to_client, offered
from .conversation import Conversation
from .effects import Loop, OpenTurn, Sleep, connect, emit, recall
from .retries import ask_with_retries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.tools import ToolResult

    from .spec import AgentSpec

__all__ = ["agent_turns", "begin", "take_turn", "with_mcp_tools"]


def agent_turns(spec: AgentSpec, opening: Sequence[Message], history: Sequence[Message] | None = None) -> Loop[Outcome]:
    """Asks the model, runs its tool calls, and asks again.

    The loop ends with the first turn that has no tool call or that meets a stop condition, and at the latest after
    ``max_loops`` turns. The tool calls of the last turn are run too, because the model wanted their effects. It also
    ends with a turn that calls a tool of the caller's: the caller runs it, and goes on with another run.

    Args:
        spec: The agent.
        opening: The messages that the run begins with: the task.
        history: Earlier messages; None for those in the agent's memory.

    Yields:
        The effects that the driver carries out.

    Returns:
        The messages of the run, and its answer: the text of the last turn that had text. The refusal of a turn, and the
        other agent's answer after a handoff, count as text. If no turn had text, the answer is what the tools of the
        last turn with tool calls returned. If the last turn called tools that have no function, or that the caller
        runs, the answer is these calls.
    """
    spec = yield from with_mcp_tools(spec)
    conversation = yield from begin(spec, opening, history)
    final = returned = recorded = ""
    last = spec.max_loops or 1
    exhausted = False
    turn: Turn | None = None
    for number in range(1, last + 1):
        spec = yield from with_mcp_tools(spec)  # a server may have changed them
        schemas = offered(spec)
        turn = yield from take_turn(spec, conversation, schemas)
        final, recorded = turn.text or turn.refusal or final, ""
        if handed_back := calls_for_client(spec, turn):
            conversation.add_results((yield from leave_to_client(spec, turn)))
            recorded = _as_json((call.id or "", call.name, call.arguments) for call in handed_back)
            yield from conversation.remember()
            break
        if turn.tool_calls:
            results = yield from run_calls(spec, turn, schemas)
            conversation.add_results(results)
            final = _joined(result for result in results if result.call.name == HANDOFF and result.value) or final
            returned, recorded = _joined(results), _recorded(spec, results)
        yield from conversation.remember()
        # A steering message that came meanwhile needs an answer.
        if not turn.tool_calls and not spec.inbox:
            break
        if any(stop(turn.text) for stop in spec.stops):
            break
        if spec.loop_interval > 0 and number < last:
            yield Sleep(spec.loop_interval)
    else:
        exhausted = turn is not None and bool(turn.tool_calls) and not recorded
    if spec.strict_end:
        _check_end(turn, exhausted=exhausted)
    return Outcome(recorded or final or returned, conversation.run_messages, exhausted=exhausted)


def _check_end(turn: Turn | None, *, exhausted: bool) -> None:
    if exhausted:
        raise IncompleteAnswerError("the last turn of max_loops called tools, so there is no answer: allow more")
    if turn is not None and turn.finish_reason == "length":
        raise IncompleteAnswerError("the answer was cut off at the limit of tokens (max_tokens, or the model's own)")
    if turn is not None and turn.finish_reason == "content_filter":
        raise IncompleteAnswerError("the answer was cut off by the provider's filter")


def _joined(results: Iterable[ToolResult]) -> str:
    return "\n\n".join(result.content for result in results)


def _recorded(spec: AgentSpec, results: Iterable[ToolResult]) -> str:
    """The calls of raw schemas, as a JSON list in OpenAI's format; empty if there is none."""
    raw = spec.toolbox.raw_names
    return _as_json(
        (result.call.id or "", result.call.name, json.dumps(result.value, ensure_ascii=False))
        for result in results
        if result.call.name in raw and result.error is None
    )


def _as_json(calls: Iterable[tuple[str, str, str]]) -> str:
    """Calls, each with its id, name and arguments, as a JSON list in OpenAI's format; empty if there is none."""
    listed = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    return json.dumps(listed, ensure_ascii=False) if listed else ""


def with_mcp_tools(spec: AgentSpec) -> Loop[AgentSpec]:
    """The same agent, with the tools of its MCP servers added to its toolbox, as they are now."""
    if spec.servers is None or (spec.own_toolbox is not None and not spec.servers.changed):
        return spec
    own = spec.own_toolbox or spec.toolbox
    tools = yield from connect(spec.servers)
    if spec.own_toolbox is None:
        for server, error in spec.servers.failures.items():
            yield emit(MCPServerFailed, server, error, agent=spec.name)
    return spec._replace(toolbox=own.with_tools(tools), own_toolbox=own)


def begin(spec: AgentSpec, opening: Sequence[Message], history: Sequence[Message] | None = None) -> Loop[Conversation]:
    """The conversation at the start of a run, with the messages in the agent's memory."""
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
        conversation: The messages so far.
        schemas: The tools that the model is offered.
        spoken: Which argument of which tool is text for the user.

    Returns:
        The turn. If the provider pauses its answer, it is asked to go on, and the parts are one turn.

    Raises:
        EmptyAnswerError: The answer says nothing, and the agent does not allow that.
    """
    conversation.add_steering()
    choice = _tool_choice(spec, schemas)
    if _demands_a_call(choice):
        if conversation.forced and not spec.tool_choice_every_turn:
            choice = None
        conversation.forced = True
    whole: Turn | None = None
    while True:
        call = ModelCall(spec.settings, conversation.to_send(), tuple(schemas), choice)
        try:
            effect = OpenTurn(spec.name, call, spoken or {}, continues=whole is not None and bool(whole.text))
            turn = yield from ask_with_retries(spec, effect)
        except (StreamError, RunLimitError):
            # What the user said is remembered, so that the next run can answer it.
            yield from conversation.remember()
            raise
        conversation.add_turn(turn)
        whole = turn if whole is None else joined(whole, turn)
        if not is_paused(turn):
            return whole


def _tool_choice(spec: AgentSpec, schemas: Sequence[Mapping[str, Any]]) -> object:
    """The agent's tool choice; None if it names a tool that this turn does not offer, which providers refuse."""
    choice = spec.tool_choice
    if not schemas or not isinstance(choice, Mapping):
        return choice if schemas else None
    function: object = cast("Mapping[str, object]", choice).get("function")
    name = cast("Mapping[str, object]", function).get("name") if isinstance(function, Mapping) else None
    return cast("object", choice) if name is None or any(tool_name(schema) == name for schema in schemas) else None


def _demands_a_call(choice: object) -> bool:
    """Whether the model must call a tool: with that in every turn it could never answer."""
    if isinstance(choice, Mapping):
        given = cast("Mapping[str, object]", choice)
        allowed = given.get("allowed_tools", given)
        kind = cast("Mapping[str, object]", allowed).get("mode") if isinstance(allowed, Mapping) else None
        choice = kind or given.get("type")
    return choice not in (None, "auto", "none", "validated")
