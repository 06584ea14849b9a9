"""Counts the instructions of a command with callgrind."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)
# Valgrind runs one thread at a time. On one processor, the order of the threads depends less on other load.
ONE_PROCESSOR = ["taskset", "--cpu-list", str(max(os.sched_getaffinity(0)))]
# Makes the layout of dicts and sets the same in every run, so that start-up costs the same.
ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0"}


def instructions(command: list[str]) -> int:
    """The number of instructions that a command executes in all its threads, without those of the kernel."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
        subprocess.run([*ONE_PROCESSOR, *valgrind, *command], check=True, env=ENVIRONMENT)
        [total] = TOTAL.findall(out.read_text())
    return int(total)


def for_each(command: list[str], few: int, many: int) -> float:
    """The instructions per unit, without start-up (the slope). The command's last argument is the number of units."""
    more = instructions([*command, str(many)]) - instructions([*command, str(few)])
    return more / (many - few)
