"""The loop of an agent with a fixed number of turns: policy only, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from headrace._conversation.reasoning import kept
from headrace.errors import (
    ConnectionFailedError,
    MissingKeyError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamError,
    StreamTimeoutError,
    TruncatedError,
)
from headrace.events import AgentEnd, AgentStart, Fallback, ToolResultReturned
from headrace.tools import ToolResult, no_such_tool
from headrace.types import Message, ModelCall, Outcome, ToolCall, Turn

from .effects import Emit, Loop, OpenTurn, Remember, Sleep, ask, call_tools, connect, recall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .spec import AgentSpec, Patience

__all__ = [
    "HANDOFF",
    "Conversation",
    "agent_turns",
    "begin",
    "carry_out",
    "connected",
    "handoff_schemas",
    "take_turn",
]

HANDOFF: Final = "handoff_task"
"""The tool by which a model gives a task to another agent."""

_MOST_HANDED_ON: Final = 8
"""How many times in a row a task may be handed on: agents in a circle might never come to an end."""


class Conversation:
    """The messages of one run, and what of them the memory does not have yet.

    Args:
        spec: Whose conversation it is.
        history: Messages of earlier runs.
        opening: The messages that this run begins with.
    """

    def __init__(self, spec: AgentSpec, history: Sequence[Message], opening: Sequence[Message]) -> None:
        self._spec = spec
        self._system: list[Message] = []
        if spec.system_prompt:
            self._system = [{"role": "system", "content": spec.system_prompt}]
        self._messages: list[Message] = list(history)
        self._earlier = len(self._messages)
        self._new: list[Message] = []
        self._opening = tuple(opening)
        for message in opening:
            self.add(message)

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that has been said, without the system prompt."""
        return tuple(self._messages)

    @property
    def said(self) -> tuple[Message, ...]:
        """What has been said in this run."""
        return tuple(self._messages[self._earlier :])

    def add(self, message: Message) -> None:
        """Adds a message."""
        self._messages.append(message)
        self._new.append(message)

    def say(self, text: str) -> None:
        """Adds a message of the user."""
        self.add({"role": "user", "content": text})

    def answered(self, turn: Turn) -> None:
        """Adds what the model said."""
        self.add(assistant_message(turn))

    def returned(self, results: Sequence[ToolResult]) -> None:
        """Adds what tools returned."""
        for result in results:
            self.add(tool_message(result.call, result.content))

    def steered(self) -> None:
        """Adds what the user has said meanwhile."""
        while self._spec.inbox:
            self.say(self._spec.inbox.pop(0))

    def to_send(self) -> tuple[Message, ...]:
        """The messages of the next request."""
        messages = [*self._system, *self._messages]
        if self._spec.transform is None:
            return tuple(messages)
        sent = tuple(self._spec.transform(messages))
        if not self._spec.keeps_task:
            return sent
        # What the run is about stays, however long the conversation gets.
        missing = [message for message in self._opening if message not in sent]
        start = len(self._system)
        return (*sent[:start], *missing, *sent[start:])

    def remember(self) -> Loop[None]:
        """Gives the memory what it does not have yet."""
        if self._spec.memory is not None and self._new:
            yield Remember(self._spec.memory, tuple(self._new))
        self._new.clear()


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
            results = yield from carry_out(spec, turn.tool_calls, schemas)
            conversation.returned(results)
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
    conversation.steered()
    call = ModelCall(spec.settings, conversation.to_send(), tuple(schemas), _choice(spec, schemas))
    turn = yield from _ask_patiently(spec, OpenTurn(spec.name, call, spoken or {}))
    conversation.answered(turn)
    return turn


def _choice(spec: AgentSpec, schemas: Sequence[Mapping[str, Any]]) -> object:
    """The agent's tool choice, where it can be made: providers refuse one that names a tool that is not offered."""
    choice = spec.tool_choice
    if not schemas or not isinstance(choice, Mapping):
        return choice if schemas else None
    function: object = cast("Mapping[str, object]", choice).get("function")
    name = cast("Mapping[str, object]", function).get("name") if isinstance(function, Mapping) else None
    return cast("object", choice) if name is None or any(_name(schema) == name for schema in schemas) else None


def _name(schema: Mapping[str, Any]) -> object:
    return schema.get("function", {}).get("name")


_MAY_PASS: Final = (
    ConnectionFailedError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamTimeoutError,
    TruncatedError,
)
"""Failures after which the same request may succeed."""

_LONGEST_WISH: Final = 600.0
"""Seconds that a provider is waited for at most, where no budget says otherwise."""


def _ask_patiently(spec: AgentSpec, effect: OpenTurn) -> Loop[Turn]:
    """Asks the agent's model, and then its fallbacks, as long as the caller has seen nothing of the answer."""
    patience = spec.patience
    began = patience.clock()
    for other in patience.fallbacks:
        try:
            return (yield from _ask_again(patience, effect, began))
        except (StreamError, MissingKeyError) as error:
            if _was_seen(error) and not patience.resumes:
                raise
            yield Emit(spec.name, Fallback(effect.call.settings.model, other.model, str(error)))
            resumed = effect.resumed or _was_seen(error)
            effect = effect._replace(call=replace(effect.call, settings=other), resumed=resumed)
    return (yield from _ask_again(patience, effect, began))


def _ask_again(patience: Patience, effect: OpenTurn, began: float) -> Loop[Turn]:
    """Asks one model, again after a failure that may pass."""
    attempt = 0
    while True:
        try:
            return (yield from ask(effect))
        except _MAY_PASS as error:
            wait = error.retry_after
            if wait is None:
                wait = patience.interval * 2.0**attempt
            elif patience.budget is None and wait > _LONGEST_WISH:
                raise
            # A turn that shall be resumed is so once, even if none is to be tried again from its start.
            attempts = max(patience.attempts, 1) if error.delivered else patience.attempts
            is_late = patience.budget is not None and patience.clock() - began + wait > patience.budget
            if attempt >= attempts or is_late or (error.delivered and not patience.resumes):
                raise
            effect = effect._replace(resumed=effect.resumed or error.delivered)
        attempt += 1
        yield Sleep(wait)


def _was_seen(error: Exception) -> bool:
    return isinstance(error, StreamError) and error.delivered


class OwnTools(Protocol):
    """Tools that a loop carries out by itself."""

    def has(self, name: str) -> bool:
        """Whether a tool of that name is one of them."""
        ...

    def call(self, call: ToolCall) -> ToolResult:
        """Carries a call out."""
        ...


def carry_out(
    spec: AgentSpec, calls: Sequence[ToolCall], schemas: Sequence[Mapping[str, Any]], own: OwnTools | None = None
) -> Loop[list[ToolResult]]:
    """Carries out the calls of a turn: the user's tools in parallel, then handoffs and the loop's own one by one.

    Args:
        spec: The agent.
        calls: The calls.
        schemas: The tools that the model was offered: those that it may have meant by a name that is none.
        own: Tools that the loop carries out by itself.

    Returns:
        The results, in the model's order.
    """
    names = spec.toolbox.names
    users = [call for call in calls if call.name in names]
    results = (yield from call_tools(spec.name, spec.toolbox, users)) if users else ()
    by_call = dict(zip(map(id, users), results, strict=True))
    ordered: list[ToolResult] = []
    for call in calls:
        if id(call) in by_call:
            ordered.append(by_call[id(call)])
            continue
        if own is not None and own.has(call.name):
            result = own.call(call)
        elif spec.handoffs and call.name == HANDOFF:
            result = yield from _hand_off(spec, call)
        else:
            told = no_such_tool(call.name, [str(_name(schema)) for schema in schemas])
            result = ToolResult(call, told, error="unknown_tool")
        yield Emit(spec.name, ToolResultReturned(call, result.content, result.error, result.duration))
        ordered.append(result)
    return ordered


def _hand_off(spec: AgentSpec, call: ToolCall) -> Loop[ToolResult]:
    """Lets another agent run. Its tokens stream under its own name; its answer is the tool's result."""
    by_name = {agent.name: agent for agent in spec.handoffs}
    try:
        arguments = json.loads(call.arguments or "{}")
        name, task = str(arguments["agent_name"]), str(arguments["task"])
    except (ValueError, KeyError, TypeError):
        return ToolResult(call, f"{HANDOFF} needs the members agent_name and task", error="invalid_arguments")
    if name not in by_name:
        import difflib  # here, because models seldom err in a name

        nearest = difflib.get_close_matches(name, by_name, n=1) or list(by_name)
        return ToolResult(call, f"there is no agent {name!r}; known: {', '.join(nearest)}", error="unknown_tool")
    if spec.handed_on >= _MOST_HANDED_ON:
        said = f"the task was handed on {_MOST_HANDED_ON} times in a row, which is the most: answer it yourself"
        return ToolResult(call, said, error="refused")
    other = by_name[name]._replace(handed_on=spec.handed_on + 1)
    yield Emit(name, AgentStart())
    outcome = yield from other.loop(other, [{"role": "user", "content": task}])
    yield Emit(name, AgentEnd(outcome.final))
    return ToolResult(call, outcome.final, value=outcome.final)


def handoff_schemas(spec: AgentSpec) -> list[Mapping[str, Any]]:
    """The tool by which the model hands tasks on, if there is anybody to hand them to."""
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


def assistant_message(turn: Turn) -> Message:
    """A turn as the message that goes back to the model."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or turn.refusal or None}
    if turn.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _valid(call.arguments)}}
            for call in turn.tool_calls
        ]
    elif message["content"] is None:
        # A message must hold something: some providers refuse null here.
        message["content"] = ""
    reasoning = kept(turn)
    return message if reasoning is None else {**message, "reasoning": reasoning}


def _valid(arguments: str) -> str:
    """Providers refuse a conversation whose arguments are not JSON. What was wrong with them, the result says."""
    try:
        json.loads(arguments)
    except ValueError:
        return "{}"
    return arguments


def tool_message(call: ToolCall, content: str) -> Message:
    """What the model is told of a tool call."""
    return {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": content}
