"""MCP servers as tools: what a server offers, a model may call.

:func:`parse_servers` reads which servers there are, and :class:`MCPTools` makes tools of what they offer. The official
SDK does the talking, and is imported when the first server is connected: ``pip install "headrace[mcp]"``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._concurrency.threads import wait_for
from ._mcp.servers import HTTPServer, Server, StdioServer, parse_servers
from ._mcp.sessions import Worker
from .errors import ConfigurationError
from .tools import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcp import types

__all__ = ["HTTPServer", "MCPTools", "Server", "StdioServer", "parse_servers"]


class MCPTools:
    """The tools of MCP servers.

    Nothing happens until :meth:`connect`. The sessions end with :meth:`close`, or when nobody has this object or its
    tools any more, or when the process ends. A call of a tool whose session is over opens a new one: after the server
    went away, after ``close``, and in the child after a fork.

    Args:
        servers: The servers.
        connect_timeout: Seconds that it may take to reach a server and to learn its tools.
    """

    def __init__(self, servers: Sequence[Server], *, connect_timeout: float = 30.0) -> None:
        self._process = _Process()
        self._servers = tuple(servers)
        self._timeout = connect_timeout

    def connect(self) -> tuple[Tool, ...]:
        """Connects to all servers, unless that is done, and waits for it. Any number of threads may call this at once.

        Returns:
            Their tools. Those that have one name on several servers have the server's in front.

        Raises:
            ConfigurationError: The SDK is not installed, or a server cannot be reached. The message names it.
        """
        if not self._servers:
            return ()
        process = self._here()
        with process.lock:
            if process.tools is not None:
                return process.tools
        worker = self._worker()
        try:
            opening = worker.submit(worker.open_all)
            try:
                offers = wait_for(opening)
            finally:
                opening.cancel()  # if the wait was interrupted
        except BaseException:
            self.close()
            raise
        with process.lock:
            if process.tools is None:
                process.tools = tuple(self._tool(*offer) for offer in _named(offers))
            return process.tools

    def close(self) -> None:
        """Ends the sessions, the subprocesses and the thread, and waits for it. Calls that still run fail."""
        process = self._here()
        with process.lock:
            worker, process.worker, process.tools = process.worker, None, None
        if worker is not None:
            worker.stop()

    def __del__(self) -> None:
        process = self._process
        if process.worker is not None:
            process.worker.stop(wait=False)  # This may be any thread, an event loop's too.

    def __repr__(self) -> str:
        return f"MCPTools({', '.join(server.name for server in self._servers)})"

    def _here(self) -> _Process:
        if self._process.pid != os.getpid():
            self._process = _Process()
        return self._process

    def _worker(self) -> Worker:
        process = self._here()
        with process.lock:
            if process.worker is None:
                _check_sdk()
                process.worker = Worker(self._servers, self._timeout)
            return process.worker

    def _tool(self, name: str, server: Server, offered: types.Tool) -> Tool:
        async def call(arguments: dict[str, Any]) -> Any:
            worker = self._worker()
            # Cancelling this cancels the call on the other loop, and the SDK then tells the server.
            return await asyncio.wrap_future(worker.submit(lambda: worker.call(server, offered.name, arguments)))

        description = offered.description or offered.title or ""
        return Tool.from_schema(name, description, offered.input_schema, call, timeout=server.timeout)


@dataclass
class _Process:
    """What belongs to one process. A forked child has no such thread, and may find the lock taken."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None
    tools: tuple[Tool, ...] | None = None


def _named(offers: list[tuple[Server, list[types.Tool]]]) -> Iterator[tuple[str, Server, types.Tool]]:
    """The tools with names that are valid and differ."""
    servers_of = Counter(name for _, tools in offers for name in {_valid(tool.name) for tool in tools})
    taken: set[str] = set()
    for server, tools in offers:
        for tool in tools:
            name = _valid(tool.name)
            if servers_of[name] > 1:
                name = _valid(f"{server.name}_{name}")
            numbered = (f"{name[:60]}_{number}" for number in itertools.count(2))
            name = next(free for free in itertools.chain([name], numbered) if free not in taken)
            taken.add(name)
            yield name, server, tool


def _valid(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"


def _check_sdk() -> None:
    try:
        from mcp import Client  # noqa: F401 # pyright: ignore[reportUnusedImport] - version 2 has it
    except ImportError as error:
        raise ConfigurationError(
            f'MCP servers need the SDK `mcp`: run `pip install "headrace[mcp]"` ({error})'
        ) from error
