"""The seam: a request is taken from litellm's hands when it is finished, and is not sent.

litellm sends with httpx (or httpx2, which newer versions of OpenAI's library use), and all that these send goes through
their ``HTTPTransport``. A guard stands there. It lets everything pass unless it is armed, which it is only in the
context of :func:`capture` and only as long as that runs: other threads and tasks are not touched by it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import threading
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from ._threads import apart

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Captured", "Returned", "capture", "install"]

_ASKS_A_MODEL: Final = frozenset({"messages", "contents", "input", "prompt", "inputs", "modelId"})
"""A body with one of these members is for a model; others are for tokens, mappings, and the like, and pass."""

_armed: ContextVar[_Arming | None] = ContextVar("headrace_seam_armed", default=None)
_lock = threading.Lock()
_guarded: set[str] = set()


@dataclass(slots=True)
class _Arming:
    """One capture. What litellm starts meanwhile, to write its logs, inherits the context and may outlive it."""

    over: bool = False


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
    with _lock:
        for library in ("httpx", "httpx2"):
            if library not in _guarded and importlib.util.find_spec(library) is not None:
                _guard(importlib.import_module(library).HTTPTransport)
                _guarded.add(library)


def capture(build: Callable[[], Any]) -> Captured | Returned:
    """Calls a function, and takes from it the first request for a model that it is about to send.

    Args:
        build: What builds the request, in a thread of its own.

    Returns:
        The request; or what the function returned without making one.

    Raises:
        Exception: What the function raises.
    """
    arming = _Arming()

    def armed() -> Captured | Returned:
        _armed.set(arming)
        try:
            return Returned(build())
        except _Taken as taken:
            return taken.captured
        finally:
            arming.over = True

    return apart(armed)


def _guard(transport: Any) -> None:
    send = transport.handle_request

    @functools.wraps(send)
    def handle_request(self: Any, request: Any) -> Any:
        arming = _armed.get()
        if arming is not None and not arming.over and request.method == "POST":
            body = request.read()
            if _asks_a_model(body):
                raise _Taken(Captured(str(request.url), list(request.headers.multi_items()), body))
        return send(self, request)

    transport.handle_request = handle_request


def _asks_a_model(body: bytes) -> bool:
    try:
        document: object = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and not _ASKS_A_MODEL.isdisjoint(cast("dict[str, object]", document))
