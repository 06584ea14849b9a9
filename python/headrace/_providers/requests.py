"""What a request for a model comes to: something to send, or something to read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import _native

__all__ = ["FedRequest", "PreparedRequest", "encoded"]


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request as it goes over the wire: the native lane.

    Attributes:
        url: The full URL.
        headers: Names and values.
        body: The body.
        dialect: How the answer is written.
        provider: Who answers, as litellm names providers; None for an endpoint that is known by its URL alone.
    """

    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes
    dialect: str
    provider: str | None = None


class FedRequest(NamedTuple):
    """An answer that Python has to read: the fallback lane.

    Attributes:
        name: Where it comes from, for messages.
        start: Starts to feed it; returns what stops that.
        provider: Who answers, as litellm names providers; None for the caller's own ``llm``.
    """

    name: str
    start: Callable[[_native.Source], Callable[[], None]]
    provider: str | None = None


def encoded(body: Any) -> bytes:
    """A body as JSON.

    Raises:
        ConfigurationError: It cannot be written as JSON.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the request cannot be written as JSON: {error}") from error
