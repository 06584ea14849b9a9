"""Servers for tests of the transport: answers over plain sockets and over TLS, and proxies that tell what they saw."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.harness import receive_request, serving, shut_down_later

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trustme

TOKEN = 'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
DONE = "data: [DONE]\n\n"


def answer_of(*tokens: str) -> bytes:
    """The body of a whole answer."""
    return "".join([*(TOKEN % token for token in tokens), DONE]).encode()


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A response that says how long it is, so that its connection can be used again."""
    lines = [
        f"HTTP/1.1 {status}",
        "content-type: text/event-stream",
        f"content-length: {len(body)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def secured(context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
    """The server's end of TLS over a connection, which is shut down with its server."""
    tls = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    shut_down_later(tls)
    try:
        tls.do_handshake()
    except OSError:
        tls.close()
        raise
    return tls


def tls_context(certificate: trustme.LeafCert, *, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    """The TLS settings of a server, which perhaps wants to see a certificate of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def serving_tls(context: ssl.SSLContext, answer: bytes, seen: list[ssl.SSLSocket] | None = None) -> Iterator[int]:
    """A TLS server that gives every request the same response. Yields its port."""

    def handle(connection: socket.socket) -> None:
        with secured(context, connection) as tls:
            if seen is not None:
                seen.append(tls)
            while True:
                receive_request(tls)
                tls.sendall(answer)

    with serving(handle) as port:
        yield port


@dataclass
class Proxy:
    """A proxy, and what it was asked for.

    Attributes:
        port: Where it listens.
        requests: The first line of each request of an HTTP proxy, or the target of each of a SOCKS proxy.
        credentials: What came as user and password.
    """

    port: int = 0
    requests: list[str] = field(default_factory=list[str])
    credentials: list[str] = field(default_factory=list[str])


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _join(client: socket.socket, server: socket.socket) -> None:
    back = threading.Thread(target=_pipe, args=(server, client))
    back.start()
    _pipe(client, server)
    back.join()


@contextmanager
def http_proxy(
    *, refuses: str | None = None, leads_to: int | None = None, context: ssl.SSLContext | None = None
) -> Iterator[Proxy]:
    """An HTTP proxy that makes tunnels.

    Args:
        refuses: The status line with which it refuses all of them.
        leads_to: The port of this machine that every tunnel leads to; None for the one that was asked for.
        context: Its TLS settings; None for a proxy without TLS.
    """
    proxy = Proxy()

    def handle(connection: socket.socket) -> None:
        with ExitStack() as stack:
            if context is not None:
                connection = stack.enter_context(secured(context, connection))
            head = b""
            while b"\r\n\r\n" not in head:
                received = connection.recv(1)
                if not received:
                    return
                head += received
            lines = head.decode().split("\r\n")
            proxy.requests.append(lines[0])
            proxy.credentials += [
                line.partition(": ")[2] for line in lines if line.lower().startswith("proxy-authorization")
            ]
            if refuses is not None:
                connection.sendall(f"HTTP/1.1 {refuses}\r\ncontent-length: 0\r\n\r\n".encode())
                return
            port = leads_to or int(lines[0].split()[1].rpartition(":")[2])
            server = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _join(connection, server)

    with serving(handle) as proxy.port:
        yield proxy


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        assert part, "the client hung up"
        received += part
    return received


@contextmanager
def socks_proxy(*, leads_to: int, password: bool = False, reply: int = 0) -> Iterator[Proxy]:
    """A SOCKS5 proxy (RFC 1928), perhaps with a password (RFC 1929), whose tunnels lead to one port of this machine."""
    proxy = Proxy()

    def handle(connection: socket.socket) -> None:
        _version, count = _exactly(connection, 2)
        methods = _exactly(connection, count)
        chosen = 2 if password else 0
        if chosen not in methods:
            connection.sendall(b"\x05\xff")
            return
        connection.sendall(bytes([5, chosen]))
        if password:
            _version, length = _exactly(connection, 2)
            user = _exactly(connection, length).decode()
            secret = _exactly(connection, _exactly(connection, 1)[0]).decode()
            proxy.credentials.append(f"{user}:{secret}")
            connection.sendall(b"\x01\x00")
        _version, _command, _reserved, kind = _exactly(connection, 4)
        host = (
            _exactly(connection, _exactly(connection, 1)[0]).decode()
            if kind == 3
            else socket.inet_ntoa(_exactly(connection, 4))
        )
        (port,) = struct.unpack("!H", _exactly(connection, 2))
        proxy.requests.append(f"{host}:{port}")
        connection.sendall(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if reply:
            return
        with socket.create_connection(("127.0.0.1", leads_to)) as server:
            _join(connection, server)

    with serving(handle) as proxy.port:
        yield proxy
