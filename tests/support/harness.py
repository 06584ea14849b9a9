"""Helpers of all tests: one way to read sync and async streams, and servers that a simulator does not offer."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import pytest
from typing_extensions import Self

from headrace import Agent, AsyncRunStream, RunStream, StreamClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headrace.testing import Simulator

KEY: Final = "sk-test-0123456789abcdef"

PATIENCE: Final = 240.0
"""Seconds: far more than any step takes, even on a busy machine. A limit in a test is only there to end a hang."""

REPOSITORY: Final = Path(__file__).parents[2]

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts with Linux's /proc")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

# The members of a turn in a script.
TURN_MEMBERS: Final = (
    *("fault", "usage", "reasoning", "signature", "encrypted", "refusal"),
    *("tool_calls", "repeat", "finish_reason", "choices"),
)

Stream = TypeVar("Stream", RunStream[str], AsyncRunStream[str])


class Simulate(Protocol):
    """Starts a simulator: with one turn with this text, or with a script.

    Members of the turn, such as ``fault``, are arguments like those of the script, such as ``pacing``.
    """

    def __call__(self, text: Any = ..., **script: Any) -> Simulator: ...


def agent_at(where: Simulator | str, **options: Any) -> Agent:
    """An agent whose model is at a simulator, or at a URL.

    Without the token between turns, which has tests of its own: so the text is that of the script.
    """
    url = where if isinstance(where, str) else where.base_url
    return Agent(
        **{"model_name": "openai/sim", "llm_base_url": url, "print_on": False, "turn_separator": "", **options}
    )


def asking(llm: object, **options: Any) -> Agent:
    """An agent with this ``llm``."""
    return Agent(**{"llm": llm, "print_on": False, "turn_separator": "", **options})


# --- reading ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """The result of reading a stream to its end."""

    tokens: list[str]
    error: Exception | None
    stream: RunStream[str] | AsyncRunStream[str]


class Reading(ABC, Generic[Stream]):
    """A stream that is being read, by code that is not async."""

    def __init__(self, stream: Stream) -> None:
        self.stream: Stream = stream

    def take(self, count: int) -> list[str]:
        """The next tokens."""
        return [self.next() for _ in range(count)]

    def to_end(self) -> Result:
        """The rest of the tokens, read by a loop, and the error that ended it."""
        tokens: list[str] = []
        try:
            self.loop(tokens)
        except Exception as error:  # noqa: BLE001 - the tests look at it
            return Result(tokens, error, self.stream)
        return Result(tokens, None, self.stream)

    def drop(self) -> None:
        """Drops the only reference to the stream, so that it is freed without the garbage collector."""
        del self.stream

    @abstractmethod
    def next(self) -> str: ...

    @abstractmethod
    def loop(self, tokens: list[str]) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *exception: object) -> None: ...


class Reader(ABC):
    """One way of streaming."""

    @abstractmethod
    def start(self, agent: Agent, task: str | None = "Go.", **options: Any) -> Reading[Any]:
        """Starts a run."""

    def read(self, agent: Agent, task: str | None = "Go.", **options: Any) -> Result:
        """Runs to the end."""
        return self.start(agent, task, **options).to_end()

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *exception: object) -> None: ...


class _SyncReading(Reading[RunStream[str]]):
    def next(self) -> str:
        return next(self.stream)

    def loop(self, tokens: list[str]) -> None:
        for token in self.stream:
            tokens.append(token)  # noqa: PERF402 - keeps the tokens before an error

    def close(self) -> None:
        self.stream.close()

    def __enter__(self) -> Self:
        self.stream.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stream.__exit__(None, None, None)


class SyncReader(Reader):
    """``Agent.run_stream``."""

    def start(self, agent: Agent, task: str | None = "Go.", **options: Any) -> Reading[RunStream[str]]:
        return _SyncReading(agent.run_stream(task, **options))

    def __exit__(self, *exception: object) -> None:
        pass


class _AsyncReading(Reading[AsyncRunStream[str]]):
    def __init__(self, stream: AsyncRunStream[str], event_loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(stream)
        self._run = event_loop.run_until_complete

    def next(self) -> str:
        return self._run(anext(self.stream))

    def loop(self, tokens: list[str]) -> None:
        async def loop() -> None:
            async for token in self.stream:
                tokens.append(token)  # noqa: PERF401 - keeps the tokens before an error

        self._run(loop())

    def close(self) -> None:
        self._run(self.stream.aclose())

    def drop(self) -> None:
        super().drop()
        # Python closes a dropped async generator in a task of its event loop.
        self._run(asyncio.sleep(0))
        self._run(asyncio.sleep(0))

    def __enter__(self) -> Self:
        self._run(self.stream.__aenter__())
        return self

    def __exit__(self, *exception: object) -> None:
        self._run(self.stream.__aexit__(None, None, None))


class AsyncReader(Reader):
    """``Agent.arun_stream``, on an event loop of its own."""

    def __init__(self) -> None:
        self._event_loop = asyncio.new_event_loop()

    def start(self, agent: Agent, task: str | None = "Go.", **options: Any) -> Reading[AsyncRunStream[str]]:
        return _AsyncReading(agent.arun_stream(task, **options), self._event_loop)

    def __exit__(self, *exception: object) -> None:
        self._event_loop.run_until_complete(self._event_loop.shutdown_asyncgens())
        self._event_loop.close()


async def collect(stream: AsyncRunStream[str]) -> list[str]:
    """All tokens of an async stream."""
    return [token async for token in stream]


# --- inspecting ------------------------------------------------------------------------------------------------


def read_until_closed(stream: RunStream[str]) -> None:
    """Reads a stream that another thread closes."""
    with suppress(StreamClosedError):
        next(stream, None)


def wait_for_outcomes(simulator: Simulator, outcome: str, count: int = 1) -> None:
    """Waits until this many requests have this outcome."""

    def met(report: dict[str, Any]) -> bool:
        return [request["outcome"] for request in report["requests"]].count(outcome) >= count

    assert simulator.wait_for(met, PATIENCE), f"not {count} x {outcome!r}: {outcomes(simulator)}"


def wait_until_disconnected(simulator: Simulator) -> None:
    """Waits until no connection is open."""
    closed = simulator.wait_for(lambda report: report["connections"]["open"] == 0, PATIENCE)
    assert closed, simulator.report()["connections"]


def outcomes(simulator: Simulator) -> list[str]:
    """The outcomes of all requests. Waits for them, because a client may be done before the server has recorded it."""

    def all_ended(report: dict[str, Any]) -> bool:
        return all(request["outcome"] != "running" for request in report["requests"])

    simulator.wait_for(all_ended, PATIENCE)
    return [request["outcome"] for request in simulator.report()["requests"]]


def the_request(simulator: Simulator) -> dict[str, Any]:
    """The only request that was made."""
    [request] = simulator.report()["requests"]
    assert isinstance(request, dict)
    return request


def bytes_written(simulator: Simulator) -> int:
    return int(simulator.report()["requests"][0]["bytes_written"])


def wait_until_it_blocks(simulator: Simulator) -> int:
    """Waits until the simulator does not write any more, and returns how many bytes it has written."""
    deadline = time.monotonic() + PATIENCE
    before, written = -1, bytes_written(simulator)
    while before != written:
        assert time.monotonic() < deadline, f"still writing after {written} bytes that nobody reads"
        simulator.wait_for(lambda _: False, timeout=0.1)
        before, written = written, bytes_written(simulator)
    return written


def assert_no_key_in(error: Exception, key: str = KEY) -> None:
    shown = [str(error), repr(error), repr(vars(error)), pickle.dumps(error).decode("latin1")]
    shown += traceback.format_exception(type(error), error, error.__traceback__)
    for text in shown:
        # Not even half of the key may appear.
        assert key[:12] not in text, text


def count_descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1


def connections_to(port: int) -> int:
    """How many TCP connections to this port on this machine this process has."""
    inodes = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # It may have been closed meanwhile.
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    sockets = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[2] == f"0100007F:{port:04X}" and fields[9] in inodes for fields in sockets)


def count_threads() -> int:
    """How many threads this process has, including those that Python does not know."""
    return len(list(Path("/proc/self/task").iterdir()))


# --- other processes and servers -------------------------------------------------------------------------------


def run_python(
    code: str, *arguments: str, timeout: float = PATIENCE, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    env = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=env)


def run_headrace(simulator: Simulator, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command ``headrace run`` to its end."""
    command = [
        sys.executable,
        "-m",
        "headrace",
        "run",
        *arguments,
        "--model",
        "openai/sim",
        "--base-url",
        simulator.base_url,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=cwd)


_of_thread = threading.local()


def shut_down_later(connection: socket.socket) -> None:
    """Shuts a connection down together with the server whose handler this is called in."""
    _of_thread.connections.append(connection)


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that handles each connection in a thread of its own. Yields its port."""
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def run(connection: socket.socket) -> None:
        _of_thread.connections = connections
        # A client that disconnects ends only its connection.
        with connection, suppress(OSError):
            handle(connection)

    def accept() -> None:
        # Shutting the listener down ends this loop.
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections.append(connection)
                threads.append(threading.Thread(target=run, args=(connection,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def answer_on_demand(tokens: Sequence[str], wanted: threading.Semaphore) -> Callable[[socket.socket], None]:
    """For :func:`serving`: streams these tokens and the end marker, one for each release of the semaphore."""

    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        chunks = [json.dumps({"choices": [{"index": 0, "delta": {"content": token}}]}) for token in tokens]
        for data in [*chunks, "[DONE]"]:
            if not wanted.acquire(timeout=PATIENCE):
                return
            connection.sendall(f"data: {data}\n\n".encode())

    return answer


def receive_request(connection: socket.socket) -> bytes:
    """Reads one HTTP request to its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0]):
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionAbortedError("the client disconnected in the middle of its request")
    return received
