"""The two kinds of request: one that our engine sends, and one whose answer Python reads and feeds in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import _native
    from headrace.types import ModelSettings

__all__ = ["FedRequest", "PreparedRequest", "encoded", "has_authorization"]


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request for the native lane: our engine sends it as it is.

    Attributes:
        url: The full URL.
        headers: Names and values.
        body: The body.
        dialect: The dialect of the answer.
        provider: Who answers, as litellm names providers; None for an endpoint that is known by its URL alone.
        is_local: It goes to a helper process of ours, so never through a proxy.
    """

    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes
    dialect: str
    provider: str | None = None
    is_local: bool = False


class FedRequest(NamedTuple):
    """A request for the fed lane: Python reads the answer and feeds it in.

    Attributes:
        name: Where the answer comes from, for error messages.
        start: Starts feeding a source; returns a function that stops it.
        provider: Who answers, as litellm names providers; None for the caller's own ``llm``.
    """

    name: str
    start: Callable[[_native.Source], Callable[[], None]]
    provider: str | None = None


def has_authorization(settings: ModelSettings) -> bool:
    """Whether the caller's own headers have an ``Authorization``, which then is used instead of the key."""
    return any(name.lower() == "authorization" for name in settings.headers)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encoded(body: Any) -> bytes:
    """A request's body as JSON.

    Raises:
        ConfigurationError: The body cannot be written as JSON.
    """
    try:
        return _ENCODER.encode(body).encode()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the request cannot be written as JSON: {error}") from error
