"""What goes through httpx (or httpx2, which newer versions of OpenAI's library use): litellm sends with these.

A guard stands in their ``HTTPTransport``. It tells of each request and of each response in the contexts that want to be
told, and passes them on.
"""

from __future__ import annotations

import functools
import importlib
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LIBRARIES", "guard", "on_request", "on_response"]

LIBRARIES: Final = frozenset({"httpx", "httpx2"})
"""Who may be guarded."""

Listener: TypeAlias = "Callable[[Any], object] | None"

on_request: ContextVar[Listener] = ContextVar("headrace_on_request", default=None)
"""Is told of each request of this context, before it is sent. If it raises, the request is not sent."""

on_response: ContextVar[Listener] = ContextVar("headrace_on_response", default=None)
"""Is told of each response of this context, before its body is read."""

_lock = threading.Lock()
_guarded: set[str] = set()


def guard(libraries: Iterable[str]) -> None:
    """Puts the guard into libraries, which are imported. Does nothing where it is.

    Args:
        libraries: Names out of ``LIBRARIES``.
    """
    with _lock:
        for library in {*libraries} - _guarded:
            _guard(importlib.import_module(library).HTTPTransport)
            _guarded.add(library)


def _guard(transport: Any) -> None:
    send = transport.handle_request

    @functools.wraps(send)
    def handle_request(self: Any, request: Any) -> Any:
        _tell(on_request, request)
        response = send(self, request)
        _tell(on_response, response)
        return response

    transport.handle_request = handle_request


def _tell(listener: ContextVar[Listener], what: Any) -> None:
    listen = listener.get()
    if listen is not None:
        listen(what)
