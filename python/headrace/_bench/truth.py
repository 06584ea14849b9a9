"""What a truth server wrote, and how far the report of a tool is from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

from .foreign import read_figures
from .metrics import Percentiles, of_requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

__all__ = ["Check", "check_report", "stamps_in"]

_FIGURES: Final = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class Check:
    """How far a tool's report is from what the server wrote.

    Attributes:
        tool: The tool.
        truth: Percentiles of what the server did, in seconds: ``ttft`` from having read the request to writing the
            first token, ``itl`` between two writes, ``tpot`` of each answer.
        reported: What the tool says, by metric and percentile.
        answers: How many answers the server wrote to their end.
        complete: How many requests the tool counts as complete.
        failed: How many the tool counts as failed.
        concurrency: How many answers were open on average.
    """

    tool: str
    truth: Mapping[str, Percentiles]
    reported: Mapping[tuple[str, str], float]
    answers: int
    complete: int
    failed: int
    concurrency: float

    def errors(self) -> dict[str, float]:
        """By how many seconds each figure of the tool is larger than the truth."""
        return {
            f"{metric}_{figure}": self.reported[metric, figure] - getattr(self.truth[_TRUE[metric]], figure)
            for metric in _TRUE
            for figure in _FIGURES
            if (metric, figure) in self.reported and _TRUE[metric] in self.truth
        }

    def to_dict(self) -> dict[str, Any]:
        """The check as a dict of plain values, in seconds."""
        return {
            "tool": self.tool,
            "truth": {name: {each: getattr(values, each) for each in _FIGURES} for name, values in self.truth.items()},
            "errors": self.errors(),
            "answers": self.answers,
            "complete": self.complete,
            "failed": self.failed,
            "concurrency": self.concurrency,
        }

    def to_text(self) -> str:
        """The check as a table, in milliseconds."""
        served = f"the server answered {self.answers}, {self.concurrency:.1f} at a time"
        lines = [f"{self.tool} counts {self.complete} complete and {self.failed} failed requests; {served}."]
        lines += ["", f"{'ms':<16}{'true':>11}{'reported':>11}{'error':>11}"]
        for name, error in self.errors().items():
            metric, figure = name.rsplit("_", 1)
            true = getattr(self.truth[_TRUE[metric]], figure)
            lines.append(f"{name:<16}{true * 1e3:>11.3f}{(true + error) * 1e3:>11.3f}{error * 1e3:>+11.3f}")
        return "\n".join(lines)


_TRUE: Final = {"ttft": "ttft", "itl": "itl", "itl_token": "itl", "tpot": "tpot"}
"""What is true of a metric of a tool. The truth server sends a token in each chunk, so all ITLs are one."""


def stamps_in(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a truth server did, a dict for each answer that it wrote to its end.

    Args:
        report: That of the simulator.
    """
    for request in report["requests"]:
        if request["stamps_ns"] and request["outcome"] == "complete":
            yield {name: request[name] for name in ("sequence", "received_ns", "finished_ns", "stamps_ns")}


def check_report(stamps: str | PathLike[str], report: str | PathLike[str]) -> Check:
    """Holds the report of a tool against what the truth server wrote.

    Args:
        stamps: The file of ``headrace truth --stamps``. It has every request to the server, those of a warm-up too,
            unless the tool's own report of headrace tells how many these were.
        report: The tool's report.

    Returns:
        The check.

    Raises:
        ConfigurationError: A file cannot be read, or has no stamps.
    """
    figures = read_figures(Path(report))
    answers = _read(Path(stamps))[-figures.complete or None :]
    gaps = [after - before for each in answers for before, after in pairwise(each["stamps_ns"])]
    spans = [
        (each["stamps_ns"][-1] - each["stamps_ns"][0]) / (len(each["stamps_ns"]) - 1)
        for each in answers
        if len(each["stamps_ns"]) > 1
    ]
    known = {
        "ttft": of_requests(each["stamps_ns"][0] - each["received_ns"] for each in answers),
        "itl": of_requests(gaps),
        "tpot": of_requests(spans),
    }
    truth = {name: value for name, value in known.items() if value is not None}
    return Check(
        figures.tool, truth, figures.seconds, len(answers), figures.complete, figures.failed, _concurrency(answers)
    )


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        answers = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        answers.sort(key=lambda answer: answer["received_ns"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"the stamps in {path} cannot be read: {error}") from None
    if not answers:
        raise ConfigurationError(f"there are no stamps in {path}")
    return answers


def _concurrency(answers: Sequence[Mapping[str, Any]]) -> float:
    """How many answers were open on average, until the last request came."""
    began, until = answers[0]["received_ns"], answers[-1]["received_ns"]
    if until == began:
        return float(len(answers))
    spans = (min(each["finished_ns"], until) - each["received_ns"] for each in answers)
    return float(sum(span for span in spans if span > 0) / (until - began))
