"""Every exception that headrace raises, in one tree.

::

    HeadraceError
    ├── ConfigurationError            what the caller gave cannot work; nothing was sent
    │   ├── MissingKeyError           no API key; the message names the environment variable
    │   └── ForkedError               the stream belongs to the parent process
    ├── StreamClosedError             the stream was closed before it was read to its end
    └── StreamError                   a stream ended in any way but complete (`.state` says which)
        ├── ConnectionFailedError     the connection could not be made, or broke
        │   ├── NameResolutionError   DNS has no answer for the host
        │   └── TLSError              the certificate or the handshake was refused
        ├── StreamTimeoutError        (also a TimeoutError)
        │   ├── ConnectTimeoutError
        │   ├── FirstTokenTimeoutError
        │   └── IdleTimeoutError
        ├── TruncatedError            the bytes ended before the dialect's end marker
        ├── ProtocolError             the bytes are not what the dialect says
        │   └── EventTooLargeError    one event is over the cap
        └── ProviderError             the provider said no, by status or inside the stream
            ├── BadRequestError       400, 413, 422
            │   ├── ContextWindowExceededError   the conversation is longer than the model reads
            │   └── ContentPolicyViolationError  a filter refused the request or its answer
            ├── AuthenticationError   401
            ├── PermissionDeniedError 403
            ├── NotFoundError         404
            ├── RateLimitError        429 (`.retry_after` in seconds, where it was told)
            ├── OverloadedError       503, 529
            └── ServerError           any other 5xx

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
    """The root of the tree: catch this to catch whatever headrace itself raises."""


class ConfigurationError(HeadraceError):
    """What the caller gave cannot work. Nothing was sent."""


class MissingKeyError(ConfigurationError):
    """No API key was found for the provider. The message names where one is looked for."""


class ForkedError(ConfigurationError):
    """A stream opened before ``os.fork()`` was read in the child. Open a new one there."""


class StreamClosedError(HeadraceError):
    """The stream was closed by its reader, so the rest of it does not exist."""


class StreamError(HeadraceError):
    """A stream that did not end complete.

    Attributes:
        state: The terminal state: ``"truncated"``, ``"rejected"``, ``"error"``, ``"transport"``,
            ``"timeout"`` or ``"protocol"``.
        status: HTTP status of the response, or None where there was none.
        code: The provider's own error code or type, where it gave one.
        retry_after: Seconds that the provider asked to wait, where it did.
        request_id: The provider's id of the request, where it gave one.
        body: The start of the response body that explains the error (at most 64 KiB of text).
        model: The model that was asked.
        provider: Who serves it, as litellm names providers; None for an endpoint that is known by its URL alone.
        delivered: Tokens of the turn had reached the caller before the error.
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
        request_id: str | None = None,
        body: str | None = None,
        model: str | None = None,
        provider: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.request_id = request_id
        self.body = body
        self.model = model
        self.provider = provider

    def __reduce__(self) -> tuple[Any, ...]:
        # The keyword-only arguments travel as state, so that an error survives pickling between processes.
        return (type(self), (str(self),), self.__dict__)


class ConnectionFailedError(StreamError):
    """The connection could not be made, or broke while the stream was read."""

    state = "transport"


class NameResolutionError(ConnectionFailedError):
    """DNS has no address for the host of the URL."""


class TLSError(ConnectionFailedError):
    """The TLS handshake failed: an untrusted certificate, a wrong name, or no TLS at the other end."""


class StreamTimeoutError(StreamError, TimeoutError):
    """A phase of the stream took longer than its limit."""

    state = "timeout"


class ConnectTimeoutError(StreamTimeoutError):
    """The connection was not made in time."""


class FirstTokenTimeoutError(StreamTimeoutError):
    """No token came in time after the request was sent."""


class IdleTimeoutError(StreamTimeoutError):
    """The stream went silent. Pings and comments do not count as a sign of life."""


class TruncatedError(StreamError):
    """The bytes ended before the dialect's end marker: the answer is not whole."""

    state = "truncated"


class ProtocolError(StreamError):
    """The bytes are not what the dialect says: malformed JSON, or a body of another type."""

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
    """The provider's filter refused the request, or withheld its answer."""


class AuthenticationError(ProviderError):
    """HTTP 401: the API key is missing or wrong."""


class PermissionDeniedError(ProviderError):
    """HTTP 403: the key may not do this."""


class NotFoundError(ProviderError):
    """HTTP 404: no such model, or no such path at this URL."""


class RateLimitError(ProviderError):
    """HTTP 429: too many requests or tokens. ``retry_after`` holds the provider's wish in seconds."""


class OverloadedError(ProviderError):
    """HTTP 503 or 529: the provider is out of capacity."""


class ServerError(ProviderError):
    """Any other HTTP 5xx: the provider failed."""
