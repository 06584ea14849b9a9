"""Connections that are used again, and the limits of how many there are."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    ConfigurationError,
    Connection,
    ConnectionFailedError,
    PoolTimeoutError,
    Timeouts,
    TotalTimeoutError,
    configure,
)
from support.harness import Reader, Simulate, agent_at, read_until_closed, receive_request, serving
from support.network import TOKEN, answer_of, response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = response(answer_of("fine"))


class Server:
    """Answers, and decides for each connection what happens after its first answer.

    Attributes:
        requests: For each connection, in order, how many requests came.
    """

    def __init__(self, after: Callable[[socket.socket], None], *headers: str) -> None:
        self.requests: list[int] = []
        self._after = after
        self._answer = response(answer_of("fine"), *headers)

    def handle(self, connection: socket.socket) -> None:
        """Serves a connection."""
        number = len(self.requests)
        self.requests.append(0)
        while True:
            receive_request(connection)
            self.requests[number] += 1
            connection.sendall(self._answer)
            self._after(connection)


def close(connection: socket.socket) -> None:
    """Closes a connection at once."""
    connection.shutdown(socket.SHUT_RDWR)
    raise OSError


def on_the_next_request(how: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """The keep-alive race: the server closes while the next request is on its way."""

    def after(connection: socket.socket) -> None:
        connection.recv(1)
        how(connection)

    return after


def reset(connection: socket.socket) -> None:
    """Closes a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    raise OSError


def nothing(_connection: socket.socket) -> None:
    """Keeps the connection."""


def read_times(reader: Reader, port: int, times: int, **options: object) -> list[list[str] | type]:
    """The tokens of so many runs, or the classes of their errors."""
    agent = agent_at(f"http://127.0.0.1:{port}/v1", **options)
    results = [reader.read(agent) for _ in range(times)]
    return [type(result.error) if result.error else result.tokens for result in results]


def test_connections_are_used_again(reader: Reader) -> None:
    server = Server(nothing)
    with serving(server.handle) as port:
        assert read_times(reader, port, 5) == [["fine"]] * 5
    assert server.requests == [5]


@pytest.mark.parametrize("how", [close, reset])
def test_a_server_that_closes_late_fails_no_request(reader: Reader, how: Callable[[socket.socket], None]) -> None:
    server = Server(on_the_next_request(how))
    with serving(server.handle) as port:
        assert read_times(reader, port, 10) == [["fine"]] * 10


def test_a_server_that_closes_early_fails_no_request(reader: Reader) -> None:
    server = Server(close)
    with serving(server.handle) as port:
        assert read_times(reader, port, 10) == [["fine"]] * 10


def test_a_request_is_not_sent_twice_if_that_is_not_wanted(reader: Reader) -> None:
    server = Server(on_the_next_request(close))
    with serving(server.handle) as port:
        read = read_times(reader, port, 4, connection=Connection(resend_on_stale=False))
    assert read == [["fine"], ConnectionFailedError, ["fine"], ConnectionFailedError]


def test_a_new_connection_that_closes_without_an_answer_is_an_error(reader: Reader) -> None:
    def handle(connection: socket.socket) -> None:
        requests.append(receive_request(connection))

    requests: list[bytes] = []
    with serving(handle) as port:
        assert read_times(reader, port, 1) == [ConnectionFailedError]
    assert len(requests) == 1


@pytest.mark.parametrize(
    "begun",
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"\r\n"],
    ids=["part of a head", "an informational response", "not HTTP", "an empty line"],
)
def test_a_response_that_has_begun_is_not_asked_for_again(reader: Reader, begun: bytes) -> None:
    requests: list[bytes] = []

    def after(connection: socket.socket) -> None:
        requests.append(receive_request(connection))
        connection.sendall(begun)
        close(connection)

    server = Server(after)
    with serving(server.handle) as port:
        assert read_times(reader, port, 2) == [["fine"], ConnectionFailedError]
    assert (server.requests, len(requests)) == ([1], 1)


@pytest.mark.parametrize(
    "headers", [["keep-alive: timeout=1"], ["connection: close"], ['Keep-Alive: max=5, timeout="1"']]
)
def test_what_the_server_says_of_the_connection_is_kept(reader: Reader, headers: list[str]) -> None:
    server = Server(nothing, *headers)
    with serving(server.handle) as port:
        assert read_times(reader, port, 3) == [["fine"]] * 3
    assert server.requests == [1, 1, 1]


def test_a_server_that_says_what_nobody_asked_for_is_not_asked_again(reader: Reader) -> None:
    said = threading.Semaphore(0)

    def after(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        said.release()

    server = Server(after)
    with serving(server.handle) as port:
        for _ in range(3):
            assert read_times(reader, port, 1) == [["fine"]]
            assert said.acquire(timeout=30)
    assert server.requests == [1, 1, 1]


def test_idle_connections_are_kept_as_long_as_is_said(reader: Reader) -> None:
    closed = threading.Event()

    def after(connection: socket.socket) -> None:
        if connection.recv(1) == b"":
            closed.set()

    server = Server(after)
    with serving(server.handle) as port:
        assert read_times(reader, port, 1, connection=Connection(idle=0.05)) == [["fine"]]
        assert closed.wait(timeout=30)


def test_no_connections_are_kept_if_so_is_said(reader: Reader) -> None:
    server = Server(nothing)
    with serving(server.handle) as port:
        assert read_times(reader, port, 3, connection=Connection(idle=0)) == [["fine"]] * 3
    assert server.requests == [1, 1, 1]


def test_agents_with_other_options_have_other_connections(reader: Reader) -> None:
    server = Server(nothing)
    with serving(server.handle) as port:
        for connection in (Connection(ping=1.0), Connection(ping=2.0), Connection(ping=1.0)):
            assert read_times(reader, port, 1, connection=connection) == [["fine"]]
    assert server.requests == [2, 1]


class Holding:
    """Answers only when it is told to, and counts the connections that are open at the same time."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.told = threading.Semaphore(0)
        self.most = 0
        self._open = 0
        self._lock = threading.Lock()

    def handle(self, connection: socket.socket) -> None:
        """Serves a connection."""
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
        try:
            while True:
                receive_request(connection)
                self.asked.release()
                self.told.acquire()
                connection.sendall(ANSWER)
        finally:
            with self._lock:
                self._open -= 1


def test_no_more_connections_than_asked_for() -> None:
    server = Holding()
    results: list[list[str]] = []
    with serving(server.handle) as port:
        agent = agent_at(f"http://127.0.0.1:{port}/v1", connection=Connection(max_connections=2))
        threads = [threading.Thread(target=lambda: results.append(list(agent.run_stream("Go.")))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert server.asked.acquire(timeout=30)
            server.told.release()
        for thread in threads:
            thread.join()
    assert results == [["fine"]] * 8
    assert server.most == 2


def test_waiting_for_a_connection_has_a_limit_and_words_of_its_own(reader: Reader) -> None:
    server = Holding()
    with serving(server.handle) as port:
        connection = Connection(max_connections=1)
        agent = agent_at(f"http://127.0.0.1:{port}/v1", connection=connection, timeouts=Timeouts(pool=0.2))
        with agent.run_stream("Go.") as first:
            reading = threading.Thread(target=read_until_closed, args=(first,))
            reading.start()
            assert server.asked.acquire(timeout=30)
            result = reader.read(agent)
        server.told.release()
        reading.join()
    assert type(result.error) is PoolTimeoutError
    assert result.stream.state == "timeout"
    assert "waited 0.2 s (pool timeout); all 1 connections are in use (max_connections)" in str(result.error)


def test_the_time_for_the_first_token_does_not_run_before_the_request_is_sent(reader: Reader) -> None:
    server = Holding()
    with serving(server.handle) as port:
        url = f"http://127.0.0.1:{port}/v1"
        connection = Connection(max_connections=1)
        with agent_at(url, connection=connection).run_stream("Go.") as first:
            reading = threading.Thread(target=read_until_closed, args=(first,))
            reading.start()
            assert server.asked.acquire(timeout=30)
            limits = Timeouts(first_token=0.1, pool=0.3)
            result = reader.read(agent_at(url, connection=connection, timeouts=limits))
        server.told.release()
        reading.join()
    assert type(result.error) is PoolTimeoutError


# --- the whole answer ------------------------------------------------------------------------------------------


def drip(connection: socket.socket) -> None:
    """A token every 50 ms, without an end."""
    receive_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    while True:
        connection.sendall((TOKEN % "drip ").encode())
        time.sleep(0.05)


def test_an_answer_has_a_total_limit_however_steadily_it_comes(reader: Reader) -> None:
    with serving(drip) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(total=0.5)))
    assert type(result.error) is TotalTimeoutError
    assert set(result.tokens) <= {"drip "}
    assert "was not whole within 0.5 s of the request (total timeout)" in str(result.error)


def test_the_total_limit_holds_before_the_first_token_too(reader: Reader) -> None:
    server = Holding()
    with serving(server.handle) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(total=0.2)))
        server.told.release()
    assert type(result.error) is TotalTimeoutError


# --- the defaults of the process -------------------------------------------------------------------------------


@pytest.fixture
def restored() -> Iterator[None]:
    """The defaults as they were, afterwards."""
    yield
    configure(connection=Connection(), timeouts=Timeouts(), headers={})


@pytest.mark.usefixtures("restored")
def test_a_process_has_defaults(reader: Reader, simulate: Simulate) -> None:
    simulator = simulate()
    configure(headers={"x-team": "mill"}, timeouts=Timeouts(idle=7.0), connection=Connection(max_connections=3))
    agent = agent_at(simulator, headers={"x-job": "grind"})
    assert (agent.timeouts.idle, agent.connection.max_connections) == (7.0, 3)
    assert reader.read(agent).tokens
    headers = dict(simulator.report()["requests"][0]["headers"])
    assert (headers["x-team"], headers["x-job"]) == ("mill", "grind")
    own = agent_at(simulator, headers={"x-team": "other"}, timeouts=Timeouts(), connection=Connection())
    assert (own.headers, own.timeouts, own.connection) == ({"x-team": "other"}, Timeouts(), Connection())


@pytest.mark.parametrize("wrong", [{"connection": "proxy"}, {"timeouts": 5}, {"headers": ["a"]}])
def test_wrong_defaults_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"configure: {next(iter(wrong))} must be"):
        configure(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"connection": {"proxy": "x"}}, "connection must be a headrace.Connection, not dict"),
        ({"timeouts": {"idle": 1}}, "timeouts must be a headrace.Timeouts, not dict"),
        ({"headers": "a: b"}, "headers must be a dict"),
        ({"headers": {"a": 1}}, "headers: the header 'a' must be a string"),
        ({"headers": {"Content-Length": "5"}}, "headers: 'Content-Length' is written by headrace"),
        ({"max_event_bytes": 0}, "max_event_bytes must be a number above 0"),
    ],
)
def test_wrong_options_of_an_agent_are_errors(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        agent_at("http://127.0.0.1:9/v1", **wrong).run("Go.")


@pytest.mark.parametrize("wrong", [{"max_connections": 0}, {"max_connections": True}, {"idle": "x"}, {"ping": -1}])
def test_wrong_limits_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Connection(**wrong)
