"""An MCP server that is written by hand, so that it can misbehave: ``mcp_raw_server.py [how]``.

It speaks the protocol's first version over stdio. ``how`` is what its tool ``odd`` does, or what comes instead of the
answer to ``initialize``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

HOW = sys.argv[1] if len(sys.argv) > 1 else ""
TOOLS = ["odd", "echo"]

BROKEN = {
    "cut": '{"jsonrpc": "2.0", "id": 7, "result": {"content": [',
    "no answer": '{"jsonrpc": "2.0", "id": 7, "outcome": 1}',
    "no version": '{"id": 7, "result": {"content": []}}',
}


def send(line: str) -> None:
    print(line, flush=True)


def message(**members: Any) -> None:
    send(json.dumps({"jsonrpc": "2.0", **members}))


def text(number: object, said: str) -> None:
    message(id=number, result={"content": [{"type": "text", "text": said}]})


def call(number: object, name: str) -> None:
    if name == "odd" and HOW in BROKEN:
        send(BROKEN[HOW])
    elif name == "odd" and HOW == "noisy":
        send("working on it …")
        send('{"level": "info", "msg": "still working", "id": 3}')
        text(number, "done")
    elif name == "odd" and HOW == "grows":
        TOOLS.append("late")
        message(method="notifications/tools/list_changed")
        text(number, "grown")
    elif name != "odd":
        text(number, f"{name} was called")


for line in sys.stdin:
    asked = json.loads(line)
    number, method = asked.get("id"), asked["method"]
    if method == "initialize" and HOW == "mute":
        send('{"jsonrpc": "2.0", "id": 1, "result": ')
    elif method == "initialize":
        capabilities = {"tools": {"listChanged": True}}
        version = asked["params"]["protocolVersion"]
        message(
            id=number,
            result={
                "protocolVersion": version,
                "capabilities": capabilities,
                "serverInfo": {"name": "raw", "version": "1"},
            },
        )
    elif method == "tools/list":
        message(id=number, result={"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]})
    elif method == "tools/call":
        call(number, asked["params"]["name"])
    elif number is not None:
        message(id=number, error={"code": -32601, "message": f"there is no {method}"})
