"""What the other modules speak: messages, requests, turns, usage and timing.

All classes are frozen: what a run has said does not change any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from . import _native

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from ._native import ResponseDict, SpreadDict, TimingDict, UsageDict

__all__ = [
    "Message",
    "ModelCall",
    "ModelSettings",
    "Outcome",
    "Spread",
    "Thought",
    "Timeouts",
    "Timing",
    "ToolCall",
    "Turn",
    "Usage",
    "Value",
]

Message: TypeAlias = Mapping[str, Any]
"""A chat message as OpenAI writes it: ``role``, ``content``, and what belongs to the role."""

_NS = 1e-9


class Value:
    """A dataclass that compares, hashes and prints by its fields, as any does.

    Its methods serve all of them. Dataclasses that make their own take half as much time again to be defined, which is
    time that ``import headrace`` takes.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_compared(self))

    def __repr__(self) -> str:
        shown = [f"{item.name}={getattr(self, item.name)!r}" for item in _fields(self) if item.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _compared(value: object) -> tuple[object, ...]:
    return tuple(getattr(value, item.name) for item in _fields(value) if item.compare)


def _fields(value: Any) -> tuple[Field[Any], ...]:
    return fields(value)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Timeouts(Value):
    """How long each phase of a stream may take, in seconds. None is "as long as it takes".

    Attributes:
        connect: From the first attempt to connect until the connection stands, TLS included.
        first_token: From the request until the first token.
        idle: From one token until the next. Pings and comments do not count as tokens.
    """

    connect: float | None = _native.DEFAULT_CONNECT_TIMEOUT
    first_token: float | None = _native.DEFAULT_FIRST_TOKEN_TIMEOUT
    idle: float | None = _native.DEFAULT_IDLE_TIMEOUT


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelSettings(Value):
    """How to reach a model, and what to ask of it besides the messages. The same for every turn of a run.

    Attributes:
        model: The model's name with its provider in front, such as ``"openai/gpt-4o-mini"``.
        base_url: The endpoint's URL, without ``/chat/completions``; None for the provider's own.
        api_key: The key; None to look in the environment.
        parameters: What goes into the request's body beside the messages.
        headers: Headers to add to the request.
        timeouts: How long to wait for what.
        max_event_bytes: The cap on one event of the stream.
        llm: What answers in the model's place; None for the model.
        prompt_caching: The provider is asked to cache the prompt, where it wants to be asked.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeouts: Timeouts = Timeouts()
    max_event_bytes: int = _native.DEFAULT_MAX_EVENT_BYTES
    llm: Any = field(default=None, repr=False)
    prompt_caching: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelCall(Value):
    """One request to a model.

    Attributes:
        settings: How to reach it.
        messages: The conversation so far.
        tools: The tools that the model is offered, as OpenAI writes them.
        tool_choice: Which of them it may or must use; None for the provider's default.
    """

    settings: ModelSettings
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: object = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolCall(Value):
    """A tool call that the model asked for.

    Attributes:
        id: The provider's id of the call; one made up where it sent none, once the turn has ended.
        name: The tool's name.
        arguments: The arguments as sent: JSON text, or what was meant to be.
        signature: What the provider wants back with the call in the next turn, where it signs calls (Gemini).
        complete: False if the call was cut off: a limit, a filter or a failure stopped the model, or nobody knows what
            did, and the arguments are no whole JSON value. An agent runs no such call.
    """

    id: str | None
    name: str
    arguments: str
    signature: str | None = field(default=None, repr=False)
    complete: bool = field(default=True, repr=False)

    @classmethod
    def from_native(
        cls, calls: Iterable[tuple[str | None, str, str, bool]], signatures: Mapping[int, str]
    ) -> tuple[Self, ...]:
        """The calls of a choice that the native stream put together."""
        return tuple(
            cls(call_id, name, arguments, signatures.get(index), complete)
            for index, (call_id, name, arguments, complete) in enumerate(calls)
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Thought(Value):
    """A stretch of reasoning that the provider signed, and wants back in the next turn.

    Attributes:
        text: What was said; empty where the provider does not show it.
        kind: ``"signed"``, or ``"encrypted"`` where the signature is the reasoning itself, unreadable.
        id: The provider's id of it, where it has one.
        signature: The opaque text.
    """

    text: str
    kind: str
    id: str | None
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Usage(Value):
    """Token counts, in the provider's own way of counting. None is "not told", never zero.

    Attributes:
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer, reasoning included where the provider counts it there.
        total_tokens: The provider's total.
        cached_tokens: Prompt tokens that came from a cache.
        reasoning_tokens: Tokens spent on reasoning.
        cache_write_tokens: Prompt tokens that were written to a cache.
        estimated: The provider told nothing: these counts were made from the length of the texts.
        raw: The provider's object as it was sent, with all that only this provider counts; None in a sum.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    estimated: bool = False
    raw: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_native(cls, told: UsageDict) -> Usage:
        """The counts that the native stream collected."""
        return cls(
            input_tokens=told["input_tokens"],
            output_tokens=told["output_tokens"],
            total_tokens=told["total_tokens"],
            cached_tokens=told["cached_tokens"],
            reasoning_tokens=told["reasoning_tokens"],
            cache_write_tokens=told["cache_write_tokens"],
            raw=json.loads(told["raw"]),
        )

    def __add__(self, other: Usage) -> Usage:
        """The sum of two turns. A count that only one of them tells is that one's: a lower bound, not a guess."""
        return Usage(
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.output_tokens, other.output_tokens),
            _sum(self.total_tokens, other.total_tokens),
            _sum(self.cached_tokens, other.cached_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            _sum(self.cache_write_tokens, other.cache_write_tokens),
            estimated=self.estimated or other.estimated,
        )


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spread(Value):
    """The spread of one kind of duration, in seconds. Percentiles are those of an HdrHistogram with three digits.

    Attributes:
        count: How many durations there were.
        min: The shortest.
        mean: The mean.
        p50: The median.
        p90: The 90th percentile.
        p99: The 99th percentile.
        max: The longest.
    """

    count: int
    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def from_native(cls, spread: SpreadDict) -> Spread:
        """The spread that the native stream computed."""
        return cls(
            spread["count"],
            spread["min_ns"] * _NS,
            spread["mean_ns"] * _NS,
            spread["p50_ns"] * _NS,
            spread["p90_ns"] * _NS,
            spread["p99_ns"] * _NS,
            spread["max_ns"] * _NS,
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Timing(Value):
    """What the stamps of one turn say. Durations are in seconds, points in time in ``time.monotonic_ns()`` nanoseconds.

    A *chunk* is one piece that the model produced: of text, of reasoning, of a refusal, of a tool call. Most providers
    send one token per chunk, but nothing makes them.

    Attributes:
        chunks: How many chunks have been taken.
        opened_ns: When the request was made.
        ended_ns: When the end was seen; None while the stream runs.
        ttft: Time to first token: from the request to the arrival of the first chunk.
        ttft_answer: The same to the first text, so after any reasoning.
        tpot: Time per output token: (last arrival − first arrival) / (n − 1), n being the output tokens that the
            provider counted, or the chunks where it counted none.
        itl: Inter-token latency: the times between the arrivals of consecutive chunks. Chunks of one socket read
            arrived together.
        lag: How long chunks waited from their arrival until the reader took them.
        arrivals_ns: The arrival of each chunk, a memory view of 64-bit integers.
    """

    chunks: int
    opened_ns: int
    ended_ns: int | None
    ttft: float | None
    ttft_answer: float | None
    tpot: float | None
    itl: Spread | None
    lag: Spread | None
    arrivals_ns: memoryview = field(repr=False, compare=False)

    @property
    def duration(self) -> float | None:
        """From the request to the end, in seconds; None while the stream runs."""
        return None if self.ended_ns is None else (self.ended_ns - self.opened_ns) * _NS

    @classmethod
    def from_native(cls, timing: TimingDict, arrivals: bytes) -> Timing:
        """The timing that the native stream computed."""
        return cls(
            chunks=timing["chunks"],
            opened_ns=timing["opened_ns"],
            ended_ns=timing["ended_ns"],
            ttft=_seconds(timing["ttft_ns"]),
            ttft_answer=_seconds(timing["ttft_answer_ns"]),
            tpot=_seconds(timing["tpot_ns"]),
            itl=_spread(timing["itl"]),
            lag=_spread(timing["lag"]),
            arrivals_ns=memoryview(arrivals).cast("Q"),
        )


def _seconds(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds * _NS


def _spread(spread: SpreadDict | None) -> Spread | None:
    return None if spread is None else Spread.from_native(spread)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Turn(Value):
    """What the model said in one turn.

    Attributes:
        text: The answer.
        reasoning: The reasoning, which is never part of the text.
        refusal: The refusal.
        tool_calls: The tool calls, in the model's order.
        finish_reason: ``"stop"``, ``"length"``, ``"tool_calls"``, ``"content_filter"``, ``"error"`` or ``"other"``;
            None while the turn runs.
        finish_reason_raw: The provider's own word for it.
        usage: Token counts, estimated where the provider told none; None while the turn runs, or if it broke off.
        id: The provider's id of the response.
        model: The model that answered, in the provider's words.
        thoughts: The reasoning that the provider signed, in order.
        dialect: How the answer was written.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    finish_reason_raw: str | None = None
    usage: Usage | None = None
    id: str | None = None
    model: str | None = None
    thoughts: tuple[Thought, ...] = ()
    dialect: str | None = None

    def with_calls(self, calls: tuple[ToolCall, ...]) -> Turn:
        """The same turn with other tool calls."""
        return replace(self, tool_calls=calls)

    @classmethod
    def from_native(cls, response: ResponseDict) -> Turn:
        """The turn that the native stream put together."""
        usage = response["usage"]
        return cls(
            text=response["text"],
            reasoning=response["reasoning"],
            refusal=response["refusal"],
            tool_calls=ToolCall.from_native(response["tool_calls"], response["call_signatures"]),
            finish_reason=response["finish_reason"],
            finish_reason_raw=response["finish_reason_raw"],
            usage=None if usage is None else Usage.from_native(usage),
            id=response["id"],
            model=response["model"],
            thoughts=tuple(Thought(*thought) for thought in response["thoughts"]),
            dialect=response["dialect"],
        )


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        final: The answer.
        messages: What was said in this run, the task first.
    """

    final: str = ""
    messages: tuple[Message, ...] = ()
