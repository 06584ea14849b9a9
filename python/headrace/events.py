"""What happens in a run, as frozen objects that pattern-match.

::

    for event in agent.run_stream(task, with_events=True):
        match event:
            case Token(text=text):
                print(text, end="")
            case ToolCallRequested(call=call):
                log.info("calls %s", call.name)

Every event also reads like the dict that it stands for, ``event["type"]``, and gives it, ``event.to_dict()``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from .types import Value

if TYPE_CHECKING:
    from .types import Timing, ToolCall, Usage

__all__ = [
    "AgentEnd",
    "AgentFailed",
    "AgentStart",
    "Event",
    "Fallback",
    "PhaseEnd",
    "PhaseStart",
    "Reasoning",
    "Refusal",
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
    """What every event tells.

    Attributes:
        type: The event's name.
        agent: Whose event it is.
        seq: Its number within the run, from 0, without gaps.
        at_ns: When it happened, in ``time.monotonic_ns()`` nanoseconds; for what came over the wire, when it arrived.
    """

    type: ClassVar[str] = "event"
    agent: str = field(default="", kw_only=True)
    seq: int = field(default=-1, kw_only=True)
    at_ns: int = field(default=0, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """The event as a dict of plain values, beginning with ``type``."""
        return {"type": self.type, **_plain(self)}

    def to_json(self) -> str:
        """The event as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, default=str)

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.to_dict()

    def get(self, name: str, default: Any = None) -> Any:
        """A member as of a dict; ``default`` where there is none."""
        return self.to_dict().get(name, default)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RunStart(Event):
    """A run begins. Always the first event."""

    type: ClassVar[str] = "run_start"
    task: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RunEnd(Event):
    """A run has ended. Always the last event, also where an error follows.

    Attributes:
        state: How; see ``RunStream.state``.
        text: The whole text.
        usage: The token counts of all turns; marked as estimated where a provider told none.
        cost: The price in dollars; None where it is not known.
        turns: How many turns there were.
        duration: From the first request to the end, in seconds.
        tool_time: Seconds spent waiting for tools.
    """

    type: ClassVar[str] = "run_end"
    state: str
    text: str
    usage: Usage | None
    cost: float | None
    turns: int
    duration: float
    tool_time: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhaseStart(Event):
    """A phase of an autonomous run begins: ``"plan"``, ``"execute"`` or ``"summary"``.

    Attributes:
        phase: Which.
        subtask: The id of the subtask that is executed.
    """

    type: ClassVar[str] = "phase_start"
    phase: str
    subtask: str | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhaseEnd(Event):
    """A phase of an autonomous run has ended."""

    type: ClassVar[str] = "phase_end"
    phase: str
    subtask: str | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TurnStart(Event):
    """A model is asked. Turns of a run are numbered from 1.

    Attributes:
        turn: Which turn.
        model: Who is asked.
        resumed: The turn before failed after tokens of it had been yielded: its answer begins again.
    """

    type: ClassVar[str] = "turn_start"
    turn: int
    model: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fallback(Event):
    """A model could not be asked, or said no, and another one is asked instead.

    Attributes:
        model: Who was asked.
        fallback: Who is asked next.
        error: What went wrong.
    """

    type: ClassVar[str] = "fallback"
    model: str
    fallback: str
    error: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TurnEnd(Event):
    """A model has answered.

    Attributes:
        turn: Which turn.
        text: What it told the user: text, what it said inside tool calls, and refusals.
        finish_reason: Why the model stopped.
        usage: The turn's token counts.
        timing: What the turn's stamps say.
    """

    type: ClassVar[str] = "turn_end"
    turn: int
    text: str
    finish_reason: str | None
    usage: Usage | None
    timing: Timing


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Token(Event):
    """A piece of text for the user. In the dict it stands under ``token`` too.

    Attributes:
        text: The text.
        logprobs: The log probabilities that the provider sent with it; None where it sent none.
    """

    type: ClassVar[str] = "token"
    text: str
    logprobs: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The event as a dict of plain values, beginning with ``type``."""
        # Explicitly: `super()` does not work in a dataclass with slots.
        return {**Event.to_dict(self), "token": self.text}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reasoning(Event):
    """A piece of the model's reasoning, which is never part of the text."""

    type: ClassVar[str] = "reasoning"
    text: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Refusal(Event):
    """A piece of a refusal: the model tells the user that it will not. Without events it is yielded as text is.

    Attributes:
        text: The text.
        logprobs: The log probabilities that the provider sent with it; None where it sent none.
    """

    type: ClassVar[str] = "refusal"
    text: str
    logprobs: Any = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolCallDelta(Event):
    """A piece of a tool call, as it arrives: the first has no arguments yet.

    Attributes:
        index: Which call of the turn.
        id: The provider's id of the call.
        name: The tool's name.
        arguments: The new piece of the arguments' JSON text.
    """

    type: ClassVar[str] = "tool_call_delta"
    index: int
    id: str | None
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolCallRequested(Event):
    """A tool call is whole. It is carried out once the turn has ended."""

    type: ClassVar[str] = "tool_call"
    call: ToolCall


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolResultReturned(Event):
    """A tool call has been carried out, or has failed. Others of its turn may still run.

    Attributes:
        call: The call.
        content: What the model is told.
        error: What went wrong, in a word; None if nothing did.
        duration: How long it took, in seconds.
    """

    type: ClassVar[str] = "tool_result"
    call: ToolCall
    content: str
    error: str | None
    duration: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentStart(Event):
    """An agent begins, in a workflow or by a handoff."""

    type: ClassVar[str] = "agent_start"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentEnd(Event):
    """An agent has ended, in a workflow or by a handoff; with its text."""

    type: ClassVar[str] = "agent_end"
    output: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentFailed(Event):
    """An agent of a workflow has ended without an answer. It stands where its ``AgentEnd`` would.

    Attributes:
        state: How it ended; see ``RunStream.state``. ``"cancelled"`` is the end of those that another's failure ended.
        error: What went wrong; empty if nothing did. The exception itself is in ``WorkflowStream.errors``.
    """

    type: ClassVar[str] = "agent_failed"
    state: str
    error: str


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return cast("memoryview[int]", value).tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return value
