"""The clients: bare sockets, which cost little beside any of the servers."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONTENT = re.compile(rb'"content": ?"(?!")')
STAMP = re.compile(rb'"content": ?"(\d+) ')
END = b"0\r\n\r\n"


@dataclass
class Measured:
    """What the clients saw.

    Attributes:
        asked: How many requests were made.
        complete: How many answers came to their end.
        tokens: How many tokens came.
        ttft: Nanoseconds from each request to its first token.
        late: Nanoseconds from the stamp of each token to its arrival.
        seconds: How long it took.
    """

    asked: int = 0
    complete: int = 0
    tokens: int = 0
    ttft: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class _Reader:
    connection: socket.socket
    asked: int
    seen: int = 0
    tail: bytes = b""


def ask(url: str, model: str) -> socket.socket:
    """Asks for a stream on a connection of its own."""
    content = json.dumps({"model": model, "messages": [{"role": "user", "content": "go"}], "stream": True}).encode()
    place = urlsplit(url)
    assert place.hostname is not None
    connection = socket.create_connection((place.hostname, place.port or 80))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = f"POST {place.path}/chat/completions HTTP/1.1\r\nhost: {place.netloc}\r\nauthorization: Bearer sk\r\n"
    connection.sendall(
        f"{head}content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content
    )
    return connection


def read(url: str, model: str, *, at_once: int, requests: int, seconds: float, stamped: bool = False) -> Measured:
    """Reads streams, so many at once, until there were so many or the time is over.

    Args:
        url: The server.
        model: The model to ask.
        at_once: How many streams at the same time.
        requests: How many streams at most.
        seconds: After how many seconds no more are begun, and those under way are left.
        stamped: Whether each token begins with the time when it was sent.
    """
    measured = Measured()
    poll = select.epoll()
    readers: dict[int, _Reader] = {}
    began = time.monotonic_ns()
    until = began + int(seconds * 1e9)

    def begin() -> None:
        asked = time.monotonic_ns()
        connection = ask(url, model)
        connection.setblocking(False)
        readers[connection.fileno()] = _Reader(connection, asked)
        poll.register(connection, select.EPOLLIN)
        measured.asked += 1

    for _ in range(min(at_once, requests)):
        begin()
    while readers and time.monotonic_ns() < until:
        for number, _event in poll.poll(1.0):
            reader = readers[number]
            try:
                block = reader.connection.recv(1 << 18)
            except BlockingIOError:
                continue
            now = time.monotonic_ns()
            _count(block, now, reader, measured, stamped)
            reader.tail = (reader.tail + block)[-len(END) :]
            if not block or reader.tail == END:
                measured.complete += reader.tail == END and reader.seen > 0
                poll.unregister(reader.connection)
                reader.connection.close()
                del readers[number]
                if measured.asked < requests and now < until:
                    begin()
    for reader in readers.values():
        reader.connection.close()
    poll.close()
    measured.seconds = (time.monotonic_ns() - began) / 1e9
    return measured


def _count(block: bytes, now: int, reader: _Reader, measured: Measured, stamped: bool) -> None:
    if stamped:
        stamps = STAMP.findall(block)
        measured.late += [now - int(stamp) for stamp in stamps]
        tokens = len(stamps)
    else:
        tokens = len(CONTENT.findall(block))
    if tokens and not reader.seen:
        measured.ttft.append(now - reader.asked)
    reader.seen += tokens
    measured.tokens += tokens


def leave(url: str, model: str) -> int:
    """Asks for a stream, leaves it after its first token, and returns when."""
    connection = ask(url, model)
    got = b""
    while not CONTENT.search(got):
        block = connection.recv(65536)
        assert block, got
        got += block
    time.sleep(0.01)
    left = time.monotonic_ns()
    connection.close()
    return left
