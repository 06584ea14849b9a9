"""The types that all modules share: messages, requests, turns, usage and timing.

All classes are frozen: a result of a run does not change later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, cast

from . import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from ._native import ResponseDict, SpreadDict, TimingDict, UsageDict
    from .connection import Connection

__all__ = [
    "Key",
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
    "plain",
]

Message: TypeAlias = Mapping[str, Any]
"""A chat message in OpenAI's form: ``role``, ``content``, and the further members that the role has."""

_NS = 1e-9


class _Secret(Protocol):
    """Pydantic's ``SecretStr``, or what behaves as it does."""

    def get_secret_value(self) -> str | bytes:
        """The secret."""
        ...


Key: TypeAlias = "str | bytes | _Secret | Callable[[], str | bytes | _Secret]"
"""An API key: text, bytes, a ``SecretStr``, or a function that is called before each request and returns one."""


class Value:
    """The base of frozen dataclasses: compares, hashes and prints by the fields, as a dataclass does.

    The methods are written here once, because defining a dataclass that generates its own takes 50% longer, and
    ``import headrace`` would wait for it.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_compared(self))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values: dicts, lists, strings and numbers, ready for JSON."""
        return {item.name: plain(getattr(self, item.name)) for item in _fields(self)}

    def __repr__(self) -> str:
        shown = [f"{item.name}={getattr(self, item.name)!r}" for item in _fields(self) if item.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"


def plain(value: Any) -> Any:
    """A value of a field, with dicts and lists in place of everything that has parts."""
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, memoryview):
        return cast("memoryview[int]", value).tolist()
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in cast("list[Any]", value)]
    return value


def _compared(value: object) -> tuple[object, ...]:
    return tuple(getattr(value, item.name) for item in _fields(value) if item.compare)


def _fields(value: Any) -> tuple[Field[Any], ...]:
    return fields(value)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Timeouts(Value):
    """The time limits of a stream, in seconds. None means no limit.

    When a limit is reached, the stream raises the error of that limit: ``ConnectTimeoutError``, ``PoolTimeoutError``,
    ``FirstTokenTimeoutError``, ``IdleTimeoutError`` or ``TotalTimeoutError``. They are of one turn, not of a run.

    Attributes:
        connect: From the first attempt to connect until the connection is open, TLS included.
        pool: From the request until a connection is free or may be made; see ``Connection.max_connections``.
        first_token: From the request until the first delta of output: text, reasoning, a refusal or a tool call.
        idle: From one delta until the next. Pings and comments do not count.
        total: From the request until the end of the answer. Time in which the reader was behind counts.

    Example:
        >>> from headrace import Agent, Timeouts
        >>> Timeouts(first_token=30.0)
        Timeouts(connect=10.0, first_token=30.0, idle=60.0, pool=60.0, total=None)
        >>> slow_model = Agent(model_name="openai/gpt-5", timeouts=Timeouts(first_token=None))
    """

    connect: float | None = _native.DEFAULT_CONNECT_TIMEOUT
    first_token: float | None = _native.DEFAULT_FIRST_TOKEN_TIMEOUT
    idle: float | None = _native.DEFAULT_IDLE_TIMEOUT
    pool: float | None = _native.DEFAULT_POOL_TIMEOUT
    total: float | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelSettings(Value):
    """How to reach a model, and the parameters of its requests. They are the same for every turn of a run.

    Attributes:
        model: The model's name with its provider in front, such as ``"openai/gpt-4o-mini"``.
        base_url: The endpoint's URL, without ``/chat/completions``; None for the provider's own.
        api_key: The key; None to look in the environment.
        parameters: Members of the request's body besides the messages.
        headers: Headers to add to the request.
        timeouts: The time limits of the stream.
        connection: How to connect; None for the default.
        max_event_bytes: The size limit of one SSE event of the stream, in bytes.
        llm: The user's function that answers instead of a model; None to ask the model.
        prompt_caching: Mark the prompt for the provider's cache, if the provider needs marks.
        as_given: Names of parameters that the user wrote in the provider's own form, so that they are sent as they are.
        key_of: The provider whose key is looked for in the environment; None for the one that the model's name tells.
        key_source: Called before each request for the key; None if there is no such function.
        derived: What was computed of these settings alone, so that it need not be computed for each request.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeouts: Timeouts = Timeouts()
    connection: Connection | None = None
    max_event_bytes: int = _native.DEFAULT_MAX_EVENT_BYTES
    llm: Any = field(default=None, repr=False)
    prompt_caching: bool = False
    key_of: str | None = None
    as_given: frozenset[str] = frozenset()
    key_source: Callable[[], Any] | None = field(default=None, repr=False)
    derived: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelCall(Value):
    """One request to a model.

    Attributes:
        settings: How to reach the model.
        messages: The conversation so far.
        tools: The schemas of the tools that the model may call, in OpenAI's form.
        tool_choice: Which tool the model may or must call, in OpenAI's form; None for the provider's default.
    """

    settings: ModelSettings
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: object = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolCall(Value):
    """A tool call that the model asked for.

    Attributes:
        id: The provider's id of the call. If the provider sends none, headrace makes one at the end of the turn.
        name: The tool's name.
        arguments: The arguments as the model sent them: JSON text, which may be malformed.
        signature: The provider's signature of the call (Gemini), to be sent back in the next turn; None if it has none.
        complete: False if the call was cut off: a limit, a filter or a failure stopped the model, or the reason is not
            known, and the arguments are not a whole JSON value. An agent does not run such a call.
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
    """A block of reasoning that the provider signed. The provider expects it back in the next turn.

    Attributes:
        text: The reasoning; empty if the provider does not show it.
        kind: ``"signed"``, or ``"encrypted"`` if the signature contains the reasoning in encrypted form.
        id: The provider's id of the block; None if it has none.
        signature: The provider's signature, an opaque text.
    """

    text: str
    kind: str
    id: str | None
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Usage(Value):
    """Token counts, as the provider counts. None means "not reported", never zero.

    Attributes:
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer. Some providers include the reasoning, others do not.
        total_tokens: The provider's total.
        cached_tokens: Prompt tokens that were read from a cache.
        reasoning_tokens: Tokens of the reasoning.
        cache_write_tokens: Prompt tokens that were written to a cache.
        estimated: The provider reported nothing: these counts are estimates from the length of the texts.
        raw: The provider's usage object as it was sent, with the counts that only this provider has; None in a sum.

    Example:
        >>> from headrace import Usage
        >>> turns = [Usage(input_tokens=10, output_tokens=5), Usage(input_tokens=20, output_tokens=7)]
        >>> total = turns[0] + turns[1]
        >>> total.input_tokens, total.output_tokens, total.cached_tokens
        (30, 12, None)
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
    def from_native(cls, usage: UsageDict) -> Usage:
        """Makes a usage of the counts that the native stream collected."""
        return cls(
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            total_tokens=usage["total_tokens"],
            cached_tokens=usage["cached_tokens"],
            reasoning_tokens=usage["reasoning_tokens"],
            cache_write_tokens=usage["cache_write_tokens"],
            raw=json.loads(usage["raw"]),
        )

    def _repr_html_(self) -> str:
        """The counts as a table, for a notebook."""
        from .notebook import of_usage

        return of_usage(self)

    def __add__(self, other: Usage) -> Usage:
        """The sum of two turns. If only one of them has a count, the sum is that count: a lower bound."""
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
    """The distribution of one kind of duration, in seconds.

    The percentiles come from an HdrHistogram with three significant digits.

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
        """Makes a spread of the numbers that the native stream computed."""
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
    """The latencies of one turn, computed from the timestamps of its deltas.

    Durations are in seconds; points in time are nanoseconds of ``time.monotonic_ns()``. Every delta of output counts:
    a piece of text, of reasoning, of a refusal or of a tool call. Most providers send one model token per delta, but
    none guarantees it.

    Attributes:
        chunks: How many deltas of output the reader has taken.
        opened_ns: When the request was made.
        ended_ns: When the end of the stream arrived; None while the stream runs.
        ttft: Time to first token: from the request to the arrival of the first delta.
        ttft_answer: Time to first token of the answer: from the request to the first text, after any reasoning.
        tpot: Time per output token: (last arrival − first arrival) / (n − 1). n is the provider's count of output
            tokens, or the number of deltas if it reported no count.
        itl: Inter-token latency: the times between the arrivals of consecutive deltas. Deltas of one socket read have
            the same arrival.
        lag: The times from the arrival of a delta until the reader took it.
        read_lag: The part of it until the delta's bytes were read from the socket; None if ``stamped_by`` is
            ``"headrace"``.
        stamped_by: Who stamped the arrivals: ``"kernel"`` when a packet came (TCP on Linux), ``"headrace"`` when it was
            read, or ``"both"``, some and others. Of packets that were read together, the kernel tells the arrival of
            the last, so an arrival is never too early.
        arrivals_ns: The arrival of each delta, a memory view of 64-bit integers.

    Example:
        >>> with agent.run_stream("Say hello.") as stream:
        ...     tokens = list(stream)
        >>> stream.timing.chunks
        3
        >>> 0 < stream.timing.ttft <= stream.timing.duration
        True
    """

    chunks: int
    opened_ns: int
    ended_ns: int | None
    ttft: float | None
    ttft_answer: float | None
    tpot: float | None
    itl: Spread | None
    lag: Spread | None
    read_lag: Spread | None
    stamped_by: Literal["kernel", "headrace", "both"]
    arrivals_ns: memoryview = field(repr=False, compare=False)

    def _repr_html_(self) -> str:
        """The figures with their units, and a mark for each arrival, for a notebook."""
        from .notebook import of_timing

        return of_timing(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # A memory view can be neither pickled nor copied.
        *fields, arrivals = (getattr(self, item.name) for item in _fields(self))
        return _timing, (*fields, bytes(arrivals))

    @property
    def duration(self) -> float | None:
        """From the request to the end, in seconds; None while the stream runs."""
        return None if self.ended_ns is None else (self.ended_ns - self.opened_ns) * _NS

    @classmethod
    def from_native(cls, timing: TimingDict, arrivals: bytes) -> Timing:
        """Makes a timing of the numbers that the native stream computed."""
        return cls(
            chunks=timing["chunks"],
            opened_ns=timing["opened_ns"],
            ended_ns=timing["ended_ns"],
            ttft=_seconds(timing["ttft_ns"]),
            ttft_answer=_seconds(timing["ttft_answer_ns"]),
            tpot=_seconds(timing["tpot_ns"]),
            itl=_spread(timing["itl"]),
            lag=_spread(timing["lag"]),
            read_lag=_spread(timing["read_lag"]),
            stamped_by=_stamped_by(timing),
            arrivals_ns=memoryview(arrivals).cast("Q"),
        )


def _timing(*values: Any) -> Timing:
    *fields, arrivals = values
    made: Any = Timing
    timing: Timing = made(*fields, memoryview(arrivals).cast("Q"))
    return timing


def _stamped_by(timing: TimingDict) -> Literal["kernel", "headrace", "both"]:
    stamped = timing["read_lag"]["count"] if timing["read_lag"] else 0
    return "headrace" if not stamped else "kernel" if stamped == timing["chunks"] else "both"


def _seconds(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds * _NS


def _spread(spread: SpreadDict | None) -> Spread | None:
    return None if spread is None else Spread.from_native(spread)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Turn(Value):
    """The model's answer in one turn.

    Attributes:
        text: The text of the answer.
        reasoning: The reasoning, which is never part of the text.
        refusal: The refusal.
        tool_calls: The tool calls, in the model's order.
        finish_reason: ``"stop"``, ``"length"``, ``"tool_calls"``, ``"content_filter"``, ``"error"`` or ``"other"``;
            None while the turn runs.
        finish_reason_raw: The finish reason as the provider wrote it.
        usage: Token counts, estimated if the provider reported none. None while the turn runs, or if it failed.
        id: The provider's id of the response.
        model: The name of the model that answered, as the provider wrote it.
        thoughts: The blocks of reasoning that the provider signed, in order.
        dialect: The dialect of the response, such as ``"openai_chat"``.
        request_id: The provider's id of the request, for its support; None if it sent none.
        headers: The headers of the response that are about limits and times, such as
            ``x-ratelimit-remaining-requests``, by lower-case name.
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
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)

    def with_calls(self, calls: tuple[ToolCall, ...]) -> Turn:
        """The same turn with other tool calls."""
        return replace(self, tool_calls=calls)

    @classmethod
    def from_native(
        cls, response: ResponseDict, head: tuple[str | None, Iterable[tuple[str, str]]] | None = None
    ) -> Turn:
        """Makes a turn of the response that the native stream collected, and of its head."""
        usage = response["usage"]
        request_id, headers = head or (None, ())
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
            request_id=request_id,
            headers=dict(headers),
        )


class Outcome(NamedTuple):
    """The result of a run.

    Attributes:
        final: The answer.
        messages: The messages of this run, beginning with the task.
        value: The answer as a value, if ``output_type`` is a type.
        exhausted: Whether the model called tools in the last turn that it had, and could not read their results.
    """

    final: str = ""
    messages: tuple[Message, ...] = ()
    value: Any = None
    exhausted: bool = False
