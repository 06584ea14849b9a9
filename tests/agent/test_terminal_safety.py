"""What a terminal, a file and a pipe get of text with control characters and markup."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.harness import run_python

if TYPE_CHECKING:
    from pathlib import Path

    from support.harness import Simulate

pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")

# Sets the title and the clipboard, clears the screen, rings, returns, goes back; the C1 forms; turns the text around.
NASTY = "a\x1b]0;owned\x07b\x1b]52;c;AAAA\x1b\\c\x1b[2J\x07\rd\x08e\x9b31mf\x9d0;x\x9cg\x7fh\u202ei\u2066j\u2069k\tl\nm"
FORBIDDEN = re.compile("\x1b\\]|\x1b\\[2J|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

AGENT = """
import sys
from headrace import Agent
agent = Agent(agent_name=sys.argv[3], model_name="openai/sim", llm_base_url=sys.argv[1], verbose=True,
    streaming_on=sys.argv[2] == "live", max_loops=2)
print("GOT", ascii(agent.run("Go.")))
"""

# As text: the control characters are gone, what they were to command stays as harmless letters.
HARMLESS = ("]0;owned", "]52;c;AAAA", "[2J", "31mf")


def on_a_terminal(*command: str, encoding: str = "utf-8") -> str:
    """All that a program writes to a terminal, to standard output and error."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "PYTHONIOENCODING": encoding}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        written = b""
        try:
            # Linux says EIO where the other end is closed.
            while block := os.read(ours, 65536):
                written += block
        except OSError:
            pass
        os.close(ours)
    return written.decode()


def assert_harmless(shown: str) -> None:
    assert not FORBIDDEN.search(shown), FORBIDDEN.findall(shown)
    for text in HARMLESS:
        assert text in shown


@pytest.mark.parametrize("mode", ["whole", "live"])
def test_an_answer_has_no_control_characters_on_a_terminal(simulate: Simulate, mode: str) -> None:
    url = simulate([*NASTY]).base_url
    shown = on_a_terminal(sys.executable, "-c", AGENT, url, mode, "Ada")
    assert_harmless(shown)
    assert f"GOT {NASTY!a}" in shown


@pytest.mark.parametrize("mode", ["whole", "live"])
@pytest.mark.parametrize("name", ["a [/b] c", "[bold]x[/bold]", "[link=http://x]y", f"Eve {NASTY}", "\\[/b]"])
def test_no_agents_name_loses_an_answer(simulate: Simulate, mode: str, name: str) -> None:
    shown = on_a_terminal(sys.executable, "-c", AGENT, simulate("Paid for.").base_url, mode, name)
    assert "GOT 'Paid for.'" in shown
    assert "Traceback" not in shown
    assert not FORBIDDEN.search(shown)
    assert name.partition("\x1b")[0] in shown


@pytest.mark.parametrize("mode", ["whole", "live"])
def test_a_terminal_of_another_encoding_loses_no_answer(simulate: Simulate, mode: str) -> None:
    url = simulate(["Rain \U0001f327", " \u00e9."]).base_url
    shown = on_a_terminal(sys.executable, "-c", AGENT, url, mode, "Ada", encoding="ascii")
    assert "Rain ? ?." in shown
    assert "GOT" in shown


@pytest.mark.parametrize("mode", ["whole", "live"])
def test_a_file_gets_the_text_as_it_is(simulate: Simulate, mode: str) -> None:
    text = NASTY.replace("\r", "")  # which Python would read as a newline
    run = run_python(AGENT, simulate([text]).base_url, mode, "Ada")
    assert run.stdout == f"{text}\nGOT {text!a}\n"


def test_a_file_of_another_encoding_loses_no_answer(simulate: Simulate) -> None:
    run = run_python(AGENT, simulate("\U0001f327").base_url, "live", "Ada", environment={"PYTHONIOENCODING": "ascii"})
    assert run.stdout == "?\nGOT '\\U0001f327'\n"


# --- the command ---------------------------------------------------------------------------------------------

CLI = (sys.executable, "-m", "headrace")


def test_the_command_run_shows_no_control_characters(simulate: Simulate, tmp_path: Path) -> None:
    (tmp_path / "nasty.py").write_text(f"def look(at: str) -> str:\n    return {NASTY!r}\n")
    calls = {"text": NASTY, "tool_calls": [{"name": "look", "arguments": {"at": NASTY}}]}
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": NASTY, "finish_reason": "stop"}, calls])
    options = ("Go.", "--model", "openai/sim", "--base-url", simulator.base_url, "--tool", "nasty:look")
    code = f"import os, sys; os.chdir({str(tmp_path)!r}); from headrace._cli.app import main; main(sys.argv[1:])"
    shown = on_a_terminal(sys.executable, "-c", code, "run", *options, "--max-loops", "2")
    assert_harmless(shown)
    assert "[look " in shown


@pytest.mark.parametrize("form", ["--events", "--json"])
def test_json_on_a_terminal_stays_json(simulate: Simulate, form: str) -> None:
    options = ("Go.", "--model", "openai/sim", "--base-url", simulate(NASTY).base_url)
    shown = on_a_terminal(*CLI, "run", *options, form)
    assert not FORBIDDEN.search(shown)
    lines = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert lines[-1]["text"] == NASTY


def test_the_error_of_a_server_has_no_control_characters(simulate: Simulate) -> None:
    body = {"error": {"message": NASTY}}
    simulator = simulate(fault={"kind": "status", "status": 400, "body": body})
    shown = on_a_terminal(*CLI, "run", "Go.", "--model", "openai/sim", "--base-url", simulator.base_url)
    assert not FORBIDDEN.search(shown)
    assert "owned" in shown


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_the_command_decode_shows_no_control_characters(tmp_path: Path, form: tuple[str, ...]) -> None:
    call = {"index": 0, "id": "[/b]", "function": {"name": "look", "arguments": json.dumps({"a": NASTY})}}
    chunk = {"model": NASTY, "choices": [{"index": 0, "delta": {"content": NASTY, "tool_calls": [call]}}]}
    body = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    (tmp_path / "answer").write_text(body)
    shown = on_a_terminal(*CLI, "decode", str(tmp_path / "answer"), *form)
    assert "Traceback" not in shown
    assert "[/b]" in shown
    assert not FORBIDDEN.search(shown)
