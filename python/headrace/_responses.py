"""The responses that litellm reads by itself: who closes its stream has to end them, and litellm gives no hold of them.

As in ``_seam``, all that it sends goes through the ``HTTPTransport`` of httpx (or httpx2). What is put there tells of
each response in the contexts that want to be told, and passes everything on.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import socket
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["cut", "watch"]

_watching: ContextVar[Callable[[Any], object] | None] = ContextVar("headrace_watching", default=None)
_lock = threading.Lock()
_watched: set[str] = set()


def watch(notice: Callable[[Any], object]) -> None:
    """Tells a function of each response, before its body is read, from now on and in this context.

    Args:
        notice: Is given the response.
    """
    with _lock:
        for library in {"httpx", "httpx2"} & sys.modules.keys() - _watched:
            _tell_of(importlib.import_module(library).HTTPTransport)
            _watched.add(library)
    _watching.set(notice)


def _tell_of(transport: Any) -> None:
    send = transport.handle_request

    @functools.wraps(send)
    def handle_request(self: Any, request: Any) -> Any:
        response = send(self, request)
        notice = _watching.get()
        if notice is not None:
            notice(response)
        return response

    transport.handle_request = handle_request


def cut(response: Any) -> None:
    """Ends a response of httpx that another thread may be waiting for. Only its socket wakes that thread.

    Args:
        response: The response. One that was read to its end is left alone: its connection may be another's by now. So
            is one of HTTP/2, whose connection is others' too.
    """
    extensions: Mapping[str, Any] = getattr(response, "extensions", {})
    network = extensions.get("network_stream")
    connection = None if network is None else network.get_extra_info("socket")
    if connection is None or response.is_closed or extensions.get("http_version") == b"HTTP/2":
        return
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
