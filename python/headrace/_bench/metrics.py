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

__all__ = [
    "DEFINITIONS",
    "OF_REQUESTS",
    "PHASES",
    "Percentiles",
    "Stalls",
    "of_durations",
    "of_requests",
    "per_request",
    "stalls_of",
    "steps_of",
    "summary",
]

DEFINITIONS: Final[Mapping[str, str]] = {
    "ttft": "from sending the request to the first output (reasoning counts)",
    "ttft_due": "the same, but from when the request should have been sent (open loads)",
    "ttft_reasoning": "from sending the request to the first reasoning",
    "ttft_text": "from sending the request to the first text",
    "ttft_call": "from sending the request to the first tool call",
    "ttft_answer": "agents: to the first text of the last turn, so after plan and tools",
    "ttfc": "from sending the request to the first chunk of any kind",
    "e2e": "from sending the request to the end of the answer",
    "e2e_due": "the same, but from when the request should have been sent (open loads)",
    "tpot": "(last output - first output) / (tokens - 1), else of chunks (aiperf and guidellm: ITL)",
    "e2e_per_token": "e2e / tokens, if the server counts them (guidellm: TPOT)",
    "itl": "between two outputs, each pair counted once (vLLM)",
    "itl_token": "itl, divided by the answer's tokens for each output (near to sglang's)",
    "stall": "the longest time between two outputs of a request",
    "turn_ttft": "agents: from the request of a turn to its first output",
    "turn_e2e": "agents: from the request of a turn to its end",
    "tool": "agents: how long one tool call ran",
    "tools": "agents: how long a request waited for tools",
    "plan": "autonomous agents: the planning",
    "execute": "autonomous agents: the subtasks",
    "summary": "autonomous agents: the summary",
    "lag": "from when a request should have been sent to when it was (open loads)",
    "read_lag": "how long a chunk waited in the kernel before this client read it",
}
"""What each metric is."""

OF_REQUESTS: Final = frozenset(DEFINITIONS) - {"itl", "itl_token", "read_lag", "turn_ttft", "turn_e2e", "tool"}
"""The metrics of which a request has one value."""

PHASES: Final = ("plan", "execute", "summary")

_HISTOGRAMS: Final = {"itl": "gaps", "itl_token": "token_gaps", "read_lag": "read_lags"}
_OF_TURNS: Final = {"turn_ttft": "ttft_ns", "turn_e2e": "e2e_ns"}
_PER_S: Final = 1e9

Steps = list[tuple[float, int]]
"""A distribution: durations in nanoseconds, ascending, each with how often it occurred."""


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


@dataclass(frozen=True, slots=True)
class Stalls:
    """Long times without any output.

    Attributes:
        after: From how many seconds on a time between two outputs is a stall.
        count: How many there were.
        requests: In how many requests.
    """

    after: float
    count: int
    requests: int


def of_durations(steps: Iterable[Sequence[float]]) -> Percentiles | None:
    """Percentiles of a histogram: (nanoseconds, how often), ascending. None if it is empty."""
    pairs = [(value, int(count)) for value, count in steps]
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
    return of_durations(_steps(durations_ns))


def per_request(record: Mapping[str, Any]) -> dict[str, float | None]:
    """The metrics of one request, in nanoseconds; None for one that it does not have."""
    opened, due = record["opened_ns"], record["due_ns"]
    first, ended = record["first_output_ns"], record["ended_ns"]
    tokens = record["output_tokens"]
    phases: Mapping[str, int] = record.get("phases_ns") or {}
    return {
        "ttft": _since(opened, first),
        "ttft_due": _since(due, first),
        "ttft_reasoning": _since(opened, record["first_reasoning_ns"]),
        "ttft_text": _since(opened, record["first_text_ns"]),
        "ttft_call": _since(opened, record["first_call_ns"]),
        "ttft_answer": _since(opened, record.get("answer_ns")),
        "ttfc": _since(opened, record["first_chunk_ns"]),
        "e2e": _since(opened, ended),
        "e2e_due": _since(due, ended),
        "tpot": _tpot(record),
        "e2e_per_token": (ended - opened) / tokens if tokens else None,
        "stall": record["longest_gap_ns"] if record["chunks"] > 1 else None,
        "tools": record.get("tools_ns"),
        **{phase: phases.get(phase) for phase in PHASES},
        "lag": _since(due, opened),
    }


def _since(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start


def _tpot(record: Mapping[str, Any]) -> float | None:
    tokens = record["output_tokens"] or record["chunks"]
    if (turns := record.get("turns")) is not None:
        # Of the turns alone: while tools run, no token is awaited.
        spans, between = sum(turn["span_ns"] for turn in turns), tokens - len(turns)
        return spans / between if between > 0 else None
    first = record["first_output_ns"]
    return None if first is None or tokens <= 1 else (record["last_output_ns"] - first) / (tokens - 1)


def steps_of(measured: Measured, name: str) -> Steps:
    """The distribution of a metric."""
    if name in _HISTOGRAMS:
        return [(value, count) for value, count in measured.tally.get(_HISTOGRAMS[name], ())]
    if name in _OF_TURNS:
        turns = (turn for record in measured.complete for turn in _list_in(record, "turns"))
        return _steps(turn[_OF_TURNS[name]] for turn in turns)
    if name == "tool":
        return _steps(each for record in measured.complete for each in _list_in(record, "tool_ns"))
    # When a request was sent is known of those that failed, too.
    records = measured.records if name == "lag" else measured.complete
    return _steps(per_request(record)[name] for record in records)


def _list_in(record: Mapping[str, Any], name: str) -> list[Any]:
    return record.get(name) or []


def _steps(durations_ns: Iterable[float | None]) -> Steps:
    return [(each, 1) for each in sorted(each for each in durations_ns if each is not None)]


def summary(measured: Measured) -> dict[str, Percentiles]:
    """The metrics of a load: those that it has."""
    found = {name: of_durations(steps_of(measured, name)) for name in DEFINITIONS}
    return {name: value for name, value in found.items() if value is not None}


def stalls_of(measured: Measured, after: float | None) -> Stalls | None:
    """The stalls of a load.

    Args:
        measured: The load.
        after: From how many seconds on it is one; None for ten times the median ITL, but at least 0.1 s.

    Returns:
        The stalls; None if no answer has two outputs.
    """
    steps = steps_of(measured, "itl")
    itl = of_durations(steps)
    if itl is None:
        return None
    limit = max(0.1, 10 * itl.p50) if after is None else after
    count = sum(count for value, count in steps if value > limit * _PER_S)
    return Stalls(limit, count, sum(record["longest_gap_ns"] > limit * _PER_S for record in measured.complete))
