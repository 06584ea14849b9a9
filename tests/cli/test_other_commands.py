"""``headrace map`` and ``headrace chat``, and what all commands have in common."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headrace.testing import Simulator
from support.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "headrace"]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Answers each question with itself, in short."""
    turns = [
        {"when": {"role": "tool"}, "text": "It is 42."},
        {"when": {"contains": "add"}, "tool_calls": [{"name": "add", "arguments": {"a": 17, "b": 25}}]},
        {"when": {"contains": "fail"}, "text": "x", "fault": {"kind": "status", "status": 400}},
        {
            "when": {"contains": "busy"},
            "text": "x",
            "fault": {"kind": "status", "status": 429, "headers": {"retry-after": "7"}},
        },
        {"when": {"contains": "second"}, "text": "Two."},
        {"when": {"contains": "typed"}, "text": '{"value": 7}'},
        {"text": "One."},
    ]
    with Simulator(turns=turns) as running:
        yield running


def headrace(simulator: Simulator, *arguments: str, text: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    at = ("--model", "openai/sim", "--base-url", simulator.base_url)
    return subprocess.run(
        [*COMMAND, *arguments, *at],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


def asked(simulator: Simulator) -> list[list[str]]:
    return [[each["content"] for each in request["body"]["messages"]] for request in simulator.report()["requests"]]


def test_a_file_of_tasks_becomes_a_file_of_answers_and_goes_on(simulator: Simulator, tmp_path: Path) -> None:
    tasks, out = tmp_path / "tasks.jsonl", tmp_path / "answers.jsonl"
    tasks.write_text('plain words\n"second"\n\n{"task": "fail"}\n', encoding="utf-8")
    done = headrace(simulator, "map", str(tasks), "--out", str(out))
    assert done.returncode == 1, done.stderr
    assert "task 2 failed" in done.stderr
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {line["index"]: line["output"] for line in lines} == {0: "One.", 1: "Two.", 2: None}
    again = headrace(simulator, "map", str(tasks), "--out", str(out))
    assert again.returncode == 1
    assert asked(simulator)[3:] == [["fail"]]


def test_answers_go_to_standard_output_in_order_with_a_type(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "kinds.py").write_text("from pydantic import BaseModel\nclass Number(BaseModel):\n    value: int\n")
    done = headrace(simulator, "map", "-", "--output-type", "kinds:Number", text="typed 1\ntyped 2\n", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["output"] for line in done.stdout.splitlines()] == [{"value": 7}] * 2


@pytest.mark.parametrize(
    ("text", "says"), [("", "no tasks"), ('{"x": 1}\n', "line 1"), ('"open\n', "line 1 is no JSON")]
)
def test_wrong_tasks_are_one_line(simulator: Simulator, text: str, says: str) -> None:
    done = headrace(simulator, "map", "-", text=text)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_chat_goes_on_and_is_taken_back(simulator: Simulator) -> None:
    done = headrace(simulator, "chat", text="first\nsecond\n/undo\nthird\nfail\nfourth\n/new\nfifth\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["One.", "Two.", "One.", "One.", "One."]
    assert "headrace: " in done.stderr
    assert asked(simulator) == [
        ["first"],
        ["first", "One.", "second"],
        ["first", "One.", "third"],
        ["first", "One.", "third", "One.", "fail"],
        ["first", "One.", "third", "One.", "fourth"],
        ["fifth"],
    ]


def test_a_chat_calls_tools_and_keeps_their_results(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text("def add(a: int, b: int) -> int:\n    '''Adds.'''\n    return a + b\n")
    done = headrace(simulator, "chat", "--tool", "sums:add", text="add them\nand now?\n", cwd=tmp_path)
    assert done.stdout.splitlines() == ["It is 42.", "One."]
    assert "[-> 42]" in done.stderr
    assert len(asked(simulator)[-1]) == 5


def test_a_task_comes_from_standard_input_and_tools_imply_turns(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text("def add(a: int, b: int) -> int:\n    '''Adds.'''\n    return a + b\n")
    done = headrace(simulator, "run", "-", "--tool", "sums:add", text="add them", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "It is 42.\n"), done.stderr


def test_an_error_says_how_long_to_wait(simulator: Simulator) -> None:
    done = headrace(simulator, "run", "busy")
    assert done.returncode == 1
    assert "(the provider asks to wait 7 s)" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_is_full_is_one_line(simulator: Simulator) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        at = ("--model", "openai/sim", "--base-url", simulator.base_url)
        done = subprocess.run(
            [*COMMAND, "run", "first", *at],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="needs pipes")
def test_a_reader_that_leaves_is_no_error(simulator: Simulator) -> None:
    read, write = os.pipe()
    os.close(read)
    at = ("--model", "openai/sim", "--base-url", simulator.base_url)
    done = subprocess.run(
        [*COMMAND, "run", "first", *at], stdout=write, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("arguments", [("-h",), ("run", "-h"), ("bench", "-h"), ("chat", "-h"), ("map", "-h")])
def test_help_is_short_for_everything(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_completion_is_offered() -> None:
    done = subprocess.run([*COMMAND, "-h"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "--install-completion" in done.stdout


def test_a_terminal_of_any_encoding_gets_its_answer() -> None:
    with Simulator(turns=[{"text": "café ✓"}]) as simulator:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = headrace(simulator, "run", "Hi.", env=environment)
    assert (done.returncode, done.stdout) == (0, "caf? ?\n"), done.stderr
