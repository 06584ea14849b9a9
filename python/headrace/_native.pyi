"""The native part of headrace: streams, decoders and the simulator, written in Rust.

Everything here is thread-safe. It is internal: use the public modules instead. `headrace.sse` exports two of these
classes unchanged.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from os import PathLike
from typing import Any, Final, Literal, TypeAlias, TypedDict, final, type_check_only

from typing_extensions import Buffer

from .errors import ProviderError, StreamError

__all__ = [
    "DEFAULT_CONNECT_TIMEOUT",
    "DEFAULT_FIRST_TOKEN_TIMEOUT",
    "DEFAULT_IDLE_CONNECTION",
    "DEFAULT_IDLE_TIMEOUT",
    "DEFAULT_MAX_EVENT_BYTES",
    "DEFAULT_PING",
    "DEFAULT_POOL_TIMEOUT",
    "Anext",
    "AsyncTokenIterator",
    "Call",
    "Connection",
    "Exchange",
    "Load",
    "Notifier",
    "RecordedBody",
    "Relay",
    "SSEDecoder",
    "Server",
    "ServerSentEvent",
    "Simulator",
    "Source",
    "Stream",
    "StreamOptions",
    "TokenIterator",
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
DEFAULT_POOL_TIMEOUT: Final[float]
DEFAULT_IDLE_CONNECTION: Final[float]
DEFAULT_PING: Final[float]

_Delta: TypeAlias = (
    tuple[Literal["text", "reasoning", "refusal", "logprobs"], int, str]
    | tuple[Literal["tool_call_start"], int, int, str | None, str]
    | tuple[Literal["tool_call_arguments"], int, int, str]
)

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
class ContentDict(TypedDict):
    text: str
    reasoning: str
    refusal: str
    tool_calls: list[tuple[str | None, str, str, bool]]
    thoughts: list[tuple[str, str, str | None, str]]
    call_signatures: dict[int, str]
    finish_reason: str | None
    finish_reason_raw: str | None

@type_check_only
class MetadataDict(TypedDict):
    usage: UsageDict | None
    id: str | None
    model: str | None

@type_check_only
class ResponseDict(ContentDict, MetadataDict):
    dialect: str

@type_check_only
class ChoiceDict(ContentDict):
    index: int

@type_check_only
class RecordedDict(MetadataDict):
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
    read_lag: SpreadDict | None
    lag: SpreadDict | None

@final
class Stream:
    """An open stream. Dropping it closes its connection, unless the whole answer has arrived."""

    def next_batch(self) -> list[str] | None:
        """Blocks this thread until the next tokens of text or of a refusal. Ctrl-C interrupts it.

        Returns:
            At least one token; None at the end.

        Raises:
            StreamError: The stream failed, and all tokens before that have been taken.
            ForkedError: This process is a fork of the one that opened the stream.
        """

    def take(self) -> list[str] | None:
        """The tokens of text or of a refusal that have arrived, without waiting.

        Returns:
            Perhaps no token; None at the end.

        Raises:
            StreamError: The stream failed, and all tokens before that have been taken.
            ForkedError: This process is a fork of the one that opened the stream.
        """

    def next_deltas(self) -> list[_Delta] | None:
        """Like ``next_batch``, but every kind of delta."""

    def take_deltas(self) -> list[_Delta] | None:
        """Like ``take``, but every kind of delta."""

    def separate(self, token: str) -> None:
        """Yields a token before the first one, if there is a first one."""

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
        """Closes the stream and its connection, and drops what was not taken."""

    def response(self) -> ResponseDict:
        """The response, as far as it has been taken."""

    def head(self) -> tuple[str | None, list[tuple[str, str]]] | None:
        """What is kept of the response's head: the request's id, and headers about limits; None before it has come."""

    def timing(self) -> TimingDict:
        """Latencies, computed from the timestamps of what has been taken so far."""

    def arrivals(self) -> bytes:
        """When each chunk arrived: native 64-bit integers, nanoseconds of the monotonic clock."""

@final
class Source:
    """Takes the bytes of a stream that Python feeds. Do not use it in an event loop's thread: feeding may block."""

    def feed(self, data: bytes) -> bool:
        """Feeds the next bytes, and blocks this thread while the reader is behind.

        Args:
            data: The bytes, split anywhere.

        Returns:
            False if the stream is no longer read.
        """

    def fail(self, error: BaseException) -> None:
        """Ends the stream: its reader gets this exception, after the bytes fed so far."""

    def end(self) -> None:
        """Ends the bytes."""

@final
class Notifier:
    """Wakes an event loop, and those who wait for streams there.

    With a descriptor for the event loop to watch, or without one, for a thread that waits.
    """

    def __new__(cls, *, descriptor: bool = True) -> Notifier: ...
    def fileno(self) -> int:
        """The descriptor: readable while there is something to drain. ``OSError`` without one."""

    def wait(self, timeout: float) -> bool:
        """Blocks until there is something to drain, for at most that many seconds; for one without a descriptor."""

    def waker(self, key: int) -> Waker:
        """A waker for the stream with this key."""

    def add(self, key: int, listener: Any) -> None:
        """Adds a listener for the stream with this key: its ``wake`` is called when the stream may be ready."""

    def remove(self, key: int, listener: Any) -> None:
        """Removes a listener."""

    def drain(self) -> None:
        """Wakes all who wait for streams that became ready. To be called by the event loop."""

@final
class Server:
    """A running HTTP server, which reads requests for somebody to answer.

    Args:
        host: The address to listen on; None not to listen, and to answer only calls.
        port: The port; 0 for any free one.
        waker: Woken when there is something to take.
        models: The names of what is served.
        keys: The file of the keys; None to ask for none.
        max_streams: How many answers may run at a time; None for no limit.
        max_waiting: How many requests may wait for one of these to end.
        cors: The origins whose pages may ask; ``*`` for all.
        own_names: Whether only requests to this machine's own names are answered.
        goes_on: Whether a run goes on when its client leaves.
        keep_alive: After how many seconds of silence a comment is sent.
        access_log: The file that gets a line for each request; None for none.
        page: The page at ``/``; None for none.
        shares_port: Whether other processes may listen at the same port.
    """

    def __new__(
        cls,
        host: str | None,
        port: int,
        waker: Waker,
        *,
        models: list[str],
        keys: PathLike[str] | str | None,
        max_streams: int | None,
        max_waiting: int,
        cors: list[str],
        own_names: bool,
        goes_on: bool,
        keep_alive: float,
        access_log: PathLike[str] | str | None,
        page: str | None,
        shares_port: bool,
    ) -> Server: ...
    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens."""

    def call(self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Call:
        """Answers a request that another HTTP server has read.

        Raises:
            ValueError: It is no request, or the server was stopped.
        """

    def take(self) -> list[Exchange | int | tuple[int, str]]:
        """What has happened: exchanges to answer; the ids of those whose client has gone; ids with what users say."""

    def drain(self) -> None:
        """Accepts nothing more. Requests under way go on."""

    def arm_drained(self, waker: Waker) -> bool:
        """True once it was drained: all responses have been sent. If not, the waker will be woken then."""

    def stop(self) -> None:
        """Closes all connections."""

@final
class Call:
    """One request that another HTTP server has read."""

    def arm(self, waker: Waker) -> bool:
        """True if there is something to take. If not, the waker will be woken when there is."""

    def head(self) -> tuple[int, list[tuple[bytes, bytes]]] | None:
        """The status and the headers, once there is something to take; None after :meth:`close`."""

    def take(self) -> bytes | None:
        """What is there of the body; None if all of it was taken, and after :meth:`close`."""

    def close(self) -> None:
        """The client has left, or has everything."""

@final
class Exchange:
    """One request and its response."""

    @property
    def id(self) -> int:
        """Different for each request."""

    @property
    def model(self) -> str:
        """The name of what is asked."""

    @property
    def is_gone(self) -> bool:
        """Whether the client has left."""

    @property
    def is_kept(self) -> bool:
        """Whether the conversation is kept, for a response that goes on from this one."""

    def asked(self) -> str:
        """What is asked for, as JSON in OpenAI's format: ``messages``, ``parameters``, ``tools``, ``tool_choice``."""

    def trace(self) -> dict[str, str]:
        """The headers that tell which trace the request belongs to."""

    def keep(self, conversation: str) -> None:
        """Keeps a conversation, a list of messages as JSON."""

    def tell(self, event: str) -> None:
        """Tells the client what the agent does: an event as JSON."""

    def relay(self, stream: Stream) -> Relay:
        """Writes what a turn's stream says, without Python, until it ends or the client leaves."""

    def write(self, tokens: list[str]) -> None:
        """Writes tokens."""

    def write_reasoning(self, text: str) -> None:
        """Writes reasoning."""

    def write_calls(self, calls: list[tuple[str, str, str]]) -> None:
        """Writes whole calls of the client's tools: id, name and arguments."""

    def arm_room(self, waker: Waker) -> bool:
        """True if there is room to write, or the client has left. If not, the waker will be woken later."""

    def finish(
        self, reason: str, input_tokens: int | None, output_tokens: int | None, total_tokens: int | None
    ) -> None:
        """Ends the answer."""

    def fail(self, kind: str, message: str, retry_after: float | None = None) -> None:
        """Ends the answer with an error."""

@final
class Relay:
    """A relay of one turn."""

    def arm(self, waker: Waker) -> bool:
        """True once the relay has ended. If not, the waker will be woken then."""

@final
class TokenIterator:
    """Reads a run for ``for``: it calls the driver, and reads by itself the streams that the driver yields.

    Args:
        driver: Yields tokens, events, and streams of turns that are plain text.
        check_open: Raises if the stream was closed.
    """

    def __new__(cls, driver: Iterator[Any], check_open: Callable[[], None]) -> TokenIterator: ...
    def __iter__(self) -> TokenIterator: ...
    def __next__(self) -> Any: ...
    def discard(self) -> None:
        """Drops what was taken and not yielded yet. Called when the run is closed, by any thread."""

@final
class AsyncTokenIterator:
    """Reads a run for ``async for``; see :class:`TokenIterator`.

    Args:
        driver: Yields tokens, events, and streams of turns that are plain text.
        run: Has the methods ``check_open``, ``read_cancelled`` and ``read_again``.
        running_loop: Returns the running event loop and its notifier.
    """

    def __new__(cls, driver: AsyncIterator[Any], run: Any, running_loop: Callable[[], Any]) -> AsyncTokenIterator: ...
    def __aiter__(self) -> AsyncTokenIterator: ...
    def __anext__(self) -> Anext: ...
    def aclose(self) -> Awaitable[None]:
        """Ends the run, as closing an async generator does."""

    def discard(self) -> None:
        """Drops what was taken and not yielded yet. Called when the run is closed, by any thread."""

@final
class Anext:
    """One read of an :class:`AsyncTokenIterator`: what a task awaits, and what it waits for."""

    _asyncio_future_blocking: bool | None
    def __await__(self) -> Anext: ...
    def __iter__(self) -> Anext: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, *exception: Any) -> Any: ...
    def close(self) -> None: ...
    def get_loop(self) -> Any: ...
    def add_done_callback(self, callback: Any, *, context: Any = None) -> None: ...
    def remove_done_callback(self, callback: Any) -> int: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def result(self) -> None: ...
    def exception(self) -> None: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...

@final
class Waker:
    """Wakes the event loop on behalf of one stream. Network threads call it."""

@final
class ServerSentEvent:
    """One server-sent event.

    Attributes:
        event: The event's type: ``"message"`` unless an ``event`` field named another.
        data: The data, its lines joined by LF.
        id: The last event id at the time of this event; it stays the same until the stream sends another.
        retry: The last reconnection time in milliseconds that the stream set; None if it set none.
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
            The events completed by these bytes.

        Raises:
            EventTooLargeError: An event is over the cap. Events before it are returned first. Every later call raises
                the error again.
            TypeError: The data is not bytes.
        """

    def close(self) -> None:
        """Ends the bytes. An event without its blank line is discarded, as the standard says.

        Raises:
            EventTooLargeError: An event was over the cap.
        """

    @property
    def mid_event(self) -> bool:
        """Whether the input so far ends inside an event."""

    @property
    def last_event_id(self) -> str:
        """What to send as ``Last-Event-ID`` when reconnecting."""

    @property
    def retry(self) -> int | None:
        """The last reconnection time in milliseconds that the stream set; None if it set none."""

    @property
    def comments(self) -> int:
        """How many comment lines have been seen."""

@final
class RecordedBody:
    """Decodes a recorded response body.

    Args:
        dialect: The dialect; None to detect it.
        max_event_bytes: The cap on one event or non-stream body; by default ``DEFAULT_MAX_EVENT_BYTES``.

    Raises:
        ConfigurationError: There is no such dialect.
    """

    def __new__(cls, dialect: str | None = None, *, max_event_bytes: int = ...) -> RecordedBody: ...
    def feed(self, data: Buffer) -> list[tuple[Any, ...]]:
        """Takes the next bytes of the body, split anywhere. Bytes after its end are ignored.

        Args:
            data: Any bytes-like object.

        Returns:
            Deltas: kind, choice, and the fields of that kind.

        Raises:
            TypeError: The data is not bytes.
        """

    def finish(self) -> tuple[list[tuple[Any, ...]], RecordedDict]:
        """Ends the bytes.

        Returns:
            The last deltas, and the whole response.
        """

@final
class Load:
    """Requests that are being sent by a schedule; see ``headrace.bench``. It starts at once.

    The requests are (URL, headers, body, dialect) and are sent in turn. Either ``concurrency``, or ``dues``: when each
    request is sent, in seconds from the start.
    """

    def __new__(
        cls,
        requests: list[tuple[str, list[tuple[str, str]], bytes, str]],
        options: StreamOptions,
        *,
        concurrency: int | None = None,
        count: int | None = None,
        dues: list[float] | None = None,
        duration: float | None = None,
        turns: int = 1,
        think: float = 0.0,
        stamped: bool = False,
    ) -> Load: ...
    def wait(self, timeout: float) -> bool:
        """Blocks until all answers have ended, for at most that many seconds; whether they have. Ctrl-C waits, too."""

    def progress(self) -> tuple[int, int, int, int | None, int | None]:
        """How many requests were sent, ended and failed; the TTFT so far: p50 and p99, in nanoseconds."""

    def stop(self) -> None:
        """Sends no more requests, and closes the streams that are open."""

    def tally(self) -> str:
        """What is known so far, as JSON."""

@final
class Simulator:
    """The scripted provider; see ``headrace.testing``."""

    def __new__(cls, script: str, *, port: int, workers: int) -> Simulator: ...
    @property
    def base_url(self) -> str: ...
    def report(self) -> str:
        """The requests so far, as JSON."""

    def reset(self) -> None:
        """Clears the report."""

    def wait_for(self, predicate: Callable[[str], object], timeout: float) -> bool:
        """Waits until the predicate is true of the report; False if that many seconds pass first."""

    def stop(self) -> None:
        """Stops the simulator: when this returns, the port is free and every connection is closed."""

@final
class Connection:
    """How to connect; see ``headrace.connection.Connection``. Streams with equal options share their connections."""

    def __new__(
        cls,
        *,
        ca: bytes | str | PathLike[str] | None,
        client_cert: tuple[bytes | str | PathLike[str], bytes | str | PathLike[str]] | None,
        verify: bool,
        proxy: str | None,
        direct: bool,
        http2: bool,
        prior_knowledge: bool,
        max_connections: int | None,
        idle: float,
        resend_on_stale: bool,
        ping: float,
    ) -> Connection: ...
    def without_proxy(self) -> Connection:
        """The same without a proxy."""

@final
class StreamOptions:
    """What all streams of one model have in common. Times are in seconds; None for no limit."""

    def __new__(
        cls,
        connection: Connection,
        *,
        connect: float | None,
        pool: float | None,
        first_token: float | None,
        idle: float | None,
        total: float | None,
        max_event_bytes: int,
        model: str | None,
    ) -> StreamOptions: ...

def open_stream(url: str, headers: list[tuple[str, str]], body: bytes, dialect: str, options: StreamOptions) -> Stream:
    """Sends a request. Returns its stream at once; the stream reports tokens and failures.

    Args:
        url: The full URL.
        headers: Names and values.
        body: The body.
        dialect: The dialect of the response, such as ``"openai_chat"``.
        options: How to connect, and how long to wait.

    Raises:
        ConfigurationError: There is no such dialect, or the network threads cannot be started.
    """

def open_fed_stream(name: str, dialect: str, options: StreamOptions) -> tuple[Source, Stream]:
    """Opens a stream whose bytes Python feeds.

    Args:
        name: The name of the source, for error messages.
        dialect: The dialect of the bytes.
        options: How long to wait.

    Returns:
        The source, which takes the bytes, and the stream.

    Raises:
        ConfigurationError: There is no such dialect, or the network threads cannot be started.
    """

def error_class_of_status(status: int) -> type[ProviderError] | None:
    """The exception class for an HTTP status.

    Args:
        status: The status.

    Returns:
        None if the status has no class of its own.
    """

def retry_after(headers: list[tuple[str, str]], limited: bool = False) -> float | None:
    """The seconds that a response asks to wait before a retry.

    Args:
        headers: Names, in any case, and values.
        limited: The response was refused by a rate limit: the headers that tell when that is reset count too.

    Returns:
        From ``retry-after-ms`` or ``Retry-After``, as a number, a duration or a date; None if none gives a time.
    """
