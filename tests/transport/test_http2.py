"""HTTP/2: many streams over one connection, and all that a server may do to them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import trustme
from h2.errors import ErrorCodes

from headrace import (
    Connection,
    ConnectionFailedError,
    PoolTimeoutError,
    ServerError,
    Timeouts,
)
from support.harness import Reader, agent_at, collect, read_until_closed
from support.http2 import Http2Server, Peer, serving_http2
from support.network import TOKEN, answer_of, tls_context

if TYPE_CHECKING:
    from headrace import Agent

ALWAYS = Connection(http2="always")
WHOLE = answer_of("by ", "two")


def agent_of(server: Http2Server, **options: object) -> Agent:
    """An agent whose requests all go over HTTP/2."""
    return agent_at(server.url, **{"connection": ALWAYS, **options})


def whole(peer: Peer, stream: int) -> None:
    """Answers at once."""
    peer.answer(stream, WHOLE)


def test_requests_share_a_connection(reader: Reader) -> None:
    with serving_http2(whole) as server:
        for _ in range(3):
            assert reader.read(agent_of(server)).tokens == ["by ", "two"]
        assert [len(peer.streams) for peer in server.peers] == [3]


@pytest.mark.parametrize("http2", [True, False])
def test_the_version_is_negotiated_with_tls(reader: Reader, http2: bool) -> None:
    authority = trustme.CA()
    context = tls_context(authority.issue_cert("localhost"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    chosen: list[str | None] = []
    with serving_http2(whole, context=context) as server:
        context.sni_callback = lambda tls, *_: chosen.append(tls.selected_alpn_protocol())
        connection = Connection(ca=authority.cert_pem.bytes(), http2=http2)
        agent = agent_at(f"https://localhost:{server.port}/v1", connection=connection, timeouts=Timeouts(first_token=5))
        result = reader.read(agent)
        if http2:
            assert result.tokens == ["by ", "two"]
        else:
            # This server speaks nothing else.
            assert isinstance(result.error, ConnectionFailedError)


def test_a_request_larger_than_the_window_is_sent(reader: Reader) -> None:
    with serving_http2(whole) as server:
        assert reader.read(agent_of(server), task="x" * 1_000_000).tokens == ["by ", "two"]


def test_an_error_status_is_read(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream, 500)
        peer.data(stream, b'{"error":{"message":"oh dear"}}', end=True)

    with serving_http2(asked) as server:
        result = reader.read(agent_of(server))
    assert type(result.error) is ServerError
    assert "oh dear" in str(result.error)


def test_a_stream_that_is_closed_leaves_the_others_alone() -> None:
    opened = threading.Semaphore(0)

    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream)
        peer.data(stream, (TOKEN % "one").encode())
        opened.release()

    with serving_http2(asked) as server:
        agent = agent_of(server)
        first, second = agent.run_stream("Go."), agent.run_stream("Go.")
        assert (next(first), next(second)) == ("one", "one")
        first.close()
        (peer,) = server.peers
        assert peer.saw_reset.wait(timeout=30)
        peer.data(peer.streams[1], answer_of("more"), end=True)
        assert list(second) == ["more"]
        assert peer.closed == [peer.streams[0]]


def test_readers_that_are_behind_do_not_starve_the_others() -> None:
    """Slow readers fill their own window, which is not that of the others."""
    filled = threading.Semaphore(0)

    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream)
        if len(peer.streams) <= 8:
            body = (TOKEN % ("x" * 1000)).encode()
            while peer.room(stream) >= len(body):
                peer.data(stream, body)
            filled.release()
        else:
            peer.data(stream, WHOLE, end=True)

    with serving_http2(asked) as server, ExitStack() as stack:
        agent = agent_of(server)
        slow = [stack.enter_context(agent.run_stream("Go.")) for _ in range(8)]
        assert [next(stream) for stream in slow] == ["x" * 1000] * 8
        for _ in slow:
            assert filled.acquire(timeout=30)
        for _ in range(3):
            assert list(agent.run_stream("Go.")) == ["by ", "two"]
        assert len(server.peers) == 1


def test_over_the_servers_limit_another_connection_is_made() -> None:
    async def main(server: Http2Server) -> list[list[str]]:
        agent = agent_of(server)
        return await asyncio.gather(*(collect(agent.arun_stream("Go.")) for _ in range(10)))

    waiting: list[tuple[Peer, int]] = []
    lock = threading.Lock()

    def asked(peer: Peer, stream: int) -> None:
        # Nobody is answered until all have asked.
        with lock:
            waiting.append((peer, stream))
            if len(waiting) < 10:
                return
        for other, asked_stream in waiting:
            other.answer(asked_stream, WHOLE)

    with serving_http2(asked, most_streams=3) as server:
        assert asyncio.run(main(server)) == [["by ", "two"]] * 10
        assert all(len(peer.streams) <= 3 for peer in server.peers)
        assert len(server.peers) >= 4


@pytest.mark.parametrize("negotiated", [True, False])
def test_a_first_burst_shares_connections(negotiated: bool) -> None:
    authority = trustme.CA()
    context = tls_context(authority.issue_cert("localhost"))
    context.set_alpn_protocols(["h2"])

    async def main(server: Http2Server) -> list[list[str]]:
        url = f"https://localhost:{server.port}/v1" if negotiated else server.url
        connection = Connection(ca=authority.cert_pem.bytes(), http2=True if negotiated else "always")
        agent = agent_at(url, connection=connection)
        return await asyncio.gather(*(collect(agent.arun_stream("Go.")) for _ in range(30)))

    with serving_http2(whole, context=context if negotiated else None) as server:
        assert asyncio.run(main(server)) == [["by ", "two"]] * 30
        # Connections that were made before it was known that they are not needed carry nothing.
        assert sum(1 for peer in server.peers if peer.streams) == 1


def test_waiting_for_a_stream_has_a_limit_and_words_of_its_own(reader: Reader) -> None:
    held = threading.Semaphore(0)
    connection = Connection(http2="always", max_connections=1)
    with serving_http2(lambda *_: held.release(), most_streams=1) as server:
        agent = agent_of(server, connection=connection, timeouts=Timeouts(pool=0.2))
        with agent.run_stream("Go.") as first:
            threading.Thread(target=read_until_closed, args=(first,)).start()
            assert held.acquire(timeout=30)
            result = reader.read(agent)
    assert type(result.error) is PoolTimeoutError
    assert "waited 0.2 s (pool timeout)" in str(result.error)
    assert "as many streams as the server allows" in str(result.error)


def test_a_request_that_waited_is_sent_when_there_is_room() -> None:
    waiting: list[tuple[Peer, int]] = []
    asked = threading.Semaphore(0)

    def hold(peer: Peer, stream: int) -> None:
        waiting.append((peer, stream))
        asked.release()

    with serving_http2(hold, most_streams=1) as server:
        agent = agent_of(server, connection=Connection(http2="always", max_connections=1))
        results: list[list[str]] = []
        threads = [threading.Thread(target=lambda: results.append(list(agent.run_stream("Go.")))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert asked.acquire(timeout=30)
            peer, stream = waiting.pop()
            peer.answer(stream, WHOLE)
        for thread in threads:
            thread.join()
        assert results == [["by ", "two"]] * 3
        assert len(server.peers) == 1


def test_a_refused_stream_is_sent_again(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        if len(peer.streams) == 1:
            peer.reset(stream, ErrorCodes.REFUSED_STREAM)
        else:
            peer.answer(stream, WHOLE)

    with serving_http2(asked) as server:
        assert reader.read(agent_of(server)).tokens == ["by ", "two"]


def test_a_server_that_always_refuses_is_an_error(reader: Reader) -> None:
    with serving_http2(lambda peer, stream: peer.reset(stream, ErrorCodes.REFUSED_STREAM)) as server:
        result = reader.read(agent_of(server))
        assert sum(len(peer.streams) for peer in server.peers) == 4
    assert type(result.error) is ConnectionFailedError
    assert "refused" in str(result.error)


def test_a_request_that_a_leaving_server_did_not_look_at_is_sent_again(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        if peer.number == 0:
            peer.go_away(ErrorCodes.NO_ERROR, last=0)
        else:
            peer.answer(stream, WHOLE)

    with serving_http2(asked) as server:
        assert reader.read(agent_of(server)).tokens == ["by ", "two"]
        assert len(server.peers) == 2


def test_a_leaving_server_finishes_its_streams_and_gets_no_more(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream)
        peer.data(stream, (TOKEN % "by ").encode())
        if peer.number == 0:
            peer.go_away(ErrorCodes.NO_ERROR, last=stream)
        peer.data(stream, answer_of("two"), end=True)

    with serving_http2(asked) as server:
        for _ in range(2):
            assert reader.read(agent_of(server)).tokens == ["by ", "two"]
        assert [len(peer.streams) for peer in server.peers] == [1, 1]


def test_a_server_that_leaves_angrily_is_an_error_for_what_it_had_begun(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream)
        peer.data(stream, (TOKEN % "by ").encode())
        peer.go_away(ErrorCodes.ENHANCE_YOUR_CALM, last=stream)
        peer.hang_up()

    with serving_http2(asked) as server:
        result = reader.read(agent_of(server))
    assert result.tokens == ["by "]
    assert isinstance(result.error, ConnectionFailedError)
    assert result.error.delivered


@pytest.mark.parametrize("code", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.CANCEL, ErrorCodes.ENHANCE_YOUR_CALM])
def test_a_stream_that_is_reset_in_its_middle(reader: Reader, code: ErrorCodes) -> None:
    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream)
        peer.data(stream, (TOKEN % "by ").encode())
        peer.reset(stream, code)

    with serving_http2(asked) as server:
        result = reader.read(agent_of(server))
    assert result.tokens == ["by "]
    assert type(result.error) is ConnectionFailedError
    assert "the server reset the HTTP/2 stream" in str(result.error)


@pytest.mark.parametrize("code", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.CANCEL, ErrorCodes.NO_ERROR])
def test_a_request_that_the_server_resets_is_not_sent_again(reader: Reader, code: ErrorCodes) -> None:
    def asked(peer: Peer, stream: int) -> None:
        if len(peer.streams) == 1:
            peer.answer(stream, WHOLE)
        else:
            peer.reset(stream, code)

    with serving_http2(asked) as server:
        agent = agent_of(server)
        assert reader.read(agent).tokens == ["by ", "two"]
        assert type(reader.read(agent).error) is ConnectionFailedError
        assert [len(peer.streams) for peer in server.peers] == [2]


def test_a_request_whose_connection_ends_without_an_answer_is_sent_once_more(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        if peer.number == 0 and len(peer.streams) == 2:
            peer.hang_up()
        else:
            peer.answer(stream, WHOLE)

    with serving_http2(asked) as server:
        agent = agent_of(server)
        assert [reader.read(agent).tokens for _ in range(2)] == [["by ", "two"]] * 2
        assert [len(peer.streams) for peer in server.peers] == [2, 1]


def test_a_stream_that_is_reset_after_its_answer_is_whole(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream)
        peer.data(stream, WHOLE)
        peer.reset(stream, ErrorCodes.NO_ERROR)

    with serving_http2(asked) as server:
        assert reader.read(agent_of(server)).tokens == ["by ", "two"]


def test_a_server_that_is_gone_is_found_out(reader: Reader) -> None:
    def asked(peer: Peer, stream: int) -> None:
        peer.head(stream)
        peer.data(stream, (TOKEN % "by ").encode())
        peer.answers_pings = False

    with serving_http2(asked) as server:
        result = reader.read(agent_of(server, connection=Connection(http2="always", ping=0.3)))
    assert result.tokens == ["by "]
    assert type(result.error) is ConnectionFailedError
    assert "did not answer an HTTP/2 ping within 0.3 s" in str(result.error)


def test_a_server_that_answers_pings_may_think_for_long(reader: Reader) -> None:
    timers: list[threading.Timer] = []

    def asked(peer: Peer, stream: int) -> None:
        timers.append(threading.Timer(1.0, peer.answer, (stream, WHOLE)))
        timers[-1].start()

    with serving_http2(asked) as server:
        agent = agent_of(server, connection=Connection(http2="always", ping=0.1))
        assert reader.read(agent).tokens == ["by ", "two"]


def test_a_connection_that_ended_is_replaced(reader: Reader) -> None:
    with serving_http2(whole) as server:
        assert reader.read(agent_of(server)).tokens == ["by ", "two"]
        server.peers[0].hang_up()
        assert reader.read(agent_of(server)).tokens == ["by ", "two"]
        assert len(server.peers) == 2
