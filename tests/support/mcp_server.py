"""An MCP server, written with the official SDK: ``mcp_server.py [stdio | http PORT]``."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, EmbeddedResource, ResourceLink, TextContent, TextResourceContents
from pydantic import BaseModel

server = MCPServer("test", log_level="ERROR")


class Place(BaseModel):
    city: str
    people: int


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def greet(name: str) -> str:
    return f"Grüße, {name}"


@server.tool()
def place(city: str) -> Place:
    return Place(city=city, people=3)


@server.tool()
def places() -> list[str]:
    return ["7", "Delft"]


@server.tool(structured_output=False)
def show() -> list[Any]:
    return [
        "an image:",
        Image(data=b"png", format="png"),
        ResourceLink(uri="file:///a.txt", name="a.txt", description="a text"),
        EmbeddedResource(resource=TextResourceContents(uri="file:///b.txt", text="what b says")),
    ]


@server.tool()
def two_ways() -> CallToolResult:
    return CallToolResult(content=[TextContent(text="It rains.")], structured_content={"rain": True})


@server.tool()
def boom() -> str:
    raise ToolError("no such city")


@server.tool(name="with.a.dot")
def dotted() -> str:
    return "dotted"


@server.tool(name="with_a_dot")
def underscored() -> str:
    return "underscored"


@server.tool()
async def hang(folder: str) -> None:
    """Records in a folder that it began, and that it was cancelled."""
    (Path(folder) / "began").touch()
    try:
        await anyio.sleep_forever()
    finally:
        (Path(folder) / "cancelled").touch()


@server.tool()
def pid() -> int:
    return os.getpid()


@server.tool()
def environment(name: str) -> str | None:
    return os.environ.get(name)


@server.tool()
def header(name: str, context: Context[Any]) -> str | None:
    return (context.headers or {}).get(name)


@server.tool()
def die() -> None:
    os._exit(3)


def late() -> str:
    return "late was called"


@server.tool()
async def grow(context: Context[Any]) -> None:
    """Adds a tool, and says so."""
    server.add_tool(late)
    await context.notify_tools_changed()


def serve_http(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listener:
        # A client that connects from here on waits until the server runs.
        print(listener.getsockname()[1], flush=True)
        app = server.streamable_http_app()
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve_http(int(sys.argv[2]))
    else:
        server.run("stdio")
