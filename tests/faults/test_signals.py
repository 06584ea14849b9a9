"""Ctrl-C interrupts a stream that waits, and a process may exit with open streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from support.harness import PATIENCE, Simulate, run_python, wait_for_outcomes

if TYPE_CHECKING:
    from headrace.testing import Simulator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

PROGRAMS = {
    "run_stream": """
        for token in agent.run_stream("Go."):
            say(token)
    """,
    "next": """
        stream = agent.run_stream("Go.")
        while True:
            say(next(stream))
    """,
    "run": """
        agent.run("Go.", streaming_callback=say)
    """,
    "arun_stream": """
        async def main():
            async for token in agent.arun_stream("Go."):
                say(token)
        asyncio.run(main())
    """,
}

PRELUDE = """
import asyncio, os, signal, sys, threading, headrace
agent = headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False)
say = lambda *what: print(*what, flush=True)
"""

INTERRUPTIBLE = """
try:
{program}
except KeyboardInterrupt:
    say("interrupted")
    sys.exit(7)
"""


@pytest.fixture
def stalled(simulate: Simulate) -> Simulator:
    return simulate(["one", "two"], fault={"kind": "stall", "after": 1})


def start(program: str, simulator: Simulator) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + program, simulator.base_url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interruptible(program: str) -> str:
    return INTERRUPTIBLE.format(program=textwrap.indent(textwrap.dedent(program), "    "))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_ctrl_c_ends_a_stream_that_waits(stalled: Simulator, program: str) -> None:
    with start(interruptible(program), stalled) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("interrupted\n", "", 7)
    wait_for_outcomes(stalled, "disconnected")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_ctrl_c_ends_a_stream_before_its_first_token(simulate: Simulate, program: str) -> None:
    silent = simulate(fault={"kind": "silent"})
    with start(interruptible(program), silent) as process:
        wait_for_outcomes(silent, "running")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("interrupted\n", "", 7)
    wait_for_outcomes(silent, "disconnected")


def test_a_signal_handler_runs_while_a_stream_waits(stalled: Simulator) -> None:
    program = """
stream = agent.run_stream("Go.")
signal.signal(signal.SIGUSR1, lambda *_: stream.close())
try:
    for token in stream:
        say(token)
except headrace.StreamClosedError:
    say(stream.state)
"""
    with start(program, stalled) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("cancelled\n", "", 0)


@pytest.mark.parametrize(("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("os._exit(4)", 4)])
def test_a_process_may_end_with_streams_open(stalled: Simulator, ending: str, code: int) -> None:
    program = f"""
streams = [agent.run_stream("Go.") for _ in range(3)]
say(*[next(stream) for stream in streams])
{ending}
"""
    run = run_python(PRELUDE + program, stalled.base_url)
    assert (run.stdout, run.stderr, run.returncode) == ("one one one\n", "", code)
    wait_for_outcomes(stalled, "disconnected", 3)


def test_a_process_may_end_while_a_thread_reads(stalled: Simulator) -> None:
    program = """
started = threading.Event()
def read():
    for token in agent.run_stream("Go."):
        started.set()
threading.Thread(target=read, daemon=True).start()
started.wait()
say("bye")
"""
    run = run_python(PRELUDE + program, stalled.base_url)
    assert (run.stdout, run.stderr, run.returncode) == ("bye\n", "", 0)
