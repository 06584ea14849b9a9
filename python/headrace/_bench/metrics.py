"""The metrics of a load, each by its definition.

All are of complete answers, in seconds. An *output* is a delta that the model produced: text, reasoning, refusal, or a
piece of a tool call; a chunk that only names the role is none.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .loads import Measured

__all__ = ["DEFINITIONS", "Percentiles", "of_durations", "of_requests", "per_request", "summary"]

DEFINITIONS: Final[Mapping[str, str]] = {
    "ttft": "from sending the request to the first output (reasoning counts)",
    "ttft_due": "the same, but from when the request should have been sent (open loads)",
    "ttft_text": "from sending the request to the first text",
    "ttfc": "from sending the request to the first chunk of any kind",
    "e2e": "from sending the request to the end of the answer",
    "tpot": "(last output - first output) / (tokens - 1), else of chunks (aiperf and guidellm: ITL)",
    "itl": "between two outputs, each pair counted once (as vLLM)",
    "stall": "the longest time between two outputs of a request",
    "lag": "from when a request should have been sent to when it was (open loads)",
    "read_lag": "how long a chunk waited in the kernel before this client read it",
}
"""What each metric is."""

_PER_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of some durations, in seconds; a percentile is the smallest duration that so many do not exceed."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


def of_durations(steps: Iterable[Sequence[int]]) -> Percentiles | None:
    """Percentiles of a histogram: (nanoseconds, how often), ascending. None if it is empty."""
    pairs = [(value, count) for value, count in steps]
    upto = list(accumulate(count for _, count in pairs))
    if not upto:
        return None
    total = upto[-1]

    def at(quantile: float) -> float:
        return pairs[bisect.bisect_left(upto, quantile * total)][0] / _PER_S

    mean = sum(value * count for value, count in pairs) / total / _PER_S
    return Percentiles(total, mean, at(0.5), at(0.9), at(0.95), at(0.99), pairs[-1][0] / _PER_S)


def of_requests(durations_ns: Iterable[float | None]) -> Percentiles | None:
    """Percentiles of one duration for each request, in nanoseconds; None counts for nothing."""
    known = sorted(round(duration) for duration in durations_ns if duration is not None)
    return of_durations((duration, 1) for duration in known)


def per_request(record: Mapping[str, Any]) -> dict[str, float | None]:
    """The metrics of one request, in nanoseconds; None for one that it does not have."""
    opened, due = record["opened_ns"], record["due_ns"]
    first, last = record["first_output_ns"], record["last_output_ns"]

    def since(start: int | None, end: int | None) -> int | None:
        return None if start is None or end is None else end - start

    tokens = record["output_tokens"] or record["chunks"]
    tpot = None if first is None or tokens <= 1 else (last - first) / (tokens - 1)
    return {
        "ttft": since(opened, first),
        "ttft_due": since(due, first),
        "ttft_text": since(opened, record["first_text_ns"]),
        "ttfc": since(opened, record["first_chunk_ns"]),
        "e2e": since(opened, record["ended_ns"]),
        "tpot": tpot,
        "stall": record["longest_gap_ns"] if record["chunks"] > 1 else None,
        "lag": since(due, opened),
    }


def summary(measured: Measured) -> dict[str, Percentiles]:
    """The metrics of a load: those that it has."""
    requests = [per_request(record) for record in measured.complete]
    found = {name: of_requests(request[name] for request in requests) for name in DEFINITIONS if name in _OF_REQUESTS}
    # When a request was sent is known of those that failed, too.
    found["lag"] = of_requests(per_request(record)["lag"] for record in measured.records)
    found["itl"] = of_durations(measured.tally["gaps"])
    found["read_lag"] = of_durations(measured.tally["read_lags"])
    return {name: value for name in DEFINITIONS if (value := found[name]) is not None}


_OF_REQUESTS: Final = frozenset(DEFINITIONS) - {"itl", "read_lag"}
