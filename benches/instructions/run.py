"""Counts the instructions of the hot path, and writes ``benches/instructions.md``."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from callgrind import for_each

from headrace.testing import Simulator

BENCHES = Path(__file__).parent.parent
sys.path.append(str(BENCHES / "side_by_side"))
import server  # noqa: E402 — the script is that of the comparison with the peers

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 3
HOT_PATH = BENCHES.parent / "target" / "release" / "hot-path"
CASES = {
    "sse": "SSE decoder, event of 300 bytes",
    "openai-alike": "SSE and OpenAI chat, chunk like the one before it but for its token",
    "openai-padded": "the same, with a padding of another length in each, as OpenAI's own",
    "openai-parsed": "SSE and OpenAI chat, chunk that is parsed in full",
    "channel": "channel, push and take of one item",
}
EVENTS = (8_192, 40_960)
CHUNKING = {"coalesce": "HTTP chunks of 64 KiB", "frame": "one HTTP chunk for each token"}
METHODS = ("run_stream", "arun_stream")
TOKENS = (2_000, 102_000)
HEAD = """\
# Instructions of the hot path

Written by `make bench-instructions`: for one event, item or token, the median of {times} counts, and the least and
the most of them. What is counted, and what is not: [README.md](README.md#instructions).

- {versions}
- {date}

| what | instructions | least–most |
| --- | --- | --- |
"""


def main() -> None:
    """Counts everything, writes the table, and prints it."""
    text = HEAD.format(times=TIMES, versions=versions(), date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    for what, counts in (*crates(), *streams()):
        row = f"| {what} | {median(counts):.1f} | {min(counts):.1f}–{max(counts):.1f} |\n"
        print(row, end="", flush=True)
        text += row
    (BENCHES / "instructions.md").write_text(text)


def crates() -> Iterator[tuple[str, list[float]]]:
    """Each case of ``hot_path.rs``."""
    for case, what in CASES.items():
        yield what, [for_each([str(HOT_PATH), case], *EVENTS) for _ in range(TIMES)]


def streams() -> Iterator[tuple[str, list[float]]]:
    """The whole path from Python. The simulator is in this process, the client in its own."""
    turns = [{"when": {"model": f"t{tokens}"}, **server.text(tokens)} for tokens in TOKENS]
    client = [sys.executable, str(Path(__file__).with_name("client.py"))]
    for chunking, chunks in CHUNKING.items():
        with Simulator(model=server.MODEL, turns=turns, chunking=chunking) as simulator:
            for method in METHODS:
                command = [*client, simulator.base_url, method]
                yield f"`{method}`, {chunks}", [for_each(command, *TOKENS) for _ in range(TIMES)]


def versions() -> str:
    """The versions of everything that the counts depend on, besides headrace."""
    told = [subprocess.check_output([tool, "--version"], text=True).strip() for tool in ("valgrind", "rustc")]
    libc = " ".join(platform.libc_ver())
    return ", ".join([*told, f"Python {platform.python_version()}", libc, platform.machine()])


if __name__ == "__main__":
    main()
