"""The reports of benchmark tools, ours and others', in one form."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

from .findings import SCHEMA
from .metrics import steps_of
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from .metrics import Steps

__all__ = ["Figures", "figures_of", "read_figures", "read_json"]

Named = dict[tuple[str, str], float]
"""Figures in seconds, by metric and percentile."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report says, whichever tool wrote it.

    Attributes:
        tool: The tool: ``"headrace"``, ``"vllm"``, ``"sglang"``, ``"guidellm"`` or ``"aiperf"``.
        seconds: The figures in seconds, by our name for what the tool measured, and percentile.
        rates: Requests and tokens a second, and the goodput, where it is told.
        steps: The distribution of a metric, where the report has its single values.
        complete: How many requests are complete.
        failed: How many failed.
        report: The whole report, if it is ours.
    """

    tool: str
    seconds: Named
    rates: Mapping[str, float]
    steps: Mapping[str, Steps] = field(default_factory=dict[str, "Steps"])
    complete: int = 0
    failed: int = 0
    report: Report | None = None


def read_json(path: Path) -> dict[str, Any]:
    """Reads an object of JSON, or the last of several lines of JSON.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        try:
            values = json.loads(text)
        except json.JSONDecodeError:
            # sglang adds a line for each run.
            values = json.loads(text.strip().splitlines()[-1])
        return dict(values)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise ConfigurationError(f"the report {path} cannot be read: {error}") from None


def read_figures(path: Path) -> Figures:
    """Reads the report of a tool.

    Args:
        path: A JSON file of ``headrace bench --json``, of ``vllm bench serve --save-result``, of sglang's
            ``bench_serving`` (its last line), of ``guidellm`` or of ``aiperf`` (``profile_export_aiperf.json``).

    Returns:
        Its figures.

    Raises:
        ConfigurationError: The file cannot be read, or is of none of these tools.
    """
    values = read_json(path)
    try:
        for is_of, read in _READERS:
            if is_of(values):
                return read(values)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"the report {path} has another form than expected: {error!r}") from None
    raise ConfigurationError(f"{path} is no report of headrace, vllm, sglang, guidellm or aiperf")


def figures_of(report: Report) -> Figures:
    """The figures of one of our reports."""
    names = ("mean", "p50", "p90", "p95", "p99", "max")
    seconds = {(metric, name): getattr(each, name) for metric, each in report.metrics.items() for name in names}
    rates = {name: rate for name, rate in report.throughput.items() if rate is not None and name.endswith("_per_s")}
    if report.goodput is not None:
        rates["goodput"] = report.goodput
    complete = len(report.measured.complete)
    steps = {metric: steps_of(report.measured, metric) for metric in report.metrics}
    return Figures("headrace", seconds, rates, steps, complete, len(report.measured.records) - complete, report=report)


def _ours(values: Mapping[str, Any]) -> Figures:
    return figures_of(Report.from_dict(values))


_RATES: Final = {"request_throughput": "requests_per_s", "output_throughput": "output_tokens_per_s"}


def _vllm(values: Mapping[str, Any]) -> Figures:
    # The ITL is the time between two chunks.
    seconds = _flat(values, {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2el": "e2e"})
    steps = {"ttft": _steps(values.get("ttfts")), "itl": _steps(values.get("itls"))}
    return _with_rates("vllm", seconds, values, steps)


def _sglang(values: Mapping[str, Any]) -> Figures:
    # The ITL is the time between two chunks, divided by the tokens of the chunk.
    seconds = _flat(values, {"ttft": "ttft", "tpot": "tpot", "itl": "itl_token", "e2e_latency": "e2e"})
    steps = {"ttft": _steps(values.get("ttfts")), "itl_token": _steps(values.get("itls"))}
    return _with_rates("sglang", seconds, values, steps)


def _flat(values: Mapping[str, Any], names: Mapping[str, str]) -> Named:
    figures = {"mean": "mean", "median": "p50", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
    return {
        (ours, figure): values[name] / 1e3
        for theirs, ours in names.items()
        for prefix, figure in figures.items()
        if isinstance(values.get(name := f"{prefix}_{theirs}_ms"), int | float)
    }


def _with_rates(tool: str, seconds: Named, values: Mapping[str, Any], steps: Mapping[str, Steps]) -> Figures:
    rates = {ours: float(values[theirs]) for theirs, ours in _RATES.items() if theirs in values}
    known = {name: each for name, each in steps.items() if each}
    # vllm counts failures; sglang only has their messages.
    errors = values.get("failed", sum(map(bool, values.get("errors") or ())))
    return Figures(tool, seconds, rates, known, int(values["completed"]), int(errors))


def _steps(values: Iterable[float | list[float]] | None) -> Steps:
    """Single values in seconds, or lists of them, as a distribution."""
    found = Counter[float]()
    for value in values or ():
        each = value if isinstance(value, list) else [value]
        found.update(round(seconds * 1e9) for seconds in each)
    return sorted(found.items())


def _guidellm(values: Mapping[str, Any]) -> Figures:
    # Its ITL is (last - first) / (tokens - 1) of a request, and its TPOT the whole time divided by the tokens.
    metrics: dict[str, Any] = values["benchmarks"][0]["metrics"]
    scale = {"request_latency": 1.0}
    names = {
        "time_to_first_token_ms": "ttft",
        "inter_token_latency_ms": "tpot",
        "time_per_output_token_ms": "e2e_per_token",
        "request_latency": "e2e",
    }
    seconds: Named = {}
    for theirs, ours in names.items():
        found: dict[str, Any] | None = metrics[theirs]["successful"] if metrics.get(theirs) else None
        if not found:
            continue
        figures: dict[str, Any] = {
            "mean": found["mean"],
            "p50": found["median"],
            "max": found["max"],
            **found["percentiles"],
        }
        for figure in ("mean", "p50", "p90", "p95", "p99", "max"):
            seconds[ours, figure] = figures[figure] * scale.get(theirs, 1e-3)
    totals: dict[str, Any] = metrics.get("request_totals") or {}
    rates = {
        ours: float(metrics[theirs]["successful"]["mean"])
        for theirs, ours in {
            "requests_per_second": "requests_per_s",
            "output_tokens_per_second": "output_tokens_per_s",
        }.items()
        if metrics.get(theirs)
    }
    return Figures("guidellm", seconds, rates, {}, int(totals.get("successful") or 0), int(totals.get("errored") or 0))


def _aiperf(values: Mapping[str, Any]) -> Figures:
    # Its ITL is (last - first) / (tokens - 1) of a request.
    names = {"time_to_first_token": "ttft", "inter_token_latency": "tpot", "request_latency": "e2e"}
    scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}
    figures = {"avg": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "max": "max"}
    seconds = {
        (ours, figure): values[theirs][name] * scale[values[theirs]["unit"]]
        for theirs, ours in names.items()
        if theirs in values
        for name, figure in figures.items()
        if isinstance(values[theirs].get(name), int | float)
    }
    named = {"request_throughput": "requests_per_s", "output_token_throughput": "output_tokens_per_s"}
    rates = {ours: float(values[theirs]["avg"]) for theirs, ours in named.items() if theirs in values}
    return Figures("aiperf", seconds, rates, {}, _count(values, "request_count"), _count(values, "error_request_count"))


def _count(values: Mapping[str, Any], name: str) -> int:
    found: dict[str, float] | float | None = values.get(name)
    return int((found["avg"] if isinstance(found, dict) else found) or 0)


_READERS: Final[tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Figures]], ...]] = (
    (lambda values: values.get("schema") == SCHEMA, _ours),
    (lambda values: "benchmarks" in values, _guidellm),
    (lambda values: "mean_e2e_latency_ms" in values or "median_e2e_latency_ms" in values, _sglang),
    (lambda values: "median_ttft_ms" in values or "mean_ttft_ms" in values, _vllm),
    (lambda values: isinstance(values.get("request_latency"), dict), _aiperf),
)
