"""What a run prints on a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.harness import Simulate

pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")

PROGRAM = """
import sys
from headrace import Agent
agent = Agent(agent_name="Ada", model_name="openai/sim", llm_base_url=sys.argv[1], streaming_on=sys.argv[2] == "live")
agent.run("Go.")
"""


def on_a_terminal(*arguments: str) -> str:
    """What a program writes to a terminal, without the control sequences."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        try:
            # Linux says EIO where the other end is closed.
            while block := os.read(ours, 65536):
                written += block
        except OSError:
            pass
        os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


@pytest.mark.parametrize("mode", ["whole", "live"])
def test_the_answer_stands_in_a_panel_with_the_agents_name(simulate: Simulate, mode: str) -> None:
    shown = on_a_terminal(simulate("It is [bold]fine[/bold].").base_url, mode)
    last = shown[shown.rindex("╭") :]
    assert last.startswith("╭─ Ada ─")
    assert "│ It is [bold]fine[/bold]." in last
