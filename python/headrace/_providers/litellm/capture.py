"""Capturing a request: it is taken from litellm when it is finished, and litellm does not send it.

litellm sends through httpx (newer versions of OpenAI's library through httpx2). A guard is put into the
``HTTPTransport`` of both. It passes everything on, and calls a listener, where the current context has one, with each
request before it is sent and with each response before its body is read. :func:`capture` and :func:`watch` set such
listeners; other threads and tasks are not affected.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
import threading
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from headrace._concurrency.threads import run_in_own_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Captured", "Returned", "capture", "install", "watch"]

_LIBRARIES: Final = frozenset({"httpx", "httpx2"})
"""The libraries that may be guarded."""

_MODEL_REQUEST_KEYS: Final = frozenset({"messages", "contents", "input", "prompt", "inputs", "modelId"})
"""A body with one of these members is a request to a model. Others, for a token or a mapping, are let through."""

_Listener: TypeAlias = "Callable[[Any], object] | None"

_on_request: ContextVar[_Listener] = ContextVar("headrace_on_request", default=None)
_on_response: ContextVar[_Listener] = ContextVar("headrace_on_response", default=None)

_lock = threading.Lock()
_guarded: set[str] = set()


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
    """Nothing was captured, and the function returned this."""

    value: Any


class _CapturedRequest(BaseException):
    """Carries a request out of litellm. Not an ``Exception``, so no handler, retry or failure callback catches it."""

    def __init__(self, captured: Captured) -> None:
        super().__init__()
        self.captured = captured


def install() -> None:
    """Puts the guard into the libraries that are installed. Does nothing where it is."""
    _guard(library for library in _LIBRARIES if importlib.util.find_spec(library) is not None)


def capture(build: Callable[[], Any]) -> Captured | Returned:
    """Calls a function, and captures the first request to a model that it is about to send.

    Args:
        build: What builds the request. It is called in a thread of its own.

    Returns:
        The request; or what the function returned without making one.

    Raises:
        Exception: What the function raises.
    """
    is_over = False

    def on_request(request: Any) -> None:
        # litellm starts threads that write its logs. They inherit the context and may outlive this call.
        if not is_over and request.method == "POST":
            body = request.read()
            if _is_model_request(body):
                raise _CapturedRequest(Captured(str(request.url), list(request.headers.multi_items()), body))

    def build_and_listen() -> Captured | Returned:
        nonlocal is_over
        _on_request.set(on_request)
        try:
            return Returned(build())
        except _CapturedRequest as request:
            return request.captured
        finally:
            is_over = True

    return run_in_own_thread(build_and_listen)


def watch(on_response: Callable[[Any], object]) -> None:
    """Calls a function with each response, before its body is read, from now on and in this context.

    Args:
        on_response: Is given the response.
    """
    _guard(_LIBRARIES & sys.modules.keys())
    _on_response.set(on_response)


def _is_model_request(body: bytes) -> bool:
    try:
        document: object = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and not _MODEL_REQUEST_KEYS.isdisjoint(cast("dict[str, object]", document))


def _guard(libraries: Iterable[str]) -> None:
    with _lock:
        for library in {*libraries} - _guarded:
            _guard_transport(importlib.import_module(library).HTTPTransport)
            _guarded.add(library)


def _guard_transport(transport: Any) -> None:
    send = transport.handle_request

    @functools.wraps(send)
    def handle_request(self: Any, request: Any) -> Any:
        _call(_on_request, request)
        response = send(self, request)
        _call(_on_response, response)
        return response

    transport.handle_request = handle_request


def _call(listener: ContextVar[_Listener], what: Any) -> None:
    listen = listener.get()
    if listen is not None:
        listen(what)
