"""The events of a run: frozen objects that a stream yields with ``with_events=True``.

Use them in a ``match`` statement, by their attributes, as a dict (``event["type"]``), or as JSON.

Example:
    >>> from headrace.events import RunEnd, Token, ToolCallRequested
    >>> for event in agent.run_stream("Say hello.", with_events=True):
    ...     match event:
    ...         case Token(text=text):
    ...             print(f"token {text!r}")
    ...         case ToolCallRequested(call=call):
    ...             print(f"tool call {call.name}")
    ...         case RunEnd(state=state):
    ...             print(f"end {state}")
    token 'Hello'
    token ', '
    token 'world.'
    end complete

The events of a run without tools, in order, by the name of their type:

    >>> [event["type"] for event in agent.run_stream("Say hello.", with_events=True)]
    ['run_start', 'turn_start', 'token', 'token', 'token', 'turn_end', 'run_end']
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from .types import Value

if TYPE_CHECKING:
    from .types import Timing, ToolCall, Usage

__all__ = [
    "AgentEnd",
    "AgentFailed",
    "AgentStart",
    "Event",
    "Fallback",
    "MCPServerFailed",
    "PhaseEnd",
    "PhaseStart",
    "Reasoning",
    "Refusal",
    "Retry",
    "RunEnd",
    "RunStart",
    "Token",
    "ToolCallDelta",
    "ToolCallRequested",
    "ToolResultReturned",
    "TurnEnd",
    "TurnStart",
]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Event(Value):
    """The base of all events.

    Attributes:
        type: The name of the event's type.
        agent: The name of the agent that the event belongs to.
        seq: The event's number within the run, from 0, without gaps.
        at_ns: When the event happened, in nanoseconds of ``time.monotonic_ns()``. For data from the network it is the
            time of arrival.

    Example:
        >>> from headrace.events import Token
        >>> event = Token("Hello", agent="Writer", seq=2)
        >>> event.text, event["text"], event.get("no such member")
        ('Hello', 'Hello', None)
        >>> event.to_json()
        '{"type": "token", "agent": "Writer", "seq": 2, ..., "text": "Hello", "logprobs": null, "token": "Hello"}'
    """

    type: ClassVar[str] = "event"
    agent: str = field(default="", kw_only=True)
    seq: int = field(default=-1, kw_only=True)
    at_ns: int = field(default=0, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """The event as a dict of plain values, beginning with ``type``."""
        return {"type": self.type, **Value.to_dict(self)}

    def to_json(self) -> str:
        """The event as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, default=str)

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.to_dict()

    def get(self, name: str, default: Any = None) -> Any:
        """A member of the event's dict; ``default`` if there is no such member."""
        return self.to_dict().get(name, default)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RunStart(Event):
    """A run begins. Always the first event.

    Attributes:
        task: The task of the run.
    """

    type: ClassVar[str] = "run_start"
    task: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RunEnd(Event):
    """A run has ended. Always the last event, even if the stream raises an error after it.

    Attributes:
        state: How the run ended; see ``RunStream.state``.
        text: The whole text.
        usage: The token counts of all turns; ``estimated`` if a provider reported none.
        cost: The cost in USD; None if it is not known.
        turns: The number of turns.
        duration: Seconds from the first request to the end.
        tool_time: Seconds spent waiting for tools.
        error: Why it failed; None if it did not. The stream raises the error itself after this event.
    """

    type: ClassVar[str] = "run_end"
    state: str
    text: str
    usage: Usage | None
    cost: float | None
    turns: int
    duration: float
    tool_time: float
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhaseStart(Event):
    """A phase of an autonomous run begins.

    Attributes:
        phase: ``"plan"``, ``"execute"`` or ``"summary"``.
        subtask: The id of the subtask that is executed; None in the other phases.
    """

    type: ClassVar[str] = "phase_start"
    phase: str
    subtask: str | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhaseEnd(Event):
    """A phase of an autonomous run has ended.

    Attributes:
        phase: ``"plan"``, ``"execute"`` or ``"summary"``.
        subtask: The id of the subtask that was executed; None in the other phases.
    """

    type: ClassVar[str] = "phase_end"
    phase: str
    subtask: str | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TurnStart(Event):
    """A turn begins: a request is sent to a model.

    Attributes:
        turn: The number of the turn within the run, from 1.
        model: The model that is asked.
        resumed: The turn before failed after some of its tokens had been yielded, so its answer begins again.
    """

    type: ClassVar[str] = "turn_start"
    turn: int
    model: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Retry(Event):
    """A request failed, and is sent again.

    Attributes:
        model: The model.
        error: The error's message.
        status: The HTTP status of the failure; None if there was no response.
        attempt: Which attempt comes now, from 2.
        wait: Seconds until it begins.
    """

    type: ClassVar[str] = "retry"
    model: str
    error: str
    status: int | None
    attempt: int
    wait: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fallback(Event):
    """A model could not be reached, or refused the request, and a fallback model is asked instead.

    Attributes:
        model: The model that failed.
        fallback: The fallback model that is asked next.
        error: The error's message.
    """

    type: ClassVar[str] = "fallback"
    model: str
    fallback: str
    error: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TurnEnd(Event):
    """A turn has ended: the model's answer is complete.

    Attributes:
        turn: The number of the turn within the run, from 1.
        text: All text for the user: the answer, text inside tool calls, and refusals.
        finish_reason: Why the model stopped; see ``Turn.finish_reason``.
        usage: The turn's token counts.
        timing: The turn's latencies.
    """

    type: ClassVar[str] = "turn_end"
    turn: int
    text: str
    finish_reason: str | None
    usage: Usage | None
    timing: Timing


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Token(Event):
    """A token: a piece of text for the user. The dict has the text as ``token`` too.

    Attributes:
        text: The text.
        logprobs: The log probabilities that the provider sent with the text; None if it sent none.
    """

    type: ClassVar[str] = "token"
    text: str
    logprobs: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The event as a dict of plain values, beginning with ``type``."""
        # `super()` does not work in a dataclass with slots.
        return {**Event.to_dict(self), "token": self.text}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reasoning(Event):
    """A piece of the model's reasoning, which is never part of the text.

    Attributes:
        text: The reasoning.
    """

    type: ClassVar[str] = "reasoning"
    text: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Refusal(Event):
    """A piece of a refusal: the model explains why it does not answer. A stream without events yields it as a token.

    Attributes:
        text: The text.
        logprobs: The log probabilities that the provider sent with the text; None if it sent none.
    """

    type: ClassVar[str] = "refusal"
    text: str
    logprobs: Any = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolCallDelta(Event):
    """A piece of a tool call, as it arrives.

    Attributes:
        index: The number of the call within its turn, from 0.
        id: The provider's id of the call.
        name: The tool's name.
        arguments: The new piece of the arguments' JSON text; empty in the first piece of a call.
    """

    type: ClassVar[str] = "tool_call_delta"
    index: int
    id: str | None
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolCallRequested(Event):
    """A tool call is complete. It is run after the end of the turn.

    Attributes:
        call: The tool call.
    """

    type: ClassVar[str] = "tool_call"
    call: ToolCall


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolResultReturned(Event):
    """A tool call has ended, with a result or a failure. Other calls of its turn may still run.

    Attributes:
        call: The tool call.
        content: The text for the model: the result, or what went wrong. The model gets it without its middle if it is
            longer than ``max_tool_result_tokens``.
        error: The kind of failure, such as ``"timeout"``; None if the tool succeeded. See ``ToolResult.error``.
        duration: Seconds that the tool took.
    """

    type: ClassVar[str] = "tool_result"
    call: ToolCall
    content: str
    error: str | None
    duration: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MCPServerFailed(Event):
    """An MCP server cannot be used: the run goes on without its tools.

    Attributes:
        server: The server's name.
        error: Why, with the last lines that the server wrote.
    """

    type: ClassVar[str] = "mcp_server_failed"
    server: str
    error: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentStart(Event):
    """An agent begins, in a workflow or by a handoff."""

    type: ClassVar[str] = "agent_start"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentEnd(Event):
    """An agent has ended, in a workflow or by a handoff.

    Attributes:
        output: The agent's answer.
    """

    type: ClassVar[str] = "agent_end"
    output: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentFailed(Event):
    """An agent of a workflow has ended without an answer. This event takes the place of its ``AgentEnd``.

    Attributes:
        state: How the agent ended; see ``RunStream.state``. ``"cancelled"`` if it was stopped because another agent
            failed.
        error: The error's message; empty if there was no error. ``WorkflowStream.errors`` has the exception.
    """

    type: ClassVar[str] = "agent_failed"
    state: str
    error: str
