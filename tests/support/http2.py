"""An HTTP/2 server whose behaviour a test decides, made of the ``h2`` package."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from support.harness import serving
from support.network import secured

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

__all__ = ["Http2Server", "Peer", "serving_http2"]


class Peer:
    """One connection of a client.

    Attributes:
        number: 0 for the first connection of the server.
        h2: The state of the protocol.
        streams: The streams that the client opened, in order.
        closed: The streams that the client reset.
        saw_reset: Set once there is one.
        answers_pings: False to ignore the client's pings.
    """

    def __init__(self, number: int, connection: socket.socket, most_streams: int | None) -> None:
        self.number = number
        self._socket = connection
        self._lock = threading.RLock()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        if most_streams is not None:
            self.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: most_streams})
            self.h2.local_settings.acknowledge()
        self.h2.initiate_connection()
        self.streams: list[int] = []
        self.closed: list[int] = []
        self.answers_pings = True
        self.saw_reset = threading.Event()
        self.flush()

    def flush(self) -> None:
        """Writes what there is to write."""
        with self._lock, suppress(OSError):
            self._socket.sendall(self.h2.data_to_send())

    def head(self, stream: int, status: int = 200) -> None:
        """Answers with a head."""
        with self._lock:
            headers = [(":status", str(status)), ("content-type", "text/event-stream")]
            self.h2.send_headers(stream, headers)
            self.flush()

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Sends some of the body, which must fit into the window."""
        with self._lock:
            while len(data) > (most := self.h2.max_outbound_frame_size):
                self.h2.send_data(stream, data[:most])
                data = data[most:]
            self.h2.send_data(stream, data, end_stream=end)
            self.flush()

    def room(self, stream: int) -> int:
        """How many bytes the client takes now."""
        with self._lock:
            return self.h2.local_flow_control_window(stream)

    def answer(self, stream: int, body: bytes) -> None:
        """A whole response."""
        with self._lock:
            self.head(stream)
            self.data(stream, body, end=True)

    def reset(self, stream: int, code: int) -> None:
        """Resets a stream."""
        with self._lock:
            self.h2.reset_stream(stream, code)
            self.flush()

    def go_away(self, code: int, last: int) -> None:
        """Says that streams after ``last`` were not looked at."""
        with self._lock:
            frame = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last.to_bytes(4, "big") + code.to_bytes(4, "big")
            self._socket.sendall(frame)

    def hang_up(self) -> None:
        """Closes the connection."""
        import socket

        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def serve(self, asked: Callable[[Peer, int], None]) -> None:
        """Reads until the client hangs up. Calls ``asked`` for each request that is whole."""
        while data := self._socket.recv(65536):
            ended: list[int] = []
            with self._lock:
                if not self.answers_pings:
                    # Frames of type 6 are pings. The client sends one alone.
                    data = b"" if data[3:4] == b"\x06" else data
                for event in self.h2.receive_data(data):
                    self._seen(event, ended)
                self.flush()
            for stream in ended:
                asked(self, stream)

    def _seen(self, event: h2.events.Event, ended: list[int]) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            self.streams.append(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            assert event.flow_controlled_length is not None
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            ended.append(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id is not None
            self.closed.append(event.stream_id)
            self.saw_reset.set()


@dataclass
class Http2Server:
    """A running server.

    Attributes:
        port: Where it listens.
        peers: The connections so far.
    """

    port: int = 0
    peers: list[Peer] = field(default_factory=list[Peer])

    @property
    def url(self) -> str:
        """The base URL, without TLS."""
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def serving_http2(
    asked: Callable[[Peer, int], None],
    *,
    most_streams: int | None = None,
    context: ssl.SSLContext | None = None,
    begin: Callable[[Peer], None] = lambda _: None,
) -> Iterator[Http2Server]:
    """Runs a server.

    Args:
        asked: Called with the connection and the stream of each whole request.
        most_streams: How many streams a connection may have at a time.
        context: Its TLS settings; None for a client that knows that the server speaks HTTP/2.
        begin: Called with each new connection.
    """
    server = Http2Server()
    lock = threading.Lock()

    def handle(connection: socket.socket) -> None:
        if context is not None:
            connection = secured(context, connection)
        with connection:
            with lock:
                peer = Peer(len(server.peers), connection, most_streams)
                server.peers.append(peer)
            begin(peer)
            with suppress(h2.exceptions.ProtocolError):
                peer.serve(asked)

    with serving(handle) as server.port:
        yield server
