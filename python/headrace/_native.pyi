"""The native part of headrace: what the network threads and the Python layer meet in.

Everything here is thread-safe. Users want the modules above it; `headrace.sse` hands out two of these classes as they
are.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypedDict, final, type_check_only

from typing_extensions import Buffer

from ._run.read import Delta
from .errors import ProviderError, StreamError

__all__ = [
    "DEFAULT_CONNECT_TIMEOUT",
    "DEFAULT_FIRST_TOKEN_TIMEOUT",
    "DEFAULT_IDLE_TIMEOUT",
    "DEFAULT_MAX_EVENT_BYTES",
    "Notifier",
    "RecordedBody",
    "SSEDecoder",
    "ServerSentEvent",
    "Simulator",
    "Source",
    "Stream",
    "Waker",
    "error_class_of_status",
    "open_fed_stream",
    "open_stream",
    "retry_after",
]

DEFAULT_MAX_EVENT_BYTES: Final[int]
DEFAULT_CONNECT_TIMEOUT: Final[float]
DEFAULT_FIRST_TOKEN_TIMEOUT: Final[float]
DEFAULT_IDLE_TIMEOUT: Final[float]

@type_check_only
class UsageDict(TypedDict):
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    raw: str

@type_check_only
class SaidDict(TypedDict):
    text: str
    reasoning: str
    refusal: str
    tool_calls: list[tuple[str | None, str, str]]
    thoughts: list[tuple[str, str, str | None, str]]
    call_signatures: dict[int, str]
    finish_reason: str | None
    finish_reason_raw: str | None

@type_check_only
class ToldDict(TypedDict):
    usage: UsageDict | None
    id: str | None
    model: str | None

@type_check_only
class ResponseDict(SaidDict, ToldDict):
    dialect: str

@type_check_only
class ChoiceDict(SaidDict):
    index: int

@type_check_only
class RecordedDict(ToldDict):
    choices: list[ChoiceDict]
    state: Literal["complete", "truncated", "error", "protocol"]
    dialect: str | None
    error: StreamError | None

@type_check_only
class SpreadDict(TypedDict):
    count: int
    min_ns: int
    mean_ns: float
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int

@type_check_only
class TimingDict(TypedDict):
    chunks: int
    opened_ns: int
    ended_ns: int | None
    ttft_ns: int | None
    ttft_answer_ns: int | None
    tpot_ns: float | None
    itl: SpreadDict | None
    lag: SpreadDict | None

@final
class Stream:
    """A stream that was opened. Dropping it closes its connection, unless the whole answer has arrived."""

    def next_batch(self) -> list[str] | None:
        """Waits in this thread for the next tokens of text or of a refusal. Ctrl-C is heard while it waits.

        Returns:
            At least one token; None is the end.

        Raises:
            StreamError: The stream failed, and everything before that has been taken.
            ForkedError: This process is a fork of the one that opened the stream.
        """

    def take(self) -> list[str] | None:
        """The tokens of text that are there, without waiting.

        Returns:
            Perhaps no token; None is the end.

        Raises:
            StreamError: The stream failed, and everything before that has been taken.
            ForkedError: This process is a fork of the one that opened the stream.
        """

    def next_deltas(self) -> list[Delta] | None:
        """As ``next_batch``, for all that the model produces."""

    def take_deltas(self) -> list[Delta] | None:
        """As ``take``, for all that the model produces."""

    def arm(self, waker: Waker) -> bool:
        """Registers a waker for the next tokens.

        Args:
            waker: What to wake.

        Returns:
            True if there is something to take, or the stream has ended. If not, the waker will be woken once there is.
        """

    def arm_gone(self, waker: Waker) -> bool:
        """Registers a waker for the release of the connection.

        Args:
            waker: What to wake.

        Returns:
            True if it has been released. If not, the waker will be woken when that may have changed.
        """

    def close(self) -> None:
        """Closes the stream and its connection. Does nothing to a stream that has ended."""

    def response(self) -> ResponseDict:
        """What has been taken so far, put together."""

    def timing(self) -> TimingDict:
        """What the stamps say of what has been taken so far."""

    def arrivals(self) -> bytes:
        """When each chunk arrived: native 64-bit integers, nanoseconds of the monotonic clock."""

@final
class Source:
    """Where the bytes of a stream go in that Python has. Not for an event loop's thread: feeding may wait."""

    def feed(self, data: bytes) -> bool:
        """Feeds the next bytes, waiting in this thread where the reader is slow.

        Args:
            data: The bytes, cut anywhere.

        Returns:
            False when nobody reads any more.
        """

    def fail(self, error: BaseException) -> None:
        """Ends the stream: its reader gets this exception, after what was fed before."""

    def end(self) -> None:
        """Says that there are no more bytes."""

@final
class Notifier:
    """Wakes an event loop: a descriptor to watch, and the keys of the streams that became ready."""

    def __new__(cls) -> Notifier: ...
    def fileno(self) -> int:
        """The descriptor: readable while there is something to drain."""

    def waker(self, key: int) -> Waker:
        """A waker for the stream with this key."""

    def drain(self) -> list[int]:
        """Takes the keys of the streams that were woken since the last call."""

@final
class Waker:
    """Wakes the event loop on behalf of one stream. Network threads call it."""

@final
class ServerSentEvent:
    """One server-sent event.

    Attributes:
        event: The event's type: ``"message"`` unless an ``event`` field named another.
        data: The data, its lines joined by LF.
        id: The last event id at the time of this event: it lasts until another replaces it.
        retry: The reconnection time in milliseconds that the stream has set last; None if it has not.
    """

    __match_args__: tuple[str, str, str, str] = ("event", "data", "id", "retry")
    @property
    def event(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def retry(self) -> int | None: ...
    def json(self) -> Any:
        """The data, parsed as JSON.

        Raises:
            json.JSONDecodeError: It is not JSON.
        """

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class SSEDecoder:
    """An incremental decoder of one event stream, by the WHATWG HTML standard, section 9.2.6.

    Args:
        max_event_bytes: The cap on one line, and on the data of one event; by default ``DEFAULT_MAX_EVENT_BYTES``.
    """

    def __new__(cls, *, max_event_bytes: int = ...) -> SSEDecoder: ...
    def feed(self, data: Buffer) -> list[ServerSentEvent]:
        """Takes the next bytes of the stream, split anywhere.

        Args:
            data: Any bytes-like object.

        Returns:
            The events that these bytes complete.

        Raises:
            EventTooLargeError: An event is over the cap; after the events before it have been returned. The decoder
                stays failed.
            TypeError: The data is not bytes.
        """

    def close(self) -> None:
        """Says that there are no more bytes. An event without its blank line is discarded, by the standard.

        Raises:
            EventTooLargeError: An event was over the cap, and no call of ``feed`` has said so.
        """

    @property
    def mid_event(self) -> bool:
        """Whether the input so far stops inside an event."""

    @property
    def last_event_id(self) -> str:
        """What a reconnection sends as ``Last-Event-ID``."""

    @property
    def retry(self) -> int | None:
        """The reconnection time in milliseconds that the stream has set last."""

    @property
    def comments(self) -> int:
        """How many comment lines have been seen."""

@final
class RecordedBody:
    """Decodes the body of one response that was recorded.

    Args:
        dialect: How it is written; None to look.
        max_event_bytes: The cap on one event or non-stream body; by default ``DEFAULT_MAX_EVENT_BYTES``.

    Raises:
        ConfigurationError: There is no such dialect.
    """

    def __new__(cls, dialect: str | None = None, *, max_event_bytes: int = ...) -> RecordedBody: ...
    def feed(self, data: Buffer) -> list[tuple[Any, ...]]:
        """Takes the next bytes of the body, cut anywhere. Those after its end are ignored.

        Args:
            data: Any bytes-like object.

        Returns:
            What they say: kind, choice, and what belongs to the kind.

        Raises:
            TypeError: The data is not bytes.
        """

    def finish(self) -> tuple[list[tuple[Any, ...]], RecordedDict]:
        """Says that there are no more bytes.

        Returns:
            What only that tells, and the response as a whole.
        """

@final
class Simulator:
    """The scripted provider; see ``headrace.testing``."""

    def __new__(cls, script: str, *, port: int, workers: int) -> Simulator: ...
    @property
    def base_url(self) -> str: ...
    def report(self) -> str:
        """What it has seen, as JSON."""

    def reset(self) -> None:
        """Forgets what it has seen."""

    def wait_for(self, predicate: Callable[[str], object], timeout: float) -> bool:
        """Waits until the predicate is true of the report; False when that many seconds pass first."""

    def stop(self) -> None:
        """Stops it: when this returns, the port is free and every connection is closed."""

def open_stream(
    url: str,
    headers: list[tuple[str, str]],
    body: bytes,
    dialect: str,
    *,
    connect_timeout: float | None,
    first_token_timeout: float | None,
    idle_timeout: float | None,
    max_event_bytes: int,
    model: str | None,
) -> Stream:
    """Sends a request. Returns its stream at once; whatever happens to it, the stream tells.

    Args:
        url: The full URL.
        headers: Names and values.
        body: The body.
        dialect: How the answer is written, such as ``"openai_chat"``.
        connect_timeout: Seconds; None for no limit.
        first_token_timeout: Seconds; None for no limit.
        idle_timeout: Seconds; None for no limit.
        max_event_bytes: The cap on one event.
        model: The model, for error messages.

    Raises:
        ConfigurationError: A limit is no number of seconds, there is no such dialect, or the network threads cannot
            be started.
    """

def open_fed_stream(
    name: str,
    dialect: str,
    *,
    first_token_timeout: float | None,
    idle_timeout: float | None,
    max_event_bytes: int,
    model: str | None,
) -> tuple[Source, Stream]:
    """A stream of bytes that Python has.

    Args:
        name: Where they come from, for error messages.
        dialect: How they are written.
        first_token_timeout: Seconds; None for no limit.
        idle_timeout: Seconds; None for no limit.
        max_event_bytes: The cap on one event.
        model: The model, for error messages.

    Returns:
        Where the bytes go in, and the stream.

    Raises:
        ConfigurationError: A limit is no number of seconds, there is no such dialect, or the network threads cannot
            be started.
    """

def error_class_of_status(status: int) -> type[ProviderError] | None:
    """The exception class that an HTTP status means.

    Args:
        status: The status.

    Returns:
        None if the status means no class of its own.
    """

def retry_after(headers: list[tuple[str, str]]) -> float | None:
    """How many seconds a response asks its client to wait.

    Args:
        headers: Names, in any case, and values.

    Returns:
        From ``retry-after-ms`` or ``Retry-After``, as a number or a date; None if neither gives a time.
    """
