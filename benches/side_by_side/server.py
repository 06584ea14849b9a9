"""The servers, in their own processes, and their processor time: headrace's simulator, and one independent of it.

The model's name selects the answer: ``t1000`` are 1000 tokens at once, ``paced100`` are 100 stamped tokens 20 ms apart,
``tenth50`` are 50 stamped tokens 100 ms apart, ``idle10`` are 10 stamped tokens a second apart, ``stall`` is one token
and then a stall.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LADDER = (1, 10, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
PACED = (50, 100, 250)
TENTH = (20, 50)
IDLE = (5, 10, 20)
INTERVALS_MS = {"paced": 20, "tenth": 100, "idle": 1000}

# Tokens like those of a model: short and long ones, some need escapes in JSON, some are not ASCII. No two equal tokens
# follow each other, because litellm raises an error if a model repeats itself.
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
    """The members of a turn with this number of tokens."""
    if tokens < len(TOKENS):
        return {"text": TOKENS[:tokens]}
    assert tokens % len(TOKENS) == 0, (tokens, len(TOKENS))
    return {"text": TOKENS, "repeat": tokens // len(TOKENS)}


def said(tokens: int) -> str:
    """The text of a turn with this number of tokens."""
    return "".join(TOKENS[index % len(TOKENS)] for index in range(tokens))


def scripts() -> dict[str, dict[str, Any]]:
    """The script of each server."""
    at_once = [{"when": {"model": f"t{count}"}, **text(count)} for count in LADDER]
    paced = [
        {
            "when": {"model": f"{kind}{count}"},
            **text(count),
            "pacing": {"mode": "steady", "interval_ms": INTERVALS_MS[kind]},
        }
        for kind, counts in (("paced", PACED), ("tenth", TENTH), ("idle", IDLE))
        for count in counts
    ]
    warm = [{"when": {"model": "t1"}, "text": ["0 "]}]
    stall = {"when": {"model": "stall"}, "text": ["a", " b"], "fault": {"kind": "stall", "after": 1}}
    common = {"model": MODEL}
    return {
        "coalesce": {**common, "turns": at_once, "chunking": "coalesce"},
        "frame": {**common, "turns": [stall, *at_once], "chunking": "frame"},
        "stamped": {**common, "turns": [*warm, *paced], "chunking": "frame", "stamp": True},
    }


class Server:
    """A running server, which prints its URL first and ends with its standard input."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        # It stops when its standard input ends, so it never outlives this process.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    @classmethod
    def simulator(cls, binary: Path, script: Path) -> Server:
        """Starts headrace's simulator."""
        return cls([binary, "--script", script, "--keep", "20000", "--until-stdin-closes"])

    @classmethod
    def other(cls) -> Server:
        """Starts the independent server."""
        return cls([sys.executable, Path(__file__).parent / "other_server.py"])

    def cpu(self) -> float:
        """Seconds of processor time of all its threads, to the nanosecond as the scheduler keeps them."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def reset(self) -> None:
        """Resets the report."""
        reset(self.url)

    def report(self) -> dict[str, Any]:
        """The report since the last reset."""
        return report(self.url)

    def stop(self) -> None:
        """Stops it."""
        self._process.terminate()
        self._process.wait()


def reset(url: str) -> None:
    """Resets the report of the simulator at ``url``."""
    with urllib.request.urlopen(urllib.request.Request(f"{root(url)}/_reset", method="POST"), timeout=30):
        pass


def report(url: str) -> dict[str, Any]:
    """The report of the simulator at ``url``."""
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
