"""``headrace serve``: a process that serves until a signal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import httpx
import pytest

from support.harness import PATIENCE, Simulate, wait_until_disconnected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.testing import Simulator

MODULE = """
from headrace import Agent, SequentialWorkflow

poet = Agent(agent_name="poet", model_name="openai/sim", llm_base_url={url!r}, print_on=False)
flow = SequentialWorkflow(agents=[poet], name="flow")
"""
TEXT = ["a ", "b ", "c"]


class Serving:
    """A running ``headrace serve``.

    Attributes:
        process: The process.
        line: The line that it prints when it serves.
        url: Its URL.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.line = self.next_line()
        found = re.search(r"http://\S+/v1", self.line)
        assert found is not None, self.line
        self.url = found[0]

    def next_line(self) -> str:
        """The next line of standard error."""
        lines: IO[str] | None = self.process.stderr
        assert lines is not None
        return lines.readline()


@contextmanager
def serving(simulator: Simulator, folder: Path, *arguments: str) -> Iterator[Serving]:
    """Runs the command in a folder with a module ``app``."""
    (folder / "app.py").write_text(MODULE.format(url=simulator.base_url))
    command = [sys.executable, "-m", "headrace", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.communicate()


def ask(url: str, model: str = "poet") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Go."}]}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=PATIENCE)


def test_agents_and_workflows_of_a_module_are_served(simulate: Simulate, tmp_path: Path) -> None:
    with serving(simulate(turns=[{"text": TEXT}]), tmp_path, "app:poet", "app:flow") as command:
        assert "serves poet, flow at" in command.line
        for name in ("poet", "flow"):
            assert ask(command.url, name).json()["choices"][0]["message"]["content"] == "a b c"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_answers_end(simulate: Simulate, tmp_path: Path, number: int) -> None:
    simulator = simulate(turns=[{"text": TEXT}], pacing={"mode": "steady", "interval_ms": 100})
    body = {"model": "poet", "stream": True, "messages": [{"role": "user", "content": "Go."}]}
    with serving(simulator, tmp_path, "app:poet") as command:
        with httpx.stream("POST", f"{command.url}/chat/completions", json=body, timeout=PATIENCE) as response:
            blocks = response.iter_text()
            got = next(blocks)
            command.process.send_signal(number)
            got += "".join(blocks)
        assert "[DONE]" in got
        assert command.process.wait(PATIENCE) == 0
        assert "waits for running answers" in command.next_line()


def test_a_second_signal_ends_them(simulate: Simulate, tmp_path: Path) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "stall", "after": 1}}])
    body = {"model": "poet", "stream": True, "messages": [{"role": "user", "content": "Go."}]}
    with serving(simulator, tmp_path, "app:poet", "--drain-seconds", "600") as command:
        with httpx.stream("POST", f"{command.url}/chat/completions", json=body, timeout=PATIENCE) as response:
            blocks = response.iter_text()
            next(blocks)
            command.process.send_signal(signal.SIGTERM)
            assert "waits for running answers" in command.next_line()
            command.process.send_signal(signal.SIGTERM)
            assert command.process.wait(PATIENCE) == 0
        wait_until_disconnected(simulator)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["app"], "the agent must be module:name, not 'app'"),
        (["app:nobody"], "the agent 'app:nobody' cannot be imported"),
        (["app:poet", "app:poet"], "two agents are called 'poet'"),
        (["app:poet", "--host", "0.0.0.0"], "give a file of keys"),
        (["elsewhere:poet"], "cannot be imported"),
    ],
)
def test_what_cannot_be_served_is_said(simulate: Simulate, tmp_path: Path, arguments: list[str], error: str) -> None:
    (tmp_path / "app.py").write_text(MODULE.format(url=simulate(turns=[{"text": TEXT}]).base_url))
    command = [sys.executable, "-m", "headrace", "serve", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert error in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_with_keys_says_so_and_asks_for_them(simulate: Simulate, tmp_path: Path) -> None:
    made = run_headrace_here(tmp_path, "keys", "new", "ann", "--requests-per-minute", "5")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    twice = run_headrace_here(tmp_path, "keys", "new", "ann")
    assert (twice.returncode, "already" in twice.stderr) == (1, True)
    with serving(simulate(TEXT), tmp_path, "app:poet", "--keys", "keys.toml", "--host", "0.0.0.0") as server:
        assert "clients need a key" in server.line
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert ask(url).status_code == 401
        body = {"model": "poet", "messages": [{"role": "user", "content": "Go."}]}
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.post(f"{url}/chat/completions", json=body, headers=headers, timeout=PATIENCE)
        assert answer.json()["choices"][0]["message"]["content"] == "".join(TEXT)


def test_several_processes_serve_at_one_port(simulate: Simulate, tmp_path: Path) -> None:
    with serving(simulate(TEXT), tmp_path, "app:poet", "--workers", "2") as server:
        for _ in range(10):
            assert ask(server.url).json()["choices"][0]["message"]["content"] == "".join(TEXT)
        listening = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
        assert len(listening.stdout.split()) == 2
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0


def test_if_one_process_fails_the_command_does(simulate: Simulate, tmp_path: Path) -> None:
    with serving(simulate(TEXT), tmp_path, "app:poet", "--workers", "2") as server:
        children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
        os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
        assert server.process.wait(PATIENCE) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--workers", "2", "--on-disconnect", "continue"), "needs one process"),
        (("--expose", "everything"), "expose must be one of"),
        (("--keys", "missing.toml"), "missing.toml: No such file"),
    ],
)
def test_options_that_cannot_work_are_told(
    simulate: Simulate, tmp_path: Path, arguments: tuple[str, ...], error: str
) -> None:
    (tmp_path / "app.py").write_text(MODULE.format(url=simulate(TEXT).base_url))
    done = run_headrace_here(tmp_path, "serve", "app:poet", "--port", "0", *arguments)
    assert done.returncode == 1
    assert error in done.stderr


def run_headrace_here(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
