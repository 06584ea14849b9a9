"""Every exception that headrace raises, in one tree.

::

    HeadraceError
    ├── ConfigurationError            the caller's arguments cannot work; nothing was sent
    │   ├── MissingKeyError           no API key; the message names the environment variable
    │   └── ForkedError               the stream belongs to the parent process
    ├── StreamClosedError             the stream was closed before it was read to its end
    └── StreamError                   a stream failed (`.state` says how)
        ├── ConnectionFailedError     the connection could not be made, or broke
        │   ├── NameResolutionError   DNS has no answer for the host
        │   └── TLSError              the certificate or the handshake was refused
        ├── StreamTimeoutError        (also a TimeoutError)
        │   ├── ConnectTimeoutError
        │   ├── FirstTokenTimeoutError
        │   └── IdleTimeoutError
        ├── TruncatedError            the bytes ended before the dialect's end marker
        ├── ProtocolError             the bytes are not valid in the dialect
        │   └── EventTooLargeError    one event is over the cap
        └── ProviderError             the provider reported an error, by status or inside the stream
            ├── BadRequestError       400, 413, 422
            │   ├── ContextWindowExceededError   the conversation is longer than the model reads
            │   └── ContentPolicyViolationError  a filter refused the request or its answer
            ├── AuthenticationError   401
            ├── PermissionDeniedError 403
            ├── NotFoundError         404
            ├── RateLimitError        429 (`.retry_after` in seconds, where the provider gave it)
            ├── OverloadedError       503, 529
            └── ServerError           any other 5xx; 408, 409, 425; an answer that failed by its finish reason

Tokens that arrived before an error always reach the caller before it does.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConnectTimeoutError",
    "ConnectionFailedError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "EventTooLargeError",
    "FirstTokenTimeoutError",
    "ForkedError",
    "HeadraceError",
    "IdleTimeoutError",
    "MissingKeyError",
    "NameResolutionError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderError",
    "RateLimitError",
    "ServerError",
    "StreamClosedError",
    "StreamError",
    "StreamTimeoutError",
    "TLSError",
    "TruncatedError",
]


class HeadraceError(Exception):
    """The base class of every exception that headrace raises itself."""


class ConfigurationError(HeadraceError):
    """The caller's arguments cannot work. Nothing was sent."""


class MissingKeyError(ConfigurationError):
    """No API key was found for the provider. The message says where headrace looks for one."""


class ForkedError(ConfigurationError):
    """A stream opened before ``os.fork()`` was read in the child. Open a new one there."""


class StreamClosedError(HeadraceError):
    """The reader closed the stream, so it cannot be read any further."""


class StreamError(HeadraceError):
    """A stream failed.

    Attributes:
        state: The terminal state: ``"truncated"``, ``"rejected"``, ``"error"``, ``"transport"``,
            ``"timeout"`` or ``"protocol"``.
        status: HTTP status of the response; None if there was none.
        code: The provider's own error code or type, if it gave one.
        retry_after: Seconds that the provider asked to wait, if it did.
        should_retry: Whether the provider says that the same request may succeed (``x-should-retry``); None if it says
            nothing.
        request_id: The provider's id of the request, if it gave one.
        body: The start of the response body that explains the error (at most 64 KiB of text).
        model: The model that was asked.
        provider: The provider, by litellm's name; None for an endpoint given only by its URL.
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


class StreamTimeoutError(StreamError, TimeoutError):
    """A phase of the stream took longer than its limit."""

    state = "timeout"


class ConnectTimeoutError(StreamTimeoutError):
    """The connection was not made in time."""


class FirstTokenTimeoutError(StreamTimeoutError):
    """No token came in time after the request was sent."""


class IdleTimeoutError(StreamTimeoutError):
    """No token came in time after the last one. Pings and comments do not count."""


class TruncatedError(StreamError):
    """The bytes ended before the dialect's end marker: the answer is not whole."""

    state = "truncated"


class ProtocolError(StreamError):
    """The bytes are not valid in the dialect: malformed JSON, or a body of another type."""

    state = "protocol"


class EventTooLargeError(ProtocolError):
    """One event is larger than the cap."""


class ProviderError(StreamError):
    """The provider refused the request (state ``"rejected"``) or failed in mid-stream (state ``"error"``)."""


class BadRequestError(ProviderError):
    """HTTP 400, 413 or 422: the provider does not accept the request."""


class ContextWindowExceededError(BadRequestError):
    """The conversation is longer than the model reads. ``Agent(context_length=…)`` keeps it shorter."""


class ContentPolicyViolationError(BadRequestError):
    """The provider's filter refused the request, or withheld its answer, by status or by its finish reason."""


class AuthenticationError(ProviderError):
    """HTTP 401: the API key is missing or wrong."""


class PermissionDeniedError(ProviderError):
    """HTTP 403: the key may not do this."""


class NotFoundError(ProviderError):
    """HTTP 404: no such model, or no such path at this URL."""


class RateLimitError(ProviderError):
    """HTTP 429, or a quota that is used up: too many requests or tokens.

    ``retry_after`` holds the seconds that the provider asked to wait.
    """


class OverloadedError(ProviderError):
    """HTTP 503 or 529: the provider is out of capacity."""


class ServerError(ProviderError):
    """The provider failed: any other HTTP 5xx, 408, 409, 425, or a finish reason that means so."""
