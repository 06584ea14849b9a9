"""The error of the client itself: the same load, against a server whose times are known."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import HeadraceError

from .loads import Load
from .metrics import Percentiles, of_durations, of_requests

if TYPE_CHECKING:
    from collections.abc import Generator

    from .loads import Measured
    from .senders import Sender

__all__ = ["SelfError", "Shape", "self_error", "shape_of"]

_SECONDS: Final = 5.0
"""How long the truth server is asked."""

_OF_AN_ANSWER: Final = 3.0
"""How long one of its answers may be, in seconds."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The times of an answer.

    Attributes:
        first_ms: From the request to the first token.
        interval_ms: From one token to the next.
        tokens: How many tokens.
    """

    first_ms: float = 50.0
    interval_ms: float = 10.0
    tokens: int = 100


@dataclass(frozen=True, slots=True)
class SelfError:
    """How much this client, at this load, on this machine, adds to what it measures; in seconds, at most.

    The truth server runs on the same machine, so what it is late itself is in ``ttft``.

    Attributes:
        shape: The times of the truth server.
        ttft: By how much the TTFT was longer than the server's.
        itl: How far the times between arrivals were from those between the server's writes.
        delivery: From the server's write of a token to its arrival here.
        requests: How many requests were compared.
    """

    shape: Shape
    ttft: Percentiles
    itl: Percentiles | None
    delivery: Percentiles | None
    requests: int


def shape_of(measured: Measured) -> Shape:
    """The shape of what a server answered, to ask the truth server for the same."""
    complete = [record for record in measured.complete if record["first_output_ns"] is not None]
    if not complete:
        return Shape()
    first_ms = median(record["first_output_ns"] - record["opened_ns"] for record in complete) / 1e6
    chunks = [record for record in complete if record["chunks"] > 1]
    if not chunks:
        return Shape(_rounded(first_ms), 1.0, 1)
    interval_ms = max(0.01, median(_interval_ns(each) for each in chunks) / 1e6)
    most = max(2, int(_OF_AN_ANSWER * 1e3 / interval_ms))
    return Shape(_rounded(first_ms), _rounded(interval_ms), min(most, round(median(each["chunks"] for each in chunks))))


def _interval_ns(record: dict[str, Any]) -> float:
    """Between two outputs, on average; of an agent, of those of one turn."""
    if turns := record.get("turns"):
        return float(sum(turn["span_ns"] for turn in turns) / max(1, record["chunks"] - len(turns)))
    return float((record["last_output_ns"] - record["first_output_ns"]) / (record["chunks"] - 1))


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 3)


def self_error(load: Load, shape: Shape, sender: Sender) -> SelfError:
    """Measures the error of this client, with a server in a process of its own. It takes some seconds.

    Args:
        load: The load. What it takes longer than a few seconds is left out.
        shape: What the server answers.
        sender: What sends the load; a sender of the same kind asks the server.

    Returns:
        The error.

    Raises:
        HeadraceError: The server did not start or did not answer.
    """
    enough = max(20, 3 * (load.concurrency or 0)) if load.concurrency else max(20, _due_within(load, _SECONDS))
    with _truth_server(shape) as url:
        truth = sender.towards(url)
        # The first connections, and the first code that runs.
        truth.send(Load(concurrency=load.concurrency or 1, requests=load.concurrency or 1), stamped=True)
        measured = truth.send(load.limited(enough, _SECONDS), stamped=True)
    first_ns = shape.first_ms * 1e6
    ttft = of_requests(abs(each["first_output_ns"] - each["opened_ns"] - first_ns) for each in measured.complete)
    if ttft is None:
        why = measured.records[0]["message"] if measured.records else "no request was sent"
        raise HeadraceError(f"the truth server did not answer: {why}")
    itl, delivery = of_durations(measured.tally["gap_errors"]), of_durations(measured.tally["deliveries"])
    return SelfError(shape, ttft, itl, delivery, len(measured.complete))


def _due_within(load: Load, seconds: float) -> int:
    return sum(due < seconds for due in load.dues())


@contextmanager
def _truth_server(shape: Shape) -> Generator[str]:
    command = [sys.executable, "-m", "headrace", "truth", "--until-stdin-closes", *_options(shape)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise HeadraceError("the truth server did not start; run `headrace truth` to see why")
            yield url
        finally:
            process.terminate()


def _options(shape: Shape) -> list[str]:
    times: dict[str, Any] = {"first-ms": shape.first_ms, "interval-ms": shape.interval_ms, "tokens": shape.tokens}
    return [part for name, value in times.items() for part in (f"--{name}", str(value))]
