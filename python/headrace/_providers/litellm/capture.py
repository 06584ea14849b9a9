"""The seam: a request is taken from litellm's hands when it is finished, and is not sent.

The guard in ``_transport`` tells of it. It is listened to only in the context of :func:`capture`, and only as long as
that runs: other threads and tasks are not touched by it.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from headrace._concurrency.threads import apart

from .transport import LIBRARIES, guard, on_request

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Captured", "Returned", "capture", "install"]

_ASKS_A_MODEL: Final = frozenset({"messages", "contents", "input", "prompt", "inputs", "modelId"})
"""A body with one of these members is for a model; others are for tokens, mappings, and the like, and pass."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A request that was finished and not sent.

    Attributes:
        url: The full URL.
        headers: Names and values.
        body: The body.
    """

    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Returned:
    """Nothing was captured, and this came back."""

    value: Any


class _Taken(BaseException):
    """Carries a request past everything that catches an ``Exception``: handlers, retries, callbacks for failures."""

    def __init__(self, captured: Captured) -> None:
        super().__init__()
        self.captured = captured


def install() -> None:
    """Puts the guard in place. Does nothing where it is."""
    guard(library for library in LIBRARIES if importlib.util.find_spec(library) is not None)


def capture(build: Callable[[], Any]) -> Captured | Returned:
    """Calls a function, and takes from it the first request for a model that it is about to send.

    Args:
        build: What builds the request, in a thread of its own.

    Returns:
        The request; or what the function returned without making one.

    Raises:
        Exception: What the function raises.
    """
    is_over = False

    def take(request: Any) -> None:
        # What litellm starts meanwhile, to write its logs, inherits the context and may outlive this.
        if not is_over and request.method == "POST":
            body = request.read()
            if _asks_a_model(body):
                raise _Taken(Captured(str(request.url), list(request.headers.multi_items()), body))

    def listening() -> Captured | Returned:
        nonlocal is_over
        on_request.set(take)
        try:
            return Returned(build())
        except _Taken as taken:
            return taken.captured
        finally:
            is_over = True

    return apart(listening)


def _asks_a_model(body: bytes) -> bool:
    try:
        document: object = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and not _ASKS_A_MODEL.isdisjoint(cast("dict[str, object]", document))
