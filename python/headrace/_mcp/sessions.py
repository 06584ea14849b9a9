"""The sessions with MCP servers, in one background thread.

A session belongs to the event loop that opened it, but each ``Toolbox.run_sync`` calls tools on a new event loop. So
all sessions live on the event loop of one background thread, and calls are submitted to it.

The official SDK is imported inside functions, because it is optional and slow to import.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import json
import logging
import math
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar, cast

from headrace._concurrency.event_loop_thread import EventLoopThread
from headrace.errors import ConfigurationError

from .servers import HTTPServer, Server, StdioServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence

    from mcp import Client, types
    from mcp.client.session import MessageHandlerFnT

__all__ = ["Worker"]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_GRACE: Final = 2.0
"""Seconds to wait for an HTTP server to confirm the end of a session."""

_END: Final = 10.0
"""Seconds to wait for the end of all sessions. The SDK takes six to end a process that ignores signals."""

_workers: Final[set[Worker]] = set()


@atexit.register
def _stop_workers() -> None:
    for worker in list(_workers):
        worker.stop()


class Worker:
    """The sessions with some servers, and the thread with their event loop.

    Args:
        servers: The servers.
        timeout: The time limit for opening a session, in seconds.
    """

    def __init__(self, servers: Sequence[Server], timeout: float) -> None:
        self._servers = servers
        self._timeout = timeout
        self._sessions: dict[str, _Session] = {}
        self._pid = os.getpid()
        # Reentrant: the garbage collector may call `stop` while this thread is in another method.
        self._lock = threading.RLock()
        self._ending: concurrent.futures.Future[None] | None = None
        self._loop = EventLoopThread("headrace-mcp")
        _workers.add(self)

    def submit(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> concurrent.futures.Future[_T]:
        """Starts a coroutine on the worker's event loop.

        Args:
            work: Makes the coroutine.

        Returns:
            The future of its result.

        Raises:
            ConnectionError: The worker was stopped.
        """
        with self._lock:
            self._check_open()
            return self._loop.submit(work)

    def stop(self, *, wait: bool = True) -> None:
        """Ends the sessions and the thread.

        Args:
            wait: Wait until they have ended.
        """
        if self._pid != os.getpid():
            return  # a forked child shares the event loop's wake-up socket with the parent: do not write to it
        with self._lock:
            if self._ending is None:
                self._ending = self._loop.submit(self._end_sessions)
                self._ending.add_done_callback(self._ended)
        if wait:
            concurrent.futures.wait((self._ending,), timeout=_END)
            self._loop.close()

    def _ended(self, _ending: concurrent.futures.Future[None]) -> None:
        self._loop.close(wait=0)
        _workers.discard(self)

    def _check_open(self) -> None:
        if self._ending is not None:
            raise ConnectionError("the connections to MCP servers were closed")

    async def _end_sessions(self) -> None:
        for session in self._sessions.values():
            session.end()
        # Running calls get an error when their session ends.
        await self._loop.wait_for_others(_END)

    @property
    def changed(self) -> bool:
        """Whether a server has told that its list of tools has changed, since :meth:`open_all` read it."""
        return any(session.changed for session in list(self._sessions.values()))

    async def open_all(self) -> list[tuple[Server, list[types.Tool] | ConfigurationError]]:
        """Connects to all servers at the same time, and lists their tools, or the error of a server without any."""
        return list(zip(self._servers, await asyncio.gather(*map(self._offer, self._servers)), strict=True))

    async def _offer(self, server: Server) -> list[types.Tool] | ConfigurationError:
        try:
            return await self._session(server).tools()
        except ConfigurationError as error:
            return error

    async def call(self, server: Server, tool: str, arguments: dict[str, Any]) -> Any:
        """Calls a tool. The messages of its exceptions are for the model."""
        from anyio import BrokenResourceError, ClosedResourceError
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED, INVALID_REQUEST

        session = self._session(server)
        try:
            client, _ = await session.opened()
        except ConfigurationError as error:
            raise ConnectionError(str(error)) from error
        try:
            return _content(await session.answered(client.call_tool(tool, arguments)))
        except (MCPError, BrokenResourceError, ClosedResourceError) as error:
            # Over HTTP, a server that was restarted answers a request of an old session with INVALID_REQUEST.
            lost = {CONNECTION_CLOSED, INVALID_REQUEST} if isinstance(server, HTTPServer) else {CONNECTION_CLOSED}
            if isinstance(error, MCPError) and error.code not in lost:
                raise RuntimeError(error.message) from error
            session.end()
            raise ConnectionError(
                f"the connection to the MCP server {server.name!r} was lost, and it is not known whether the call had "
                f"its effect; the next call connects again ({error or type(error).__name__})"
            ) from error

    def _session(self, server: Server) -> _Session:
        session = self._sessions.get(server.name)
        if session is None or session.over:
            self._check_open()
            # A server that was started again may have other tools than before.
            is_new = session is None
            session = self._sessions[server.name] = _Session(server, self._timeout)
            session.changed = not is_new
        return session


class _Session:
    """One session with a server."""

    def __init__(self, server: Server, timeout: float) -> None:
        import anyio

        self.changed = False
        self._calls: set[asyncio.Task[Any]] = set()
        self._unreadable: str | None = None
        self._server = server
        self._timeout = timeout
        self._ending = asyncio.Event()
        self._scope = anyio.CancelScope()
        self._opened: asyncio.Future[tuple[Client, list[types.Tool]]] = asyncio.get_running_loop().create_future()
        # Retrieve the exception: asyncio logs exceptions that are never retrieved, and the waiting task may have been
        # cancelled.
        self._opened.add_done_callback(lambda opened: opened.cancelled() or opened.exception())
        # The SDK requires that one task enters and leaves its contexts. The session outlives the call that opens it,
        # so it has its own task, with its own context variables.
        self._task = contextvars.Context().run(asyncio.create_task, self._live())

    @property
    def over(self) -> bool:
        """Whether the session has ended, or is ending."""
        return self._ending.is_set() or self._task.done()

    def end(self) -> None:
        """Ends the session. If it is still being opened, that is cancelled."""
        self._ending.set()
        if not self._opened.done():
            self._scope.cancel()

    async def opened(self) -> tuple[Client, list[types.Tool]]:
        """Waits until the session is open. Returns the client and the server's tools."""
        return await asyncio.shield(self._opened)

    async def tools(self) -> list[types.Tool]:
        """Waits until the session is open. Returns the server's tools, listed again if the server said so."""
        client, tools = await self.opened()
        if not self.changed:
            return tools
        self.changed = False  # first, because they may change again meanwhile
        try:
            listed = await asyncio.wait_for(_listed(client), self._timeout)
        except Exception as error:  # noqa: BLE001 - whatever the SDK and its transports raise
            _log.warning("the MCP server %r did not list its tools again: %s", self._server.name, _reason(error))
            return tools
        tools[:] = listed
        return tools

    async def answered(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Waits for a call.

        Raises:
            RuntimeError: The server sent an answer that cannot be read. It may be that of another call: nobody knows.
        """
        task = asyncio.ensure_future(call)
        self._calls.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if task in self._calls:
                raise
            raise RuntimeError(
                f"the MCP server {self._server.name!r} sent an answer that cannot be read, and it is not known whether "
                f"the call had its effect: {self._unreadable}"
            ) from None
        finally:
            self._calls.discard(task)

    async def _heard(self, message: object) -> None:
        """Handles what the server sends without being asked, and what the SDK could not read."""
        from mcp.types import ToolListChangedNotification

        # The SDK hands over either the notification or a wrapper of it.
        if isinstance(getattr(message, "root", message), ToolListChangedNotification):
            self.changed = True
        elif isinstance(message, ValueError) and (answer := _unreadable_answer(message)) is not None:
            self._unreadable = answer
            if not self._opened.done():
                self._scope.cancel()
            while self._calls:
                self._calls.pop().cancel()

    async def _listen(self, client: Client) -> None:
        """Asks for changes of the list of tools, as the newer versions of the protocol want it."""
        with contextlib.suppress(Exception):  # older servers send them anyway
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self.changed = True

    async def _live(self) -> None:
        import anyio

        last_lines: deque[str] = deque(maxlen=3)
        reason = f"no answer within {self._timeout:g} s"
        try:
            self._scope.deadline = anyio.current_time() + self._timeout
            with self._scope:
                async with _client(self._server, last_lines, self._heard) as client, anyio.create_task_group() as tasks:
                    tools = await _listed(client)
                    self._scope.deadline = math.inf
                    self._opened.set_result((client, tools))
                    tasks.start_soon(self._listen, client)
                    await self._ending.wait()
                    self._scope.deadline = anyio.current_time() + _GRACE
                    tasks.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - whatever the SDK and its transports raise
            reason = _reason(error)
            _log.debug("the session with the MCP server %r ended: %s", self._server.name, reason)
        if not self._opened.done():
            if self._unreadable is not None:
                reason = f"it sent an answer that cannot be read: {self._unreadable}"
            if self._ending.is_set():
                reason = "the connection was closed"
            hint = f" (the server said: {' | '.join(last_lines)})" if last_lines else ""
            message = f"the MCP server {self._server.name!r} cannot be used: {reason}{hint}"
            self._opened.set_exception(ConfigurationError(message))


@contextlib.asynccontextmanager
async def _client(server: Server, last_lines: deque[str], heard: MessageHandlerFnT) -> AsyncGenerator[Client, None]:
    from mcp import Client, StdioServerParameters, stdio_client

    if isinstance(server, StdioServer):
        parameters = StdioServerParameters(
            command=server.command,
            args=list(server.args),
            env=dict(server.env),
            cwd=server.cwd and os.fspath(server.cwd),
        )
        with _error_pipe(server.name, last_lines) as pipe:
            async with Client(stdio_client(parameters, errlog=pipe), message_handler=heard) as client:
                yield client
        return
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    # The SDK's own time limits, or more if the server's timeout is longer.
    limits = httpx2.Timeout(30.0, read=max(300.0, server.timeout or 0.0))
    http = httpx2.AsyncClient(headers=dict(server.headers), timeout=limits)
    transport = streamable_http_client(server.url, http_client=http)
    async with http, Client(transport, message_handler=heard) as client:
        yield client


@contextlib.contextmanager
def _error_pipe(name: str, last_lines: deque[str]) -> Generator[TextIO, None, None]:
    """A pipe for a server's standard error, so that it does not mix with this program's output.

    All lines are logged, and the last ones are put into ``last_lines``.
    """
    read, write = os.pipe()

    def follow() -> None:
        with os.fdopen(read, errors="replace") as lines:
            for line in lines:
                last_lines.append(line.strip()[:500])
                _log.debug("%s: %s", name, line.rstrip())

    thread = threading.Thread(target=follow, name="headrace-mcp-errors", daemon=True)
    thread.start()
    try:
        with os.fdopen(write, "w") as pipe:
            yield pipe
    finally:
        # The server has ended, so the pipe is at its end, unless a child of either process still has it open.
        thread.join(0.1)


async def _listed(client: Client) -> list[types.Tool]:
    tools: list[types.Tool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            return tools


def _unreadable_answer(error: ValueError) -> str | None:
    """The beginning of what the SDK could not read, if it was meant as an answer; None for other output of a server.

    Many servers print to their standard output, though they must not, and some print logs in JSON.
    """
    details: list[dict[str, Any]] = getattr(error, "errors", list)()
    for given in (detail.get("input") for detail in details):
        text = given if isinstance(given, str) else json.dumps(given, default=str)
        is_answer = '"jsonrpc"' in text or ('"id"' in text and ('"result"' in text or '"error"' in text))
        if is_answer and text.lstrip().startswith("{"):
            return text.strip()[:200]
    return None


def _content(result: types.CallToolResult) -> Any:
    """The value of a result for the model: text, or JSON.

    Raises:
        RuntimeError: The result is an error.
    """
    lines = [_described(block) for block in result.content]
    if result.is_error:
        raise RuntimeError("\n".join(lines) or "the tool failed without a message")
    structured = result.structured_content
    if structured is None:
        return "\n".join(lines)
    # Servers of the SDK wrap a value that is not an object as {"result": value}.
    members = cast("dict[str, Any]", structured) if isinstance(structured, dict) else {}
    value: Any = members["result"] if list(members) == ["result"] else result.structured_content
    texts = [block.text for block in result.content if block.type == "text"]
    parsed = [_parsed(text) for text in texts]
    # For older clients, servers repeat the structured value as text.
    repeated = not texts or any(each in (structured, value) for each in (texts, parsed, *texts, *parsed))
    if repeated and len(texts) == len(lines):
        return value
    return "\n".join(lines if repeated and texts else [*lines, json.dumps(value, ensure_ascii=False)])


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _described(block: types.ContentBlock) -> str:
    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        return f"[a link to {block.uri}: {block.description or block.name}]"
    if block.type == "resource":
        text = getattr(block.resource, "text", None)
        return text if text is not None else f"[the file {block.resource.uri}, which is not text and is not shown]"
    return f"[{block.type} of type {block.mime_type}, which is not shown]"


def _reason(error: BaseException) -> str:
    """The message of the innermost exception in exception groups."""
    while inner := getattr(error, "exceptions", None):
        error = inner[0]
    return str(error) or type(error).__name__
