"""The command ``headrace run``: it prints the text, and nothing else, to standard output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.testing import Simulator
from support.harness import PATIENCE, run_headrace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "headrace", "run"]
TURNS = [
    {"when": {"role": "tool"}, "text": "It is 42."},
    {
        "when": {"contains": "add"},
        "text": "I add. ",
        "tool_calls": [{"name": "add", "arguments": {"a": 17, "b": 25}}],
    },
    {"when": {"contains": "stall"}, "text": "one two three", "fault": {"kind": "stall", "after": 2}},
    {"when": {"contains": "break"}, "text": "one two three", "fault": {"kind": "end", "after": 2}},
    {"text": "Hello, world."},
]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A provider for the command."""
    with Simulator(turns=TURNS) as running:
        yield running


def test_text_goes_to_standard_output_and_nothing_else(simulator: Simulator) -> None:
    done = run_headrace(simulator, "Hi.")
    assert (done.returncode, done.stdout) == (0, "Hello, world.\n")
    assert "TTFT" in done.stderr


def test_a_tool_is_imported_and_called(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text("def add(a: int, b: int) -> int:\n    '''Adds.'''\n    return a + b\n")
    done = run_headrace(simulator, "add them", "--tool", "sums:add", "--max-loops", "3", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "I add. It is 42.\n")
    assert "[add " in done.stderr
    assert "[-> 42]" in done.stderr


def test_events_are_lines_of_json(simulator: Simulator) -> None:
    done = run_headrace(simulator, "Hi.", "--events")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert "".join(event["token"] for event in events if event["type"] == "token") == "Hello, world."


def test_json_is_the_result_in_one_line(simulator: Simulator) -> None:
    done = run_headrace(simulator, "Hi.", "--json")
    result = json.loads(done.stdout)
    assert (result["text"], result["state"]) == ("Hello, world.", "complete")


def test_an_error_comes_after_the_text_as_one_line_and_code_1(simulator: Simulator) -> None:
    done = run_headrace(simulator, "break")
    assert (done.returncode, done.stdout) == (1, "one two\n")
    assert done.stderr.splitlines()[-1].startswith("headrace: the stream from")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--tool", "nowhere"], "module:name"),
        (["--tool", "nowhere:add"], "cannot be imported"),
        (["--max-loops", "many"], "whole number or 'auto'"),
        (["--max-loops", "0"], "max_loops"),
    ],
)
def test_wrong_options_are_explained(simulator: Simulator, arguments: list[str], complaint: str) -> None:
    done = run_headrace(simulator, "Hi.", *arguments)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_cleanly_with_code_130(simulator: Simulator) -> None:
    command = [*COMMAND, "stall", "--model", "openai/sim", "--base-url", simulator.base_url]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(7) == "one two"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert simulator.wait_for(lambda report: report["requests"][-1]["outcome"] == "disconnected", PATIENCE)
