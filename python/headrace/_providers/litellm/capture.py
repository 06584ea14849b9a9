"""Capturing a request: we take the finished request from litellm, and litellm does not send it.

litellm sends through httpx (newer versions of OpenAI's library through httpx2). We put a guard into the
``HTTPTransport`` of both. The guard passes everything on. If the current context has a listener, the guard calls it
with each request before it is sent, and with each response before its body is read. :func:`capture` and :func:`watch`
set such listeners; other threads and tasks are not affected.
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
"""The HTTP libraries that get a guard."""

_MODEL_REQUEST_KEYS: Final = frozenset({"messages", "contents", "input", "prompt", "inputs", "modelId"})
"""A body with one of these members is a request to a model. Other requests, such as one for a token, are sent."""

_Listener: TypeAlias = "Callable[[Any], object] | None"

_on_request: ContextVar[_Listener] = ContextVar("headrace_on_request", default=None)
_on_response: ContextVar[_Listener] = ContextVar("headrace_on_response", default=None)

_lock = threading.Lock()
_guarded: set[str] = set()


@dataclass(frozen=True, slots=True)
class Captured:
    """A finished request that was not sent.

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
    """Nothing was captured: the function returned without a request to a model.

    Attributes:
        value: What the function returned.
    """

    value: Any


class _CapturedRequest(BaseException):
    """Carries a request out of litellm. Not an ``Exception``, so no handler, retry or failure callback catches it."""

    def __init__(self, captured: Captured) -> None:
        super().__init__()
        self.captured = captured


def install() -> None:
    """Puts the guard into the libraries that are installed and do not have it yet."""
    _guard(library for library in _LIBRARIES if importlib.util.find_spec(library) is not None)


def capture(build: Callable[[], Any]) -> Captured | Returned:
    """Calls a function, and captures the first request to a model that it tries to send.

    Args:
        build: The function. It is called in a thread of its own.

    Returns:
        The request; or what the function returned without one.

    Raises:
        Exception: What the function raised.
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
    """From now on, in this context, calls a function with each response, before its body is read.

    Args:
        on_response: The function.
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
