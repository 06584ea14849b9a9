"""When tokens arrived: the kernel's stamps, also of bytes that were read late."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.harness import Reader, Simulate, agent_at, receive_request, serving
from support.network import TOKEN, answer_of

if TYPE_CHECKING:
    import socket

linux = pytest.mark.skipif(sys.platform != "linux", reason="stamps are Linux's")


@linux
def test_arrivals_are_stamped_by_the_kernel(reader: Reader, simulate: Simulate) -> None:
    agent = agent_at(simulate(text=["a ", "b ", "c"], pacing={"mode": "steady", "interval_ms": 2}))
    reader.read(agent)  # the first read of a thread has no stamp to compare with
    timing = reader.read(agent).stream.timing
    assert timing is not None
    assert timing.stamped_by == "kernel"
    assert timing.read_lag is not None
    assert timing.lag is not None
    assert timing.read_lag.count == timing.chunks == 3
    # What a token waited to be read is part of what it waited for its reader.
    assert timing.read_lag.max <= timing.lag.max
    assert list(timing.arrivals_ns) == sorted(timing.arrivals_ns)
    assert timing.opened_ns <= timing.arrivals_ns[0] <= time.monotonic_ns()


READ = """
import json, sys, headrace
stream = headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False).run_stream("Go.")
print(next(stream), flush=True)
print(json.dumps([list(stream), stream.timing.arrivals_ns[-1], stream.timing.read_lag.max]), flush=True)
"""


@linux
def test_a_stamp_is_of_the_arrival_and_not_of_the_read() -> None:
    """What arrives while the whole reader stands still keeps the time of its arrival."""
    is_stopped = threading.Event()
    written: list[int] = []

    def handle(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        connection.sendall((TOKEN % "first").encode())
        assert is_stopped.wait(timeout=30)
        connection.sendall(answer_of("last"))
        written.append(time.monotonic_ns())

    with serving(handle) as port:
        command = [sys.executable, "-c", READ, f"http://127.0.0.1:{port}/v1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "first\n"
            process.send_signal(signal.SIGSTOP)
            while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                time.sleep(0.001)
            is_stopped.set()
            while not written:
                time.sleep(0.001)
            time.sleep(0.1)  # how late the reader is, at least
            resumed_ns = time.monotonic_ns()
            process.send_signal(signal.SIGCONT)
            tokens, arrived_ns, read_lag = json.loads(process.stdout.readline())
    assert tokens == ["last"]
    assert arrived_ns < resumed_ns
    assert read_lag >= 0.1


def test_what_is_fed_is_stamped_by_headrace() -> None:
    stream = agent_at("http://127.0.0.1:9/v1", llm=lambda _task: "one two").run_stream("Go.")
    assert "".join(stream) == "one two"
    timing = stream.timing
    assert timing is not None
    assert (timing.stamped_by, timing.read_lag) == ("headrace", None)
