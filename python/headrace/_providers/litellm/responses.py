"""The responses that litellm reads by itself: who closes its stream has to end them, and litellm gives no hold of them.

The guard in ``_transport`` tells of them.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any

from .transport import LIBRARIES, guard, on_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["cut", "watch"]


def watch(notice: Callable[[Any], object]) -> None:
    """Tells a function of each response, before its body is read, from now on and in this context.

    Args:
        notice: Is given the response.
    """
    guard(LIBRARIES & sys.modules.keys())
    on_response.set(notice)


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
