"""What was found out about a load, as an object and as plain values."""

from __future__ import annotations

import json
import os
import platform
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

from .loads import Load, Measured
from .metrics import DEFINITIONS, OF_REQUESTS, Percentiles, per_request, stalls_of, steps_of
from .self_error import SelfError, Shape
from .statistics import interval_of_means, interval_of_steps, steady_state
from .verdict import Verdict, mean_concurrency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from .metrics import Stalls
    from .statistics import Interval, Steady

__all__ = ["SCHEMA", "Findings", "Limit", "limits_of"]

SCHEMA: Final = "headrace.bench/1"
"""The version of the JSON form."""

_PERCENTILES: Final = ("mean", "p50", "p90", "p95", "p99", "max")
_LIMIT: Final = re.compile(rf"({'|'.join(DEFINITIONS)})(?:_({'|'.join(_PERCENTILES)}))?")
_ITL: Final = ("itl", "itl_token")
_OWN: Final = frozenset(
    {"ttft", "ttft_due", "ttft_reasoning", "ttft_text", "ttft_call", "ttfc", "turn_ttft", "e2e", "e2e_due", *_ITL}
)
"""The metrics that have the client's own error: that of the ITL for its two forms, else that of the TTFT."""


def _this_machine() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
    }


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
        if found[2] is None and found[1] not in OF_REQUESTS:
            raise ConfigurationError(f"{name!r} is not of a request; write {name}_p99, or use tpot or stall")
        limits.append(Limit(found[1], found[2], seconds))
    return limits


@dataclass(frozen=True)
class Findings:
    """What was measured, and how far it can be trusted.

    Attributes:
        target: Who was asked.
        model: The model.
        verdict: Whether the figures mean what they seem to mean.
        metrics: Percentiles of each metric, in seconds; ``headrace.bench.DEFINITIONS`` says what each is.
        self_error: What this client adds itself; None if it was not measured.
        measured: The load, and every single record.
        limits: The limits (SLOs).
        max_error_rate: The share of answers that may fail.
        repeats: The metrics of each single run, if there were several.
        stall_after: From how many seconds on a time between two outputs is a stall; None for the default.
        machine: The machine that measured.
    """

    target: str
    model: str
    verdict: Verdict
    metrics: Mapping[str, Percentiles]
    self_error: SelfError | None
    measured: Measured = field(repr=False)
    limits: tuple[Limit, ...] = ()
    max_error_rate: float = 0.0
    repeats: tuple[Mapping[str, Percentiles], ...] = field(default=(), repr=False)
    stall_after: float | None = None
    machine: Mapping[str, Any] = field(default_factory=_this_machine, repr=False)

    @property
    def tokens_by(self) -> str:
        """How tokens are counted: by the server's ``"usage"``, or by ``"chunks"`` if it does not count them."""
        complete = self.measured.complete
        counted = bool(complete) and all(record["output_tokens"] is not None for record in complete)
        return "usage" if counted else "chunks"

    @property
    def requests(self) -> dict[str, int]:
        """How many requests there were, by how their answers ended (``complete``, ``timeout``, …)."""
        return dict(Counter(record["state"] for record in self.measured.records))

    @property
    def errors(self) -> dict[str, int]:
        """The messages of the failures, the most frequent first, and how often each occurred."""
        failed = (record for record in self.measured.records if record["state"] not in ("complete", "cancelled"))
        return dict(Counter(f"{record['state']}: {record['message']}" for record in failed).most_common())

    @cached_property
    def throughput(self) -> dict[str, float | None]:
        """Requests and tokens a second, and the load that was reached, from the first request to the last end.

        ``output_tokens_per_s`` is None if the server does not count tokens; ``chunks_per_s`` is always known.
        ``output_tokens_per_s_of_one`` is the median over the requests: what a reader of one answer sees.
        """
        tally, complete = self.measured.tally, self.measured.complete
        seconds = max(tally["ended_ns"] - tally["began_ns"], 1) / 1e9
        sent = [record["opened_ns"] for record in self.measured.records]
        sending = (max(sent) - min(sent)) / 1e9 if len(sent) > 1 else 0.0
        speeds = [
            record["output_tokens"] / (record["ended_ns"] - record["opened_ns"]) * 1e9
            for record in complete
            if record["output_tokens"] and record["ended_ns"] > record["opened_ns"]
        ]
        return {
            "seconds": seconds,
            "requests_per_s": len(complete) / seconds,
            "chunks_per_s": sum(record["chunks"] for record in complete) / seconds,
            "output_tokens_per_s": _rate(complete, "output_tokens", seconds),
            "output_tokens_per_s_of_one": median(speeds) if speeds else None,
            "input_tokens_per_s": _rate(complete, "input_tokens", seconds),
            "reached_concurrency": mean_concurrency(self.measured),
            "reached_rate": (len(sent) - 1) / sending if sending else None,
        }

    @cached_property
    def stalls(self) -> Stalls | None:
        """Long times between two outputs; None if no answer has two."""
        return stalls_of(self.measured, self.stall_after)

    @cached_property
    def steady(self) -> Steady | None:
        """From which request on the run is steady; None if there are too few to tell, or if there were several runs."""
        return None if self.repeats else steady_state(self.measured)

    @property
    def missed(self) -> list[Limit]:
        """The limits of the run that were missed. A metric without a value misses its limit."""
        limits = (limit for limit in self.limits if limit.percentile is not None)
        return [limit for limit in limits if self._value(limit) > limit.seconds]

    @cached_property
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

    def interval(self, metric: str, figure: str) -> Interval | None:
        """Where a figure is with 95 % confidence, in seconds.

        Args:
            metric: The metric.
            figure: ``"mean"`` or a percentile.

        Returns:
            Of several runs, by Student's t over the runs; of one, by resampling its requests, which knows nothing of
            how runs differ. None if it cannot be told.
        """
        if len(self.repeats) > 1:
            runs = [getattr(run[metric], figure) for run in self.repeats if metric in run]
            return interval_of_means(runs)
        return interval_of_steps(steps_of(self.measured, metric), figure, len(self.measured.complete))

    def is_known(self, name: str, percentile: str) -> bool:
        """Whether a figure is larger than the client's own error in it, as far as that was measured."""
        error = self.own_error(name)
        return error is None or getattr(self.metrics[name], percentile) > getattr(error, percentile)

    def own_error(self, name: str) -> Percentiles | None:
        """The client's own error in a metric; None if it is not known."""
        if self.self_error is None or name not in _OWN:
            return None
        return self.self_error.itl if name in _ITL else self.self_error.ttft

    def to_dict(self) -> dict[str, Any]:
        """The report as a dict of plain values, durations in seconds; the single records are in nanoseconds."""
        intervals = {name: {each: self.interval(name, each) for each in ("p50", "p99")} for name in self.metrics}
        return {
            "schema": SCHEMA,
            "headrace": version("headrace"),
            "machine": dict(self.machine),
            "target": self.target,
            "model": self.model,
            "load": self.measured.load.to_dict(),
            "verdict": self.verdict._asdict(),
            "requests": self.requests,
            "errors": self.errors,
            "tokens_by": self.tokens_by,
            "metrics": {name: asdict(value) for name, value in self.metrics.items()},
            "intervals": intervals,
            "definitions": {name: DEFINITIONS[name] for name in self.metrics},
            "throughput": self.throughput,
            "stalls": None if self.stalls is None else asdict(self.stalls),
            "steady": None if self.steady is None else asdict(self.steady),
            "limits": [asdict(limit) for limit in self.limits],
            "missed": [asdict(limit) for limit in self.missed],
            "goodput": self.goodput,
            "max_error_rate": self.max_error_rate,
            "stall_after": self.stall_after,
            "self_error": None if self.self_error is None else asdict(self.self_error),
            "repeats": [{name: asdict(value) for name, value in run.items()} for run in self.repeats],
            "client": {"cpu_seconds": self.measured.cpu_seconds, "wall_seconds": self.measured.wall_seconds},
            "tally": self.measured.tally,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The report of :meth:`to_dict`, after JSON.

        Raises:
            ConfigurationError: It is no report of this version.
        """
        if values.get("schema") != SCHEMA:
            raise ConfigurationError(f"this is no report of headrace bench with the schema {SCHEMA!r}")
        client = values["client"]
        measured = Measured(
            Load.from_dict(values["load"]), values["tally"], client["cpu_seconds"], client["wall_seconds"]
        )
        return cls(
            values["target"],
            values["model"],
            Verdict(**values["verdict"]),
            _metrics(values["metrics"]),
            _self_error(values["self_error"]),
            measured,
            tuple(Limit(**limit) for limit in values["limits"]),
            values["max_error_rate"],
            tuple(map(_metrics, values["repeats"])),
            values["stall_after"],
            values["machine"],
        )

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def _value(self, limit: Limit) -> float:
        found = self.metrics.get(limit.metric)
        value: float = float("inf") if found is None else getattr(found, limit.percentile or "")
        return value


def _metrics(values: Mapping[str, Any]) -> dict[str, Percentiles]:
    return {name: Percentiles(**figures) for name, figures in values.items()}


def _self_error(values: Mapping[str, Any] | None) -> SelfError | None:
    if values is None:
        return None
    figures = {name: None if values[name] is None else Percentiles(**values[name]) for name in ("itl", "delivery")}
    return SelfError(
        Shape(**values["shape"]), Percentiles(**values["ttft"]), figures["itl"], figures["delivery"], values["requests"]
    )


def _rate(records: list[dict[str, Any]], name: str, seconds: float) -> float | None:
    counts = [record[name] for record in records if record[name] is not None]
    return sum(counts) / seconds if counts and len(counts) == len(records) else None


def _is_within(value_ns: float | None, seconds: float) -> bool:
    return value_ns is not None and value_ns / 1e9 <= seconds
