r"""Decodes recorded responses of providers: their deltas, the whole response, and how it ended.

:func:`decode` reads the recorded body of a response, in any dialect that headrace streams. Errors of the recording are
part of the result and are not raised, because a recording is often decoded to find out how a stream failed.

Example:
    >>> from headrace import decode
    >>> from headrace.decoding import FinishDelta, TextDelta
    >>> body = (
    ...     b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
    ...     b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n'
    ...     b"data: [DONE]\n\n"
    ... )
    >>> response = decode(body)
    >>> response.state, response.dialect, response.text
    ('complete', 'openai_chat', 'Hi')
    >>> for delta in response.deltas:
    ...     match delta:
    ...         case TextDelta(text):
    ...             print(f"text {text!r}")
    ...         case FinishDelta(reason, raw):
    ...             print(f"finish {reason!r}")
    text 'Hi'
    finish 'length'
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ._native import DEFAULT_MAX_EVENT_BYTES, RecordedBody
from .types import ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from ._native import ChoiceDict
    from .errors import StreamError

__all__ = [
    "Choice",
    "Delta",
    "ErrorDelta",
    "FinishDelta",
    "LogprobsDelta",
    "ReasoningDelta",
    "RefusalDelta",
    "Response",
    "ResponseDelta",
    "SignatureDelta",
    "TextDelta",
    "ToolCallArgumentsDelta",
    "ToolCallEndDelta",
    "ToolCallStartDelta",
    "UsageDelta",
    "decode",
]


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of a response that the model produced, as decoded.

    Attributes:
        type: The name of the delta's type.
        choice: The number of its choice, from 0; 0 if it belongs to the whole response.
    """

    type: ClassVar[str] = "delta"
    choice: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class TextDelta(Delta):
    """A piece of the answer; never empty."""

    type: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta(Delta):
    """A piece of the reasoning; never empty."""

    type: ClassVar[str] = "reasoning"
    text: str


@dataclass(frozen=True, slots=True)
class RefusalDelta(Delta):
    """A piece of a refusal; never empty."""

    type: ClassVar[str] = "refusal"
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStartDelta(Delta):
    """A tool call begins. It comes again with the same index if the provider sends the call's id after its name.

    Attributes:
        index: The call's number within its choice, from 0.
        id: The provider's id of the call; None if it sent none.
        name: The tool's name.
    """

    type: ClassVar[str] = "tool_call_start"
    index: int
    id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallArgumentsDelta(Delta):
    """A piece of the arguments of a tool call.

    Attributes:
        index: The call's number within its choice, from 0.
        fragment: The piece of JSON text; never empty.
    """

    type: ClassVar[str] = "tool_call_arguments"
    index: int
    fragment: str


@dataclass(frozen=True, slots=True)
class ToolCallEndDelta(Delta):
    """The arguments of a tool call are complete.

    Attributes:
        index: The call's number within its choice, from 0.
    """

    type: ClassVar[str] = "tool_call_end"
    index: int


@dataclass(frozen=True, slots=True)
class LogprobsDelta(Delta):
    """The log probabilities of the text that follows.

    Attributes:
        logprobs: The parsed JSON, as the provider sent it.
    """

    type: ClassVar[str] = "logprobs"
    logprobs: Any


@dataclass(frozen=True, slots=True)
class SignatureDelta(Delta):
    """A signature. The provider expects it back, unchanged, in the next turn.

    Attributes:
        kind: ``"signed"`` if it signs reasoning that was shown, ``"encrypted"`` if it contains the reasoning.
        value: The signature, an opaque text.
        id: The provider's id of the reasoning; None if it has none.
        tool_call: The index of the tool call that it signs; None if it signs the reasoning before it.
    """

    type: ClassVar[str] = "signature"
    kind: str
    value: str
    id: str | None
    tool_call: int | None


@dataclass(frozen=True, slots=True)
class FinishDelta(Delta):
    """A choice has ended.

    Attributes:
        reason: The finish reason, the same words for all providers; see :class:`Choice`.
        raw: The finish reason as the provider wrote it.
    """

    type: ClassVar[str] = "finish"
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class UsageDelta(Delta):
    """Token counts. If a provider sends several, each one replaces the one before.

    Attributes:
        usage: The token counts so far.
    """

    type: ClassVar[str] = "usage"
    usage: Usage


@dataclass(frozen=True, slots=True)
class ResponseDelta(Delta):
    """The id and model of the response, as soon as the provider sends them.

    Attributes:
        id: The provider's id of the response.
        model: The name of the model that answered, as the provider wrote it.
    """

    type: ClassVar[str] = "response"
    id: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class ErrorDelta(Delta):
    """The provider reported an error. It is the last delta.

    Attributes:
        message: The provider's message.
        kind: The provider's type of error.
        code: The provider's error code.
        status: The HTTP status inside the error; None if the provider wrote none.
    """

    type: ClassVar[str] = "error"
    message: str
    kind: str | None
    code: str | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a response.

    Attributes:
        index: The number of the choice, from 0.
        text: The text of the answer.
        reasoning: The reasoning, which is never part of the text.
        refusal: The refusal.
        tool_calls: The tool calls, in order of appearance. The ``id`` is None if the provider sent none.
        finish_reason: ``"stop"``, ``"length"``, ``"tool_calls"``, ``"content_filter"``, ``"error"`` or ``"other"``;
            None if the choice did not end.
        finish_reason_raw: The finish reason as the provider wrote it.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    finish_reason_raw: str | None = None

    @classmethod
    def from_native(cls, choice: ChoiceDict) -> Choice:
        """Makes a choice of what the native decoder collected."""
        return cls(
            choice["index"],
            choice["text"],
            choice["reasoning"],
            choice["refusal"],
            ToolCall.from_native(choice["tool_calls"], choice["call_signatures"]),
            choice["finish_reason"],
            choice["finish_reason_raw"],
        )


@dataclass(frozen=True, slots=True)
class Response:
    """A recorded response. ``response.text`` and the other properties are those of the first choice.

    Attributes:
        state: ``"complete"``: the answer is complete. ``"truncated"``: the bytes end before the dialect's end marker.
            ``"error"``: the provider reported an error. ``"protocol"``: the bytes are not valid in the dialect, or
            the dialect could not be detected.
        error: The error, None if the answer is complete: a ``TruncatedError``, the ``ProviderError`` for the provider's
            status or error code, or a ``ProtocolError``. ``deltas`` has the deltas before it.
        dialect: The dialect of the response; None if it could not be detected.
        id: The provider's id of the response.
        model: The name of the model that answered, as the provider wrote it.
        usage: Token counts; None if the provider sent none.
        choices: The choices that have content, ordered by their number.
        deltas: All deltas, in order.
    """

    state: Literal["complete", "truncated", "error", "protocol"]
    error: StreamError | None = field(default=None, compare=False)
    dialect: str | None = None
    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    choices: tuple[Choice, ...] = ()
    deltas: tuple[Delta, ...] = ()

    @property
    def first(self) -> Choice:
        """The first choice, for nearly every request the only one; an empty choice if there is none."""
        return self.choices[0] if self.choices and self.choices[0].index == 0 else Choice()

    @property
    def text(self) -> str:
        """The text of the answer."""
        return self.first.text

    @property
    def reasoning(self) -> str:
        """The reasoning, which is never part of the text."""
        return self.first.reasoning

    @property
    def refusal(self) -> str:
        """The refusal."""
        return self.first.refusal

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order of appearance."""
        return self.first.tool_calls

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in the same words for all providers; see :class:`Choice`."""
        return self.first.finish_reason

    @property
    def finish_reason_raw(self) -> str | None:
        """The finish reason as the provider wrote it."""
        return self.first.finish_reason_raw


def decode(
    data: Buffer | Iterable[Buffer], dialect: str = "auto", *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
) -> Response:
    """Decodes the recorded body of a provider's response: a stream, or one JSON document.

    Args:
        data: The body as bytes, or an iterable of pieces of it, split anywhere, such as a file opened as binary.
        dialect: ``"auto"`` to detect it from the start of the body, or ``"openai_chat"`` (also legacy completions and
            compatible providers), ``"openai_responses"``, ``"anthropic"``, ``"gemini"``, ``"cohere"``, ``"ollama"`` or
            ``"bedrock"`` (AWS's binary event stream).
        max_event_bytes: The size limit of one frame of the stream, or of the JSON document, in bytes.

    Returns:
        The response. ``state`` and ``error`` report how it ended; an error of the recording is not raised.

    Raises:
        ConfigurationError: The dialect is unknown.
        TypeError: The data is not bytes.

    Example:
        >>> from headrace import decode
        >>> response = decode(b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}')
        >>> response.text, response.finish_reason
        ('Hi', 'stop')
        >>> cut_off = decode([b'data: {"choices": [{"del', b'ta": {"content": "H'], dialect="openai_chat")
        >>> cut_off.state, type(cut_off.error).__name__
        ('truncated', 'TruncatedError')
    """
    body = RecordedBody(None if dialect == "auto" else dialect, max_event_bytes=max_event_bytes)
    fed: list[tuple[Any, ...]] = []
    for piece in _pieces(data):
        fed += body.feed(piece)
    last, response = body.finish()
    deltas = tuple(_delta(*delta) for delta in fed + last)
    error = response["error"]
    if error is not None:
        error.delivered = any(isinstance(delta, _OUTPUT) for delta in deltas)
    usage = response["usage"]
    return Response(
        state=response["state"],
        error=error,
        dialect=response["dialect"],
        id=response["id"],
        model=response["model"],
        usage=None if usage is None else Usage.from_native(usage),
        choices=tuple(map(Choice.from_native, response["choices"])),
        deltas=deltas,
    )


_OUTPUT = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallStartDelta, ToolCallArgumentsDelta)


def _pieces(data: Buffer | Iterable[Buffer]) -> Iterator[Buffer]:
    if isinstance(data, str):
        raise TypeError("decode() takes bytes, not str: a body is bytes until it is decoded; read the file as binary")
    try:
        memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        pass
    else:
        yield data  # type: ignore[misc]
        return
    try:
        pieces = iter(data)  # type: ignore[arg-type]
    except TypeError:
        found = type(data).__name__
        raise TypeError(f"decode() takes bytes, or an iterable of pieces of bytes, not {found}") from None
    yield from pieces


_DELTAS = {
    delta.type: delta
    for delta in (
        TextDelta,
        ReasoningDelta,
        RefusalDelta,
        ToolCallStartDelta,
        ToolCallArgumentsDelta,
        ToolCallEndDelta,
        SignatureDelta,
        FinishDelta,
        ResponseDelta,
        ErrorDelta,
    )
}


def _delta(kind: str, choice: int, *fields: Any) -> Delta:
    if kind == "usage":
        return UsageDelta(Usage.from_native(fields[0]), choice=choice)
    if kind == "logprobs":
        return LogprobsDelta(json.loads(fields[0]), choice=choice)
    return _DELTAS[kind](*fields, choice=choice)
