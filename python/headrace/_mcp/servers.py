"""Parses the configuration of MCP servers."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast

from headrace.errors import ConfigurationError

from .secrets import headers_without_secrets, is_secret, url_without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "HTTPServer",
    "Server",
    "StdioServer",
    "parse_servers",
    "with_secrets_of_environment",
    "without_secrets",
]

_TRANSPORTS: Final = {
    "command": ("stdio", "mcp"),
    "url": ("http", "streamable-http", "streamable_http", "mcp"),
}
"""The names that other MCP clients use for the transport of a server, by the member that such a server has."""

_URL: Final = re.compile(r"https?://(?:[^/?#]*@)?([^/?#][^?#]*)")
"""A URL. The group is the part that contains no secret: without user, password and query."""

# Refuse unknown members, so that a misspelt one is not ignored. Show no values in errors: they may be API keys.
_STRICT: Final[dict[str, Any]] = {"extra": "forbid", "hide_input_in_errors": True}


@dataclass(frozen=True)
class StdioServer:
    """An MCP server that runs as a subprocess and communicates over its standard input and output.

    Attributes:
        name: The server's name in messages, and in front of the name of a tool that several servers have.
        command: The program.
        args: The arguments of the program.
        env: Environment variables for the program, besides the few that it inherits, such as ``PATH`` and ``HOME``.
        cwd: The working directory of the program; None for the current one.
        timeout: Seconds that a call of the server's tools may take; None for the timeout of the toolbox.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | Path | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class HTTPServer:
    """An MCP server at a URL, with the transport "streamable HTTP".

    Attributes:
        name: The server's name in messages, and in front of the name of a tool that several servers have.
        url: The URL. Like the headers, it may contain a key, so it is not in the ``repr``.
        headers: Headers for each request.
        timeout: Seconds that a call of the server's tools may take; None for the timeout of the toolbox.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float | None = None


Server: TypeAlias = StdioServer | HTTPServer


def without_secrets(server: Server) -> tuple[Server, tuple[str, ...]]:
    """A server without its secrets, for a pickle, and the names of the environment variables that were left out."""
    if isinstance(server, HTTPServer):
        url, headers = url_without_secrets(server.url), headers_without_secrets(server.headers)
        return replace(server, url=url, headers=headers), ()
    secret = tuple(filter(is_secret, server.env))
    return replace(server, env={name: value for name, value in server.env.items() if name not in secret}), secret


def with_secrets_of_environment(server: Server, names: tuple[str, ...]) -> Server:
    """A server of a pickle, with those of the named environment variables that this process has."""
    if isinstance(server, HTTPServer):
        return server
    return replace(server, env={**server.env, **{name: os.environ[name] for name in names if name in os.environ}})


def parse_servers(
    mcp_url: str | None = None, mcp_urls: Sequence[str] | None = None, mcp_config: Mapping[str, Any] | None = None
) -> tuple[Server, ...]:
    """Parses the configuration of MCP servers.

    Args:
        mcp_url: The URL of a server with the transport "streamable HTTP".
        mcp_urls: The URLs of more such servers.
        mcp_config: Servers by name, in the form of other MCP clients: ``{"mcpServers": {name: server}}``, or only
            ``{name: server}``, or one server. A server is a dict with ``command``, ``args``, ``env`` and ``cwd``, or
            with ``url``, ``headers`` and ``authorization_token``. Each may have ``transport`` (or ``type``), and
            ``timeout`` in seconds for each call.

    Returns:
        The servers. A URL that is given twice counts once.

    Raises:
        ConfigurationError: A server's configuration is not valid. The message shows no values, because they may be
            secret.

    Example:
        >>> from headrace.mcp import parse_servers
        >>> parse_servers("https://mcp.example.com/mcp", mcp_config={"files": {"command": "npx", "timeout": 20}})
        (HTTPServer(name='mcp.example.com', timeout=None),
         StdioServer(name='files', command='npx', cwd=None, timeout=20.0))
    """
    if isinstance(mcp_urls, str):
        raise ConfigurationError("mcp_urls must be a list of URLs; for one URL use mcp_url")
    urls = dict.fromkeys([*([] if mcp_url is None else [mcp_url]), *(mcp_urls or ())])
    servers = [_server(None, {"url": url}) for url in urls]
    servers += [_server(name, entry) for name, entry in _entries(mcp_config)]
    for name, count in Counter(server.name for server in servers).items():
        if count > 1:
            raise ConfigurationError(f"{count} MCP servers are called {name!r}: give them names in mcp_config")
    return tuple(servers)


def _entries(config: object) -> Iterator[tuple[str | None, object]]:
    if config is None:
        return
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"mcp_config must be a dict, not {type(config).__name__}")
    given = cast("Mapping[str, object]", config)
    if isinstance(given.get("url"), str) or isinstance(given.get("command"), str):
        yield None, given
        return
    servers = given.get("mcpServers", given)
    if not isinstance(servers, Mapping):
        raise ConfigurationError("mcpServers must be a dict of servers by name")
    yield from cast("Mapping[str, object]", servers).items()


def _server(name: str | None, entry: object) -> Server:
    from pydantic import TypeAdapter, ValidationError

    where = f"the MCP server {name!r}" if name else "an MCP server"
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} must be a dict with a 'command' or a 'url', not {type(entry).__name__}")
    given = {key: value for key, value in cast("Mapping[str, Any]", entry).items() if value is not None}
    kinds = [kind for kind in _TRANSPORTS if kind in given]
    if len(kinds) != 1:
        raise ConfigurationError(f"{where} must have a 'command' or a 'url', and not both")
    (kind,) = kinds
    for transport in (given.pop("transport", None), given.pop("type", None)):
        if transport is not None and transport not in _TRANSPORTS[kind]:
            raise ConfigurationError(
                f"{where} has a {kind!r}, so its transport must be {_TRANSPORTS[kind][0]!r}, not {transport!r}"
            )
    named = _URL.match(str(given[kind])) if kind == "url" else None
    if kind == "url" and named is None:
        raise ConfigurationError(f"{where} must have a URL that begins with http:// or https://")
    if kind == "url" and "authorization_token" in given:
        authorization = {"Authorization": f"Bearer {given.pop('authorization_token')}"}
        headers = given.get("headers", {})
        given["headers"] = {**authorization, **headers} if isinstance(headers, Mapping) else headers
    path = Path(str(given[kind])).name if named is None else named[1].rstrip("/").removesuffix("/mcp")
    given["name"] = name or given.get("name") or path
    try:
        server: Server = TypeAdapter(StdioServer if kind == "command" else HTTPServer).validate_python(given)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
        raise ConfigurationError(f"{where} cannot be used: {'; '.join(wrong)}") from None
    if server.timeout is not None and not 0 < server.timeout < math.inf:
        raise ConfigurationError(f"{where} has a timeout of {server.timeout!r}: it must be a number of seconds over 0")
    return server
