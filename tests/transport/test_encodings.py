"""Bodies that come compressed although nobody asked for it."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from typing import TYPE_CHECKING

import pytest

from headrace import ProtocolError, RateLimitError
from support.harness import Reader, agent_at, receive_request, serving
from support.network import TOKEN, answer_of, response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TOKENS = ["The ", "water ", "runs ", "down ", "a ", "wooden ", "channel", "."]


def flushing(wbits: int) -> Callable[[bytes], bytes]:
    """Compresses a stream so that each part can be read at once, as a server that streams does."""
    compressor = zlib.compressobj(wbits=wbits)
    return lambda data: compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def brotli(data: bytes) -> bytes:
    """A whole brotli stream with the data as it is. Its window has 16 bits, which is one bit of the header."""
    bits = 0 | (((len(data) - 1) << 3 | 1 << 19) << 1)
    return bits.to_bytes(3, "little") + data + b"\x03"


def zstd(data: bytes) -> bytes:
    """A zstd frame with the data as it is: RFC 8878, section 3.1.1."""
    frame = b"\x28\xb5\x2f\xfd" + b"\xa0" + len(data).to_bytes(4, "little")
    return frame + (len(data) << 3 | 1).to_bytes(3, "little") + data


WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli,
    "zstd": zstd,
    "identity": lambda data: data,
    "gzip, identity": gzip.compress,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
}


def answering(*parts: bytes) -> Callable[[socket.socket], None]:
    """A server that writes the parts of its response one by one."""

    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = receive_request(connection)
        assert b"accept-encoding: identity" in request.lower()
        for part in parts:
            connection.sendall(part)

    return answer


@pytest.mark.parametrize("encoding", WHOLE)
def test_a_compressed_answer(reader: Reader, encoding: str) -> None:
    body = WHOLE[encoding](answer_of(*TOKENS))
    with serving(answering(response(body, f"content-encoding: {encoding}"))) as port:
        assert reader.read(agent_at(f"http://127.0.0.1:{port}/v1")).tokens == TOKENS


@pytest.mark.parametrize("encoding", WHOLE)
def test_a_compressed_answer_byte_by_byte(reader: Reader, encoding: str) -> None:
    whole = response(WHOLE[encoding](answer_of(*TOKENS)), f"content-encoding: {encoding}")
    with serving(answering(*(bytes([byte]) for byte in whole))) as port:
        assert reader.read(agent_at(f"http://127.0.0.1:{port}/v1")).tokens == TOKENS


@pytest.mark.parametrize("wbits", [31, 15, -15], ids=["gzip", "zlib", "raw deflate"])
def test_a_token_is_yielded_before_the_rest_is_compressed(reader: Reader, wbits: int) -> None:
    raw = flushing(wbits)
    first = raw((TOKEN % "first").encode())
    encoding = "gzip" if first[:2] == b"\x1f\x8b" else "deflate"

    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-type: text/event-stream\r\n\r\n"
        connection.sendall(head.encode() + first)
        # The rest is sent only when the reader has the first token: it closes the connection then.
        connection.settimeout(30)
        assert connection.recv(1) == b""

    with serving(answer) as port, reader.start(agent_at(f"http://127.0.0.1:{port}/v1")) as reading:
        assert reading.take(1) == ["first"]
        reading.close()


def test_a_compressed_error_is_read(reader: Reader) -> None:
    said = json.dumps({"error": {"message": "slow down, please", "code": "busy"}}).encode()
    whole = response(gzip.compress(said), "content-encoding: gzip", status="429 Too Many Requests")
    with serving(answering(whole)) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1"))
    assert type(result.error) is RateLimitError
    assert "slow down, please" in str(result.error)
    assert result.error.code == "busy"


def failing() -> Iterable[tuple[str, bytes, str]]:
    """What cannot be decoded."""
    good = gzip.compress(answer_of(*TOKENS))
    yield "compress", good, '"compress"; gzip, deflate, br and zstd are known'
    yield "gzip", answer_of(*TOKENS), "the compressed body is damaged"
    yield "br", b"\xff" * 100, "the compressed body is damaged"
    yield "zstd", good, "the compressed body is damaged"
    yield "gzip", good[:10] + b"\xff" * 40, "the compressed body is damaged"


@pytest.mark.parametrize(("encoding", "body", "said"), tuple(failing()), ids=range(5))
def test_what_cannot_be_decoded_is_an_error(reader: Reader, encoding: str, body: bytes, said: str) -> None:
    with serving(answering(response(body, f"content-encoding: {encoding}"))) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1"))
    assert type(result.error) is ProtocolError
    assert said in str(result.error)


def test_a_small_body_may_become_a_large_answer_only_up_to_the_limit(reader: Reader) -> None:
    bomb = gzip.compress(b"data: " + b"x" * 200_000_000)
    assert len(bomb) < 300_000
    with serving(answering(response(bomb, "content-encoding: gzip"))) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", max_event_bytes=100_000))
    assert type(result.error).__name__ == "EventTooLargeError"
