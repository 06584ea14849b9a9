"""The server: headrace's simulator, in processes of its own, and what the kernel says that it costs.

What is asked for is chosen by the model's name: ``t1000`` are 1000 tokens at once, ``paced100`` are 100 stamped tokens
20 ms apart, ``idle10`` are 10 stamped tokens a second apart, ``stall`` is one token and then silence.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

LADDER = (1, 10, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
PACED = (50, 100, 250)
IDLE = (5, 10, 20)
INTERVAL_MS = 20

# Tokens as a model says them: some short, some long, some that JSON must escape, some that are not ASCII; no two alike
# next to each other, since litellm gives up on a model that repeats itself.
TOKENS = tuple(
    re.findall(
        r"[^|]+",
        "The| water| of| the| mill|stream| runs| down| a| wooden| channel|,| the| head|race|,| and| falls| on| the"
        "| wheel|.\n\n|It| is| “|mill|work|”| in| its| old|est| sense|:| the| café|’s| '|wheel|\"| turns| while| the"
        "| river| does|,| for| 300| years|.",
    )
)

# Long enough that a chunk has the size of OpenAI's, about 300 bytes, as in the table of the issue. More members would
# cost the peers more than one long string does.
MODEL = (
    "simulated-model-whose-name-is-so-long-that-a-chunk-has-the-size-of-those-of-openai-"
    "which-have-more-members-but-not-more-bytes-than-these"
)


def text(tokens: int) -> dict[str, Any]:
    """The members of a turn that says so many tokens."""
    if tokens < len(TOKENS):
        return {"text": TOKENS[:tokens]}
    assert tokens % len(TOKENS) == 0, (tokens, len(TOKENS))
    return {"text": TOKENS, "repeat": tokens // len(TOKENS)}


def said(tokens: int) -> str:
    """What a turn of so many tokens says."""
    return "".join(TOKENS[index % len(TOKENS)] for index in range(tokens))


def scripts() -> dict[str, dict[str, Any]]:
    """The script of each server."""
    at_once = [{"when": {"model": f"t{count}"}, **text(count)} for count in LADDER]
    steady = {"mode": "steady", "interval_ms": INTERVAL_MS}
    slow = {"mode": "steady", "interval_ms": 1000}
    paced = [{"when": {"model": f"paced{count}"}, **text(count), "pacing": steady} for count in PACED]
    idle = [{"when": {"model": f"idle{count}"}, **text(count), "pacing": slow} for count in IDLE]
    warm = [{"when": {"model": "t1"}, "text": ["0 "]}]
    stall = {"when": {"model": "stall"}, "text": ["a", " b"], "fault": {"kind": "stall", "after": 1}}
    common = {"model": MODEL}
    return {
        "coalesce": {**common, "turns": at_once, "chunking": "coalesce"},
        "frame": {**common, "turns": [stall, *at_once], "chunking": "frame"},
        "stamped": {**common, "turns": [*warm, *paced, *idle], "chunking": "frame", "stamp": True},
    }


class Server:
    """A running simulator."""

    def __init__(self, binary: Path, script: Path) -> None:
        # It stops when its standard input ends, so it never outlives this process.
        self._process = subprocess.Popen(
            [binary, "--script", script, "--keep", "20000", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def cpu(self) -> float:
        """Seconds of processor time of all its threads, to the nanosecond as the scheduler keeps them."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def reset(self) -> None:
        """Forgets what it has seen."""
        reset(self.url)

    def report(self) -> dict[str, Any]:
        """What it has seen since then."""
        return report(self.url)

    def stop(self) -> None:
        """Stops it."""
        self._process.terminate()
        self._process.wait()


def reset(url: str) -> None:
    """Makes the simulator at ``url`` forget what it has seen."""
    with urllib.request.urlopen(urllib.request.Request(f"{root(url)}/_reset", method="POST"), timeout=30):
        pass


def report(url: str) -> dict[str, Any]:
    """What the simulator at ``url`` has seen."""
    with urllib.request.urlopen(f"{root(url)}/_report", timeout=60) as answer:
        return dict(json.load(answer))


def root(url: str) -> str:
    """The simulator's root, where the report is."""
    return url.removesuffix("/v1")


def lateness_ms(report: dict[str, Any], planned_ms: float) -> dict[str, float]:
    """How much later than planned the server ended its complete answers: the slack that is its own fault, or that of a
    reader whose socket was full."""
    complete = [request for request in report["requests"] if request["outcome"] == "complete"]
    late = sorted((request["finished_ns"] - request["received_ns"]) / 1e6 - planned_ms for request in complete)
    return {"p50": late[len(late) // 2], "max": late[-1]} if late else {}
