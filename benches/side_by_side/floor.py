"""The lower bounds for all clients: a loop over a list, and a socket whose bytes are not parsed. They show how fast the
server and the machine are, and so that the server is not the bottleneck.
"""

from __future__ import annotations

import json
import re
import select
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clients import Ask, Client, Connect, body
from server import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measure import Arrivals

STAMP = re.compile(rb'"content":"(\d+) "')
END = b"\r\n0\r\n\r\n"


def request(url: str, model: str) -> bytes:
    """A complete HTTP request."""
    content = json.dumps(body(model)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def connected(url: str) -> socket.socket:
    """A connection to the server."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    connection = socket.create_connection((address.hostname, address.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def a_list(_url: str) -> Iterator[Connect]:
    def connect(model: str) -> Ask:
        count = int(model.removeprefix("t"))
        tokens = [TOKENS[index % len(TOKENS)] for index in range(count)]
        return lambda: iter(tokens)

    yield connect


@contextmanager
def a_socket(url: str) -> Iterator[Connect]:
    connection = connected(url)
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)

    def connect(model: str) -> Ask:
        asked = request(url, model)

        def ask() -> Iterator[int]:
            connection.sendall(asked)
            tail = b""
            while not tail.endswith(END):
                count = connection.recv_into(buffer)
                assert count
                tail = (tail + bytes(view[max(0, count - len(END)) : count]))[-len(END) :]
                yield count

        return ask

    yield connect
    connection.close()


def paced_sockets(url: str, model: str, tokens: int, limit: float, arrivals: Arrivals) -> None:
    """Reads many paced streams with one epoll, and parses only the stamps."""
    poll = select.epoll()
    asked = request(url, model)
    readers: dict[int, Reader] = {}
    for _ in range(arrivals.streams):
        reader = Reader(connected(url), time.monotonic_ns())
        reader.connection.setblocking(False)
        reader.connection.send(asked)
        readers[reader.connection.fileno()] = reader
        poll.register(reader.connection, select.EPOLLIN)
    deadline = time.monotonic() + limit
    while readers and time.monotonic() < deadline:
        for number, _event in poll.poll(1.0):
            reader = readers[number]
            block = reader.connection.recv(65536)
            now = time.monotonic_ns()
            for stamp in map(int, STAMP.findall(block)):
                if not reader.seen:
                    arrivals.first.append(now - reader.asked)
                    arrivals.first_at.append(now)
                arrivals.sent.append(stamp)
                arrivals.late.append(now - stamp)
                reader.seen += 1
            if not block or block.endswith(END):
                arrivals.complete += reader.seen == tokens
                poll.unregister(reader.connection)
                reader.connection.close()
                del readers[number]


@dataclass
class Reader:
    """A connection whose stamps are read."""

    connection: socket.socket
    asked: int
    seen: int = 0


FLOORS = {
    client.key: client
    for client in (
        Client("list_sync", "a Python loop over a list", a_list, ()),
        Client("socket_sync", "socket bytes, nothing parsed", a_socket, ()),
    )
}
