"""The server's routes as an ASGI application, under a server of the caller's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from headrace import _native
from headrace._concurrency.wakeups import notifier_of_running_loop

from .requests import Requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from .answer import Served
    from .notices import Exposed

    Scope: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = ["Application"]

_MOST = 33 * 1024 * 1024
"""A body of so many bytes is refused, so no more of it needs to be read."""


class Application:
    """An ASGI application. :func:`headrace.serve.asgi` makes one.

    It starts with its first request, or with the lifespan of the server, and belongs to that event loop.
    """

    def __init__(
        self, served: Mapping[str, Served], exposed: Exposed, max_seconds: float | None, options: Mapping[str, Any]
    ) -> None:
        self._served = served
        self._max_seconds = max_seconds
        self._exposed: Exposed = exposed
        self._options = options
        self._requests: Requests | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as the specification of ASGI says."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def drain(self, seconds: float = 30.0) -> None:
        """Takes no more requests, waits for the running answers, and stops. Does nothing before the first request.

        An application that is mounted into another one gets no lifespan: call this when that one shuts down.

        Args:
            seconds: How long to wait at most.
        """
        requests, self._requests = self._requests, None
        if requests is not None and self._loop is asyncio.get_running_loop():
            await requests.drain(seconds)
            await requests.stop()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._running()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.drain()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _running(self) -> Requests:
        loop = asyncio.get_running_loop()
        if self._requests is None or self._loop is not loop:
            requests = Requests(self._served, self._exposed, self._max_seconds)
            requests.start(lambda waker: _native.Server(None, 0, waker, **self._options))
            self._requests, self._loop = requests, loop
        return self._requests

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        requests = self._running()
        body = await _body(receive)
        if body is None:
            return  # the client has left
        call = requests.native.call(scope["method"], _path(scope), [*scope["headers"]], body)
        leaving = asyncio.ensure_future(_until_left(receive))
        leaving.add_done_callback(lambda _done: call.close())
        try:
            await _respond(call, send, leaving)
        finally:
            leaving.cancel()
            call.close()


async def _respond(call: _native.Call, send: Send, leaving: asyncio.Future[None]) -> None:
    """Sends the response, unless its client leaves."""
    notifier = notifier_of_running_loop()
    await notifier.armed(call, call.arm)
    if (head := call.head()) is None:
        return
    status, headers = head
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while (block := call.take()) is not None:
        if block:
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await notifier.armed(call, call.arm)
    if not leaving.done():
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None if its client has left."""
    blocks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        blocks.append(message.get("body", b""))
        size += len(blocks[-1])
        if not message.get("more_body", False) or size > _MOST:
            return b"".join(blocks)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _path(scope: Scope) -> str:
    """The path within this application, which may be mounted below another path."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    if root and path.startswith(root):
        path = path[len(root) :]
    return quote(path) or "/"
