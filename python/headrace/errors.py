"""All exceptions that headrace raises, in one tree.

::

    HeadraceError
    ├── ConfigurationError            the caller's arguments are not usable; nothing was sent
    │   ├── MissingKeyError           no API key; the message names the environment variable
    │   ├── UnsupportedRequestError   the provider has no such parameter, or a tool's name is taken
    │   └── ForkedError               the stream belongs to the parent process
    ├── RunLimitError                 the run has reached max_turns, max_total_tokens or max_cost
    ├── StreamClosedError             the stream was closed before it was read to its end
    ├── StreamInUseError              two threads or tasks read one stream at the same time
    └── StreamError                   a stream failed (`.state` says how)
        ├── ConnectionFailedError     the connection could not be made, or broke
        │   ├── NameResolutionError   DNS has no address for the host
        │   ├── ProxyError            a proxy refused to connect
        │   └── TLSError              the TLS handshake failed, or the certificate is not trusted
        ├── StreamTimeoutError        a time limit was reached (also a TimeoutError)
        │   ├── ConnectTimeoutError
        │   ├── PoolTimeoutError
        │   ├── FirstTokenTimeoutError
        │   ├── IdleTimeoutError
        │   └── TotalTimeoutError
        ├── EmptyAnswerError          the model said nothing and called no tool
        ├── InvalidOutputError        the answer is not of the type that `output_type` wants
        ├── IncompleteAnswerError     the answer is short, and the agent is `strict_end`
        ├── TruncatedError            the bytes ended before the dialect's end marker
        ├── ProtocolError             the bytes are not valid in the dialect
        │   └── EventTooLargeError    one SSE event is over the size limit
        ├── InternalError             a bug of headrace, or of a library that it uses; never retried
        └── ProviderError             the provider reported an error, by status or inside the stream
            ├── BadRequestError       400, 413, 422
            │   ├── ContextWindowExceededError   the conversation is longer than the model's context window
            │   └── ContentPolicyViolationError  a filter refused the request or its answer
            ├── AuthenticationError   401
            ├── PermissionDeniedError 403
            ├── NotFoundError         404
            ├── RateLimitError        429 (`.retry_after` in seconds, if the provider sent it)
            ├── OverloadedError       503, 529
            └── ServerError           any other 5xx; 408, 409, 425; an answer that failed by its finish reason

Tokens that arrived before an error always reach the caller before the error.

Example:
    >>> from headrace import Agent, ConnectionFailedError
    >>> try:
    ...     Agent(model_name="openai/sim", llm_base_url="http://127.0.0.1:9/v1").run("Say hello.")
    ... except ConnectionFailedError as error:
    ...     print(error.state, error.delivered)
    transport False
"""

from __future__ import annotations

from functools import partial
from typing import Any

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConnectTimeoutError",
    "ConnectionFailedError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "EmptyAnswerError",
    "EventTooLargeError",
    "FirstTokenTimeoutError",
    "ForkedError",
    "HeadraceError",
    "IdleTimeoutError",
    "IncompleteAnswerError",
    "InternalError",
    "InvalidOutputError",
    "MissingKeyError",
    "NameResolutionError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "ProtocolError",
    "ProviderError",
    "ProxyError",
    "RateLimitError",
    "RunLimitError",
    "ServerError",
    "StreamClosedError",
    "StreamError",
    "StreamInUseError",
    "StreamTimeoutError",
    "TLSError",
    "TotalTimeoutError",
    "TruncatedError",
    "UnsupportedRequestError",
]


class HeadraceError(Exception):
    """The base class of all exceptions that headrace raises itself."""


class ConfigurationError(HeadraceError):
    """The caller's arguments are not usable. Nothing was sent."""


class MissingKeyError(ConfigurationError):
    """No API key was found for the provider. The message says where headrace looks for one."""


class UnsupportedRequestError(ConfigurationError):
    """What was asked cannot be put into a request: the provider has no such parameter, or a tool's name is taken."""


class ForkedError(ConfigurationError):
    """A child process read a stream that was opened before ``os.fork()``. Open a new stream in the child."""


class StreamClosedError(HeadraceError):
    """The stream was read after its reader had closed it."""


class StreamInUseError(HeadraceError):
    """Another thread or task is reading this stream at this moment. Give each reader a stream of its own.

    The refused read has taken nothing: the other reader gets all tokens.
    """


class RunLimitError(HeadraceError):
    """A run has reached one of its limits (``max_turns``, ``max_total_tokens``, ``max_cost``) before it had an answer.

    Attributes:
        limit: The name of the limit, which is that of the ``Agent``'s argument.
        text: The text of all turns so far.
    """

    def __init__(self, message: str, *, limit: str = "", text: str = "") -> None:
        super().__init__(message)
        self.limit = limit
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle their positional arguments only.
        return (partial(type(self), limit=self.limit, text=self.text), (str(self),), self.__dict__)


class StreamError(HeadraceError):
    """A stream failed.

    Attributes:
        state: How the stream ended: ``"truncated"``, ``"rejected"``, ``"error"``, ``"transport"``,
            ``"timeout"`` or ``"protocol"``.
        status: HTTP status of the response; None if there was no response.
        code: The provider's own error code or type; None if it sent none.
        retry_after: Seconds that the provider asked to wait before a retry; None if it did not ask.
        should_retry: Whether the provider says that the same request may succeed (``x-should-retry``); None if it does
            not say.
        request_id: The provider's id of the request; None if it sent none.
        body: The start of the response body that explains the error (at most 64 KiB of text).
        model: The model that was asked.
        provider: The provider, by litellm's name; None for an endpoint that was given only by its URL.
        delivered: Whether tokens of the turn reached the caller before the error.
    """

    state: str = "error"
    delivered: bool = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        request_id: str | None = None,
        body: str | None = None,
        model: str | None = None,
        provider: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.request_id = request_id
        self.body = body
        self.model = model
        self.provider = provider

    def __reduce__(self) -> tuple[Any, ...]:
        # The keyword-only arguments are pickled as part of `__dict__`, since `__init__` gets only the message.
        return (type(self), (str(self),), self.__dict__)


class ConnectionFailedError(StreamError):
    """The connection could not be made, or broke while the stream was read."""

    state = "transport"


class NameResolutionError(ConnectionFailedError):
    """DNS has no address for the host of the URL."""


class TLSError(ConnectionFailedError):
    """The TLS handshake failed: an untrusted certificate, a wrong host name, or a server without TLS."""


class ProxyError(ConnectionFailedError):
    """A proxy refused to connect to the server. The message names the proxy and what it said."""


class StreamTimeoutError(StreamError, TimeoutError):
    """A step of the stream took longer than its limit; see :class:`~headrace.types.Timeouts`."""

    state = "timeout"


class ConnectTimeoutError(StreamTimeoutError):
    """The connection was not open within ``Timeouts.connect`` seconds."""


class PoolTimeoutError(StreamTimeoutError):
    """No connection was free within ``Timeouts.pool`` seconds. The request was not sent."""


class FirstTokenTimeoutError(StreamTimeoutError):
    """No text, reasoning or tool call arrived within ``Timeouts.first_token`` seconds after the request."""


class IdleTimeoutError(StreamTimeoutError):
    """No delta arrived within ``Timeouts.idle`` seconds after the last one. Pings and comments do not count."""


class TotalTimeoutError(StreamTimeoutError):
    """The answer was not whole within ``Timeouts.total`` seconds after the request."""


class TruncatedError(StreamError):
    """The bytes ended before the dialect's end marker: the answer is incomplete."""

    state = "truncated"


class EmptyAnswerError(StreamError):
    """The model said nothing and called no tool, or only reasoned, perhaps until it reached its output limit.

    The answer is complete as far as the provider is concerned, so it is counted in usage and cost. It is retried like
    a temporary error, and not remembered. ``Agent(allow_empty=True)`` takes it for an answer.
    """


class IncompleteAnswerError(StreamError):
    """The answer is short: cut off at a limit of tokens or by a filter, or the loops were exhausted.

    Only for an agent with ``strict_end=True``. All tokens have reached the caller before.
    """

    state = "truncated"


class InvalidOutputError(StreamError):
    """The answer is not of the type that ``output_type`` wants, also after it was asked for again.

    Attributes:
        reason: ``"invalid"`` (it does not fit), ``"refused"`` (the model did not want to answer), ``"cut"`` (a limit or
            a filter ended it), or ``"missing"`` (the run ended with tool calls).
        text: The answer, or the refusal.
    """

    state = "failed"

    def __init__(self, message: str, reason: str = "invalid", text: str = "", **of_stream: Any) -> None:
        super().__init__(message, **of_stream)
        self.reason = reason
        self.text = text


class InternalError(StreamError):
    """A bug of headrace, or of a library that it uses. Please report it; asking again would not help."""

    state = "failed"


class ProtocolError(StreamError):
    """The bytes are not valid in the dialect: malformed JSON, or a body of another type."""

    state = "protocol"


class EventTooLargeError(ProtocolError):
    """One SSE event, or one frame of another framing, is larger than the size limit (``max_event_bytes``)."""


class ProviderError(StreamError):
    """The provider refused the request (state ``"rejected"``) or failed during the stream (state ``"error"``)."""


class BadRequestError(ProviderError):
    """HTTP 400, 413 or 422: the provider does not accept the request."""


class ContextWindowExceededError(BadRequestError):
    """The conversation is longer than the model's context window. Set ``Agent(context_length=…)`` to trim it."""


class ContentPolicyViolationError(BadRequestError):
    """The provider's filter refused the request, or withheld its answer, by status or by its finish reason."""


class AuthenticationError(ProviderError):
    """HTTP 401: the API key is missing or wrong."""


class PermissionDeniedError(ProviderError):
    """HTTP 403: the API key has no permission for this request."""


class NotFoundError(ProviderError):
    """HTTP 404: the model does not exist, or the URL is wrong."""


class RateLimitError(ProviderError):
    """HTTP 429: too many requests or tokens, or a quota that is used up.

    ``retry_after`` has the seconds that the provider asked to wait.
    """


class OverloadedError(ProviderError):
    """HTTP 503 or 529: the provider is out of capacity."""


class ServerError(ProviderError):
    """The provider failed: any other HTTP 5xx, 408, 409, 425, or a finish reason that means so."""
