"""The report of a load: as an object, as JSON, and as text."""

from __future__ import annotations

import json
import os
import platform
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

from .metrics import DEFINITIONS, Percentiles, per_request
from .verdict import mean_concurrency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .loads import Measured
    from .self_error import SelfError
    from .verdict import Verdict

__all__ = ["SCHEMA", "Limit", "Report", "limits_of"]

SCHEMA: Final = "headrace.bench/1"
"""The version of the JSON form."""

_PERCENTILES: Final = ("mean", "p50", "p90", "p95", "p99", "max")
_LIMIT: Final = re.compile(rf"({'|'.join(DEFINITIONS)})(?:_({'|'.join(_PERCENTILES)}))?")
_OWN: Final[Mapping[str, str]] = {"ttft": "ttft", "ttft_due": "ttft", "ttft_text": "ttft", "ttfc": "ttft", "itl": "itl"}
"""Which error of the client a metric has."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit (SLO): of a percentile of all requests, or of each request.

    Attributes:
        metric: The metric.
        percentile: Of which percentile; None for each request, so that it counts for the goodput.
        seconds: The most that is allowed.
    """

    metric: str
    percentile: str | None
    seconds: float


def limits_of(given: Mapping[str, float]) -> list[Limit]:
    """Parses limits, such as ``{"ttft_p99": 0.2}`` (of the run) or ``{"ttft": 0.2}`` (of each request).

    Raises:
        ConfigurationError: There is no such metric.
    """
    limits = list[Limit]()
    for name, seconds in given.items():
        found = _LIMIT.fullmatch(name)
        if found is None:
            raise ConfigurationError(
                f"there is no metric {name!r}; there are {', '.join(DEFINITIONS)}, and each with _p50, _p99, …"
            )
        if found[2] is None and found[1] in ("itl", "read_lag"):
            raise ConfigurationError(f"{name!r} is not of a request; write {name}_p99, or use tpot or stall")
        limits.append(Limit(found[1], found[2], seconds))
    return limits


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, and how far it can be trusted.

    Attributes:
        target: Who was asked.
        model: The model.
        verdict: Whether the figures mean what they seem to mean.
        metrics: Percentiles of each metric, in seconds; ``headrace.bench.DEFINITIONS`` says what each is.
        self_error: What this client adds itself; None if it was not measured.
        measured: The load, and every single record.
        limits: The limits (SLOs).
    """

    target: str
    model: str
    verdict: Verdict
    metrics: Mapping[str, Percentiles]
    self_error: SelfError | None
    measured: Measured = field(repr=False)
    limits: tuple[Limit, ...] = ()

    @property
    def requests(self) -> dict[str, int]:
        """How many requests there were, by how their answers ended (``complete``, ``timeout``, …)."""
        return dict(Counter(record["state"] for record in self.measured.records))

    @property
    def throughput(self) -> dict[str, float | None]:
        """Requests and tokens a second, and the load that was reached, from the first request to the last end.

        ``output_tokens_per_s`` is None if the server does not count tokens; ``chunks_per_s`` is always known.
        """
        tally, complete = self.measured.tally, self.measured.complete
        seconds = max(tally["ended_ns"] - tally["began_ns"], 1) / 1e9
        sent = [record["opened_ns"] for record in self.measured.records]
        sending = (max(sent) - min(sent)) / 1e9 if len(sent) > 1 else 0.0
        return {
            "seconds": seconds,
            "requests_per_s": len(complete) / seconds,
            "chunks_per_s": sum(record["chunks"] for record in complete) / seconds,
            "output_tokens_per_s": _rate(complete, "output_tokens", seconds),
            "input_tokens_per_s": _rate(complete, "input_tokens", seconds),
            "reached_concurrency": mean_concurrency(self.measured),
            "reached_rate": (len(sent) - 1) / sending if sending else None,
        }

    @property
    def missed(self) -> list[Limit]:
        """The limits of the run that were missed. A metric without a value misses its limit."""
        limits = (limit for limit in self.limits if limit.percentile is not None)
        return [limit for limit in limits if self._value(limit) > limit.seconds]

    @property
    def goodput(self) -> float | None:
        """The share of all requests that were complete and within every limit of a request; None without any."""
        limits = [limit for limit in self.limits if limit.percentile is None]
        if not limits or not self.measured.records:
            return None
        requests = map(per_request, self.measured.complete)
        good = sum(all(_is_within(request[each.metric], each.seconds) for each in limits) for request in requests)
        return good / len(self.measured.records)

    @property
    def exit_code(self) -> int:
        """0 if it is valid and no limit was missed, 1 if one was missed, 2 if it is not valid."""
        if self.verdict.kind != "valid":
            return 2
        return 1 if self.missed else 0

    def to_dict(self) -> dict[str, Any]:
        """The report as a dict of plain values, durations in seconds; without the single records."""
        return {
            "schema": SCHEMA,
            "headrace": version("headrace"),
            "machine": {
                "system": platform.platform(),
                "processors": os.cpu_count(),
                "python": platform.python_version(),
            },
            "target": self.target,
            "model": self.model,
            "load": asdict(self.measured.load),
            "verdict": self.verdict._asdict(),
            "requests": self.requests,
            "metrics": {name: asdict(value) for name, value in self.metrics.items()},
            "definitions": {name: DEFINITIONS[name] for name in self.metrics},
            "throughput": self.throughput,
            "limits": [asdict(limit) for limit in self.limits],
            "missed": [asdict(limit) for limit in self.missed],
            "goodput": self.goodput,
            "self_error": None if self.self_error is None else asdict(self.self_error),
            "client": {"cpu_seconds": self.measured.cpu_seconds, "wall_seconds": self.measured.wall_seconds},
            "gaps_ns": self.measured.tally["gaps"],
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def is_known(self, name: str, percentile: str) -> bool:
        """Whether a figure is larger than the client's own error in it, as far as that was measured."""
        error = self.own_error(name)
        return error is None or getattr(self.metrics[name], percentile) > getattr(error, percentile)

    def own_error(self, name: str) -> Percentiles | None:
        """The client's own error in a metric; None if it is not known."""
        if self.self_error is None or name not in _OWN:
            return None
        error: Percentiles | None = getattr(self.self_error, _OWN[name])
        return error

    def to_text(self) -> str:
        """The report as a page of text, durations in milliseconds."""
        return "\n".join([*self._head(), "", *self._table(), "", *self._foot()])

    def _value(self, limit: Limit) -> float:
        found = self.metrics.get(limit.metric)
        value: float = float("inf") if found is None else getattr(found, limit.percentile or "")
        return value

    def _head(self) -> list[str]:
        load = self.measured.load
        asked = f"{load.concurrency} at a time" if load.concurrency else f"{load.rate:g} a second, {load.arrivals}"
        states = ", ".join(f"{count} {state}" for state, count in self.requests.items()) or "none"
        rates = self.throughput
        counted = rates["output_tokens_per_s"]
        tokens = "tokens not counted by the server" if counted is None else f"{counted:.1f} tokens/s"
        rate = rates["reached_rate"]
        reached = f"{rates['reached_concurrency']:.1f} at a time" + (
            "" if rate is None else f", {rate:.2f} sent a second"
        )
        return [
            f"{self.verdict.kind}: {self.verdict.reason}",
            "",
            f"{self.model} at {self.target}",
            f"load      {asked}; reached: {reached}",
            f"requests  {states}, in {rates['seconds']:.2f} s",
            f"rates     {rates['requests_per_s']:.2f} requests/s, {tokens}, {rates['chunks_per_s']:.1f} chunks/s",
        ]

    def _table(self) -> list[str]:
        columns = ("mean", "p50", "p90", "p99", "max")
        lines = [f"{'ms':<10}" + "".join(f"{column:>11}" for column in columns) + "   own error p50, p99"]
        for name, figures in self.metrics.items():
            cells = (
                f"{getattr(figures, column) * 1e3:.2f}{' ' if self.is_known(name, column) else '?'}"
                for column in columns
            )
            error = self.own_error(name)
            own = "" if error is None else f"   {error.p50 * 1e3:.2f}, {error.p99 * 1e3:.2f}"
            lines.append(f"{name:<10}" + "".join(f"{cell:>11}" for cell in cells) + own)
        return lines

    def _foot(self) -> list[str]:
        lines = [f"{name:<10}{DEFINITIONS[name]}" for name in self.metrics]
        if self.self_error is None:
            lines.append("The client's own error was not measured.")
        else:
            shape = self.self_error.shape
            lines += [
                f"Own error: this load against a server on this machine, {shape.first_ms:g} ms to the first of",
                f"{shape.tokens} tokens, {shape.interval_ms:g} ms from each to the next; ? marks what is not above it.",
            ]
        if self.goodput is not None:
            lines.append(f"Goodput: {self.goodput:.1%} of the requests met every limit of a request.")
        lines += [f"Missed: {limit.metric}_{limit.percentile} <= {limit.seconds * 1e3:g} ms" for limit in self.missed]
        return lines


def _rate(records: list[dict[str, Any]], name: str, seconds: float) -> float | None:
    counts = [record[name] for record in records if record[name] is not None]
    return sum(counts) / seconds if counts and len(counts) == len(records) else None


def _is_within(value_ns: float | None, seconds: float) -> bool:
    return value_ns is not None and value_ns / 1e9 <= seconds
