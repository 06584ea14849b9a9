"""MCP servers: a model may call the tools that they offer.

:func:`parse_servers` reads the configuration of servers, and :class:`MCPTools` connects to them and makes a tool of
each tool that they list. It uses the official SDK, which is imported when the first server is connected. Install it
with ``pip install "headrace[mcp]"``. ``Agent(mcp_url=…)`` and ``Agent(mcp_config=…)`` do all of this.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._concurrency.threads import wait_for
from ._mcp.servers import (
    HTTPServer,
    Server,
    StdioServer,
    parse_servers,
    with_secrets_of_environment,
    without_secrets,
)
from ._mcp.sessions import Worker
from .errors import ConfigurationError
from .tools import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mcp import types

__all__ = ["HTTPServer", "MCPTools", "Server", "StdioServer", "parse_servers"]

_log = logging.getLogger(__name__)


class MCPTools:
    """The tools of MCP servers.

    Nothing is started before :meth:`connect`. The sessions end with :meth:`close`, when this object and its tools are
    garbage-collected, or when the process ends. If a tool is called after its session has ended, a new session is
    opened: after the server was restarted, after ``close``, and in a forked child.

    Args:
        servers: The servers.
        connect_timeout: The time limit for connecting to a server and listing its tools, in seconds.
        call_timeout: The time limit for a call, in seconds, for servers without their own ``timeout``; None for the
            timeout of the toolbox.
        required: Whether :meth:`connect` raises an error if a server cannot be used. Otherwise its tools are missing,
            :attr:`failures` names it, and the next ``connect`` tries again.

    Attributes:
        failures: Why servers could not be used when last connected, by the server's name.

    Example:
        >>> from headrace.mcp import MCPTools, parse_servers
        >>> files = {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/tmp"]}
        >>> tools = MCPTools(parse_servers(mcp_config={"files": files}), connect_timeout=60)
        >>> tools.connect()  # doctest: +SKIP
        (Tool(name='read_file', …), …)
        >>> tools.close()
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        connect_timeout: float = 30.0,
        call_timeout: float | None = 60.0,
        required: bool = True,
    ) -> None:
        self._process = _Process()
        for name, seconds in (("connect_timeout", connect_timeout), ("call_timeout", call_timeout)):
            if seconds is not None and not 0 < seconds < math.inf:
                raise ConfigurationError(f"{name} must be a number of seconds over 0, not {seconds!r}")
        self._servers = tuple(servers)
        self._timeout = connect_timeout
        self._call_timeout = call_timeout
        self._required = required
        self.failures: dict[str, str] = {}

    @property
    def changed(self) -> bool:
        """Whether a server has told that its list of tools has changed. The next :meth:`connect` lists them again."""
        worker = self._process.worker
        return worker is not None and self._process.pid == os.getpid() and worker.changed

    def connect(self) -> tuple[Tool, ...]:
        """Connects to all servers, unless they are connected, and waits for it. Safe to call from several threads.

        Tools are listed again where a server has told that they have changed.

        Returns:
            Their tools. If several servers have a tool of the same name, ``SERVER_`` is put in front of it.

        Raises:
            ConfigurationError: The SDK is not installed, or a server that is required cannot be reached. The message
                names the server.
        """
        if not self._servers:
            return ()
        process = self._here()
        with process.lock:
            if process.tools is not None and not self.failures and not self.changed:
                return process.tools
        worker = self._worker()
        try:
            opening = worker.submit(worker.open_all)
            try:
                found = wait_for(opening)
            finally:
                opening.cancel()  # if the wait was interrupted
            failures = {server.name: tools for server, tools in found if isinstance(tools, ConfigurationError)}
            self._check_required(failures)
        except BaseException:
            self.close()
            raise
        # Copies, because a session changes its list.
        offers = [(server, list(tools)) for server, tools in found if not isinstance(tools, ConfigurationError)]
        with process.lock:
            self.failures = {name: str(error) for name, error in failures.items()}
            if process.tools is None or process.offers != offers:
                process.offers = offers
                process.tools = tuple(self._tool(*offer) for offer in _named(offers))
            return process.tools

    def _check_required(self, failures: Mapping[str, ConfigurationError]) -> None:
        for error in failures.values():
            if self._required:
                raise error
            _log.warning("%s; the run goes on without its tools", error)

    def close(self) -> None:
        """Ends the sessions, the subprocesses and the thread, and waits for it. Calls that are still running fail."""
        process = self._here()
        with process.lock:
            worker, process.worker, process.tools = process.worker, None, None
        if worker is not None:
            worker.stop()

    def __del__(self) -> None:
        process = self._process
        if process.worker is not None:
            process.worker.stop(wait=False)  # the garbage collector may run in an event loop's thread: never block

    def __repr__(self) -> str:
        return f"MCPTools({', '.join(server.name for server in self._servers)})"

    def __getstate__(self) -> dict[str, Any]:
        """The servers without their secrets, and no connection: a copy makes its own."""
        return {**self.__dict__, "_process": None, "_servers": tuple(map(without_secrets, self._servers))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        servers = tuple(with_secrets_of_environment(*pickled) for pickled in state["_servers"])
        self.__dict__.update({**state, "_process": _Process(), "_servers": servers})

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
            # Cancelling this also cancels the call on the worker's event loop, and the SDK then notifies the server.
            return await asyncio.wrap_future(worker.submit(lambda: worker.call(server, offered.name, arguments)))

        description = offered.description or offered.title or ""
        return Tool.from_schema(
            name, description, offered.input_schema, call, timeout=server.timeout or self._call_timeout
        )


@dataclass
class _Process:
    """The state of one process. A forked child needs a new one: the thread is not there, and the lock may be held."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None
    tools: tuple[Tool, ...] | None = None
    offers: list[tuple[Server, list[types.Tool]]] = field(default_factory=list[Any])


def _named(offers: list[tuple[Server, list[types.Tool]]]) -> Iterator[tuple[str, Server, types.Tool]]:
    """Gives each tool a valid name that no other tool has."""
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
