"""The second server: nothing of it is headrace's. It answers like the simulator, over asyncio or uvloop.

The model's name selects the answer, as in ``server.py``: ``t1000``, ``paced250``, ``tenth50``. It prints its URL, and
ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import threading
import time
from functools import lru_cache
from typing import Any

from server import INTERVALS_MS, MODEL, TOKENS

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
NAME = re.compile(r"([a-z]+)(\d+)")

requests: list[dict[str, Any]] = []


def frame(delta: dict[str, str], finish: str | None = None) -> bytes:
    """One event, as an HTTP chunk."""
    chunk = {
        "id": "chatcmpl-other",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return chunked(json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode())


def chunked(data: bytes) -> bytes:
    """An event's data as an HTTP chunk."""
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data)


FIRST = frame({"role": "assistant", "content": ""})
LAST = frame({}, "stop") + chunked(b"[DONE]") + b"0\r\n\r\n"


@lru_cache(maxsize=16)
def at_once(tokens: int) -> bytes:
    """A whole answer."""
    frames = [frame({"content": token}) for token in TOKENS]
    return b"".join([HEAD, FIRST, *(frames[index % len(frames)] for index in range(tokens)), LAST])


class Connection(asyncio.Protocol):
    """One connection, whose requests are answered one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, found, rest = self._unread.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not found or len(rest) < size:
            return
        self._unread = rest[size:]
        if b"/_re" in head.split(b"\r\n", 1)[0]:
            self._tell(head)
        else:
            self._answer(json.loads(rest[:size])["model"])

    def _tell(self, head: bytes) -> None:
        """The report, or its reset."""
        body = json.dumps({"requests": requests}).encode()
        if b"/_reset" in head:
            requests.clear()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    def _answer(self, model: str) -> None:
        name = NAME.fullmatch(model)
        assert name is not None, model
        kind, tokens = name[1], int(name[2])
        record = {"outcome": "streaming", "received_ns": time.monotonic_ns(), "disconnected_ns": None}
        requests.append(record)
        if kind == "t":
            self._transport.write(at_once(tokens))
            self._ended(record)
            return
        self._transport.write(HEAD + FIRST)
        self._pace(record, tokens, INTERVALS_MS[kind] / 1000, self._loop.time())

    def _pace(self, record: dict[str, Any], left: int, interval: float, due: float) -> None:
        """Writes a token with the time in it, and plans the next one."""
        stamped = frame({"content": f"{time.monotonic_ns()} "})
        if left == 1:
            self._transport.write(stamped + LAST)
            self._ended(record)
            return
        self._transport.write(stamped)
        due += interval
        self._timer = self._loop.call_at(due, self._pace, record, left - 1, interval, due)

    def _ended(self, record: dict[str, Any]) -> None:
        record.update(outcome="complete", finished_ns=time.monotonic_ns())


async def serve() -> None:
    """Serves until standard input ends."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())
