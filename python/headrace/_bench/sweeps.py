"""Several loads, one after the other: where a server is full, and the highest load that meets the limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

from . import html
from .charts import Axis, Series, chart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from .report import Report

__all__ = ["Sweep", "swept"]

_ENOUGH: Final = 3
_CLOSE: Final = 1.1
"""How near two loads are when a search between them ends."""

_MOST: Final = 12
"""How many loads a search tries at most."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Reports at several loads.

    Attributes:
        over: What changed: ``"concurrency"`` or ``"rate"``.
        reports: The reports by load, ascending.
    """

    over: str
    reports: dict[float, Report]

    @property
    def knee(self) -> float | None:
        """The load after which more load costs more latency than it brings throughput.

        It is where the curve of throughput over latency (the time of an answer, p50), both scaled to 0 to 1, is
        farthest above the line from its first to its last point (the rule *Kneedle* on the whole curve). None for fewer
        than three loads, or if the curve is nowhere above the line.
        """
        points = [
            (report.metrics["e2e"].p50, report.throughput["requests_per_s"] or 0.0, load)
            for load, report in self.reports.items()
            if "e2e" in report.metrics
        ]
        if len(points) < _ENOUGH:
            return None
        latencies, rates = [point[0] for point in points], [point[1] for point in points]
        wide, high = max(latencies) - min(latencies), max(rates) - min(rates)
        if not wide or not high:
            return None
        above = [
            ((rate - min(rates)) / high - (latency - min(latencies)) / wide, load) for latency, rate, load in points
        ]
        most, load = max(above)
        return load if most > 0 else None

    @property
    def best(self) -> float | None:
        """The highest load whose report is valid and meets all limits; None if none does."""
        return max((load for load, report in self.reports.items() if report.exit_code == 0), default=None)

    @property
    def exit_code(self) -> int:
        """0 if some load is valid and meets its limits, 1 if limits are missed at each, 2 if none is valid."""
        return min((report.exit_code for report in self.reports.values()), default=2)

    def to_dict(self) -> dict[str, Any]:
        """The sweep as a dict of plain values, with whole reports."""
        return {
            "schema": "headrace.sweep/1",
            "over": self.over,
            "knee": self.knee,
            "best": self.best,
            "reports": [{"load": load, "report": report.to_dict()} for load, report in self.reports.items()],
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def to_text(self) -> str:
        """A line for each load."""
        return "\n".join(self._lines())

    def to_html(self) -> str:
        """The curves and the table as one HTML file that needs nothing else."""
        return html.document(f"{self.over} swept", f'<main class="hr">{"".join(self._sections())}</main>')

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the sweep as JSON or HTML, by the end of the file's name.

        Raises:
            ConfigurationError: The name has another end.
        """
        from pathlib import Path

        end = Path(path).suffix
        if end not in (".json", ".html"):
            raise ConfigurationError(f"a sweep is saved as .json or .html, not as {str(path)!r}")
        text = self.to_html() if end == ".html" else self.to_json()
        Path(path).write_text(text, encoding="utf-8")

    def _repr_html_(self) -> str:
        return f"<style>{html.style()}</style><div class='hr'>{''.join(self._sections())}</div>"

    def _lines(self) -> Iterator[str]:
        head = ("ttft p50", "ttft p99", "tpot p50", "e2e p50", "requests/s", "tokens/s")
        yield f"{self.over:<12}" + "".join(f"{name:>12}" for name in head) + "   verdict"
        for load, report in self.reports.items():
            cells = "".join(f"{'-' if cell is None else f'{cell:.2f}':>12}" for cell in _cells(report))
            missed = "".join(f"; missed {limit.metric}_{limit.percentile}" for limit in report.missed)
            yield f"{load:<12g}{cells}   {report.verdict.kind}{missed}"
        yield ""
        yield "Times are in ms."
        if self.knee is not None:
            yield f"Knee: {self.over} {self.knee:g}: above it, load costs more latency than it brings throughput."
        if any(report.limits for report in self.reports.values()):
            best = self.best
            yield "No load meets the limits." if best is None else f"Highest load that meets the limits: {best:g}."

    def _sections(self) -> Iterator[str]:
        yield f"<h1>{self.over} swept</h1><pre class='scroll'>{self.to_text()}</pre><div class='grid2'>"
        marks = [] if self.knee is None else [(self.knee, "knee")]
        load = Axis(self.over, low=0.0)
        for metric in ("ttft", "tpot", "e2e"):
            series = [
                Series(f"{metric} {name}", _curve(self.reports, metric, name), "marked") for name in ("p50", "p99")
            ]
            yield html.section(metric.upper(), chart(series, load, Axis("ms", low=0.0), marks=marks))
        rates = [(load, report.throughput["requests_per_s"] or 0.0) for load, report in self.reports.items()]
        tokens = [
            (load, rate)
            for load, report in self.reports.items()
            if (rate := report.throughput["output_tokens_per_s"]) is not None
        ]
        for name, points in (("requests/s", rates), ("tokens/s", tokens)):
            yield html.section(name, chart([Series(name, points, "marked")], load, Axis(name, low=0.0), marks=marks))
        yield "</div>"


def _curve(reports: dict[float, Report], metric: str, figure: str) -> list[tuple[float, float]]:
    return [
        (load, getattr(report.metrics[metric], figure) * 1e3)
        for load, report in reports.items()
        if metric in report.metrics
    ]


def _cells(report: Report) -> list[float | None]:
    metrics, rates = report.metrics, report.throughput
    figures = (("ttft", "p50"), ("ttft", "p99"), ("tpot", "p50"), ("e2e", "p50"))
    times = [getattr(metrics[name], figure) * 1e3 if name in metrics else None for name, figure in figures]
    return [*times, rates["requests_per_s"], rates["output_tokens_per_s"]]


def swept(measure: Callable[[float], Report], over: str, values: Sequence[float], *, search: bool) -> Sweep:
    """Measures at each load, ascending; see :func:`headrace.bench.sweep`."""
    if over not in ("concurrency", "rate"):
        raise ConfigurationError(f"a sweep is over 'concurrency' or 'rate', not {over!r}")
    loads = [int(value) if over == "concurrency" else float(value) for value in values]
    if not loads or any(after <= before for before, after in pairwise(loads)):
        raise ConfigurationError(f"the loads of a sweep ascend; these are {list(values)}")
    reports: dict[float, Report] = {}
    for load in loads:
        reports[load] = measure(load)
        if search and not any(limit.percentile for limit in reports[load].limits):
            raise ConfigurationError("a search needs a limit of the run, such as ttft_p99")
        if reports[load].verdict.kind == "interrupted":
            break
    if search:
        _search(measure, reports, whole=over == "concurrency")
    return Sweep(over, dict(sorted(reports.items())))


def _search(measure: Callable[[float], Report], reports: dict[float, Report], *, whole: bool) -> None:
    """Narrows down the highest load that meets the limits."""
    for _ in range(_MOST):
        met = [load for load, report in reports.items() if report.exit_code == 0]
        missed = [load for load, report in reports.items() if report.exit_code != 0]
        if any(report.verdict.kind == "interrupted" for report in reports.values()) or not met:
            return
        low = max(met)
        high = min((load for load in missed if load > low), default=None)
        if high is not None and (high / low <= _CLOSE or (whole and high - low <= 1)):
            return
        load = 2 * low if high is None else (low + high) / 2
        load = int(load) if whole else load
        reports[load] = measure(load)
