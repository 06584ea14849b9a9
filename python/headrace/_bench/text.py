"""The report of a load as a page of text, and as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from .metrics import DEFINITIONS, OF_REQUESTS, Percentiles, per_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .findings import Findings
    from .loads import Load

__all__ = ["csv_of_report", "load_in_words", "of_report", "shown_metrics"]

_COLUMNS: Final = ("mean", "p50", "p90", "p99", "max")
_FEW_ERRORS: Final = 5
_STAMPS: Final = ("index", "turn", "state", "status", "finish_reason", "chunks", "input_tokens", "output_tokens")


def of_report(report: Findings) -> str:
    """The report as a page of text, durations in milliseconds."""
    return "\n".join([*_head(report), "", *_table(report), "", *_foot(report)])


def csv_of_report(report: Findings) -> str:
    """A line for each request, with its metrics in milliseconds."""
    out = io.StringIO()
    names = [name for name in DEFINITIONS if name in OF_REQUESTS]
    writer = csv.writer(out)
    writer.writerow([*_STAMPS, "sent_ms", *(f"{name}_ms" for name in names), "message"])
    began = report.measured.tally["began_ns"]
    for record in report.measured.records:
        values = per_request(record)
        sent = (record["opened_ns"] - began) / 1e6
        figures = (None if (value := values[name]) is None else f"{value / 1e6:.4f}" for name in names)
        writer.writerow([*(record[name] for name in _STAMPS), f"{sent:.4f}", *figures, record["message"]])
    return out.getvalue()


def load_in_words(load: Load) -> str:
    """A load in a few words."""
    if load.concurrency is not None:
        return f"{load.concurrency} at a time"
    if load.rate is not None:
        return f"{load.rate:g} a second, {load.arrivals}"
    if load.profile is not None:
        points = ", ".join(f"{rate:g}/s at {at:g} s" for at, rate in load.profile)
        return f"{points}, {load.arrivals}"
    return f"{len(load.times or ())} requests at given times"


def shown_metrics(report: Findings) -> dict[str, Percentiles]:
    """The metrics without those whose figures are the same as those of one before: of plain text, ttft_text is ttft."""
    shown = dict[str, Percentiles]()
    for name, figures in report.metrics.items():
        if figures not in shown.values():
            shown[name] = figures
    return shown


def _head(report: Findings) -> Iterable[str]:
    states = ", ".join(f"{count} {state}" for state, count in report.requests.items()) or "none"
    rates = report.throughput
    counted = rates["output_tokens_per_s"]
    tokens = "tokens not counted by the server" if counted is None else f"{counted:.1f} tokens/s"
    rate = rates["reached_rate"]
    reached = f"{rates['reached_concurrency']:.1f} at a time" + ("" if rate is None else f", {rate:.2f} sent a second")
    yield f"{report.verdict.kind}: {report.verdict.reason}"
    yield ""
    yield f"{report.model} at {report.target}"
    yield f"load      {load_in_words(report.measured.load)}; reached: {reached}"
    yield f"requests  {states}, in {rates['seconds']:.2f} s"
    yield f"rates     {rates['requests_per_s']:.2f} requests/s, {tokens}, {rates['chunks_per_s']:.1f} chunks/s"
    for message, count in list(report.errors.items())[:_FEW_ERRORS]:
        yield f"{count:>9} {message}"


def _table(report: Findings) -> Iterable[str]:
    yield f"{'ms':<14}" + "".join(f"{column:>11}" for column in _COLUMNS) + "   95 % of p50        own error p50, p99"
    for name, figures in shown_metrics(report).items():
        cells = (
            f"{getattr(figures, column) * 1e3:.2f}{' ' if report.is_known(name, column) else '?'}"
            for column in _COLUMNS
        )
        interval, error = report.interval(name, "p50"), report.own_error(name)
        sure = "" if interval is None else f"{interval[0] * 1e3:.2f}-{interval[1] * 1e3:.2f}"
        own = "" if error is None else f"{error.p50 * 1e3:.2f}, {error.p99 * 1e3:.2f}"
        yield (f"{name:<14}" + "".join(f"{cell:>11}" for cell in cells) + f"   {sure:<19}{own}").rstrip()


def _foot(report: Findings) -> Iterable[str]:
    shown = shown_metrics(report)
    yield from (f"{name:<14}{DEFINITIONS[name]}" for name in shown)
    same = [name for name in report.metrics if name not in shown]
    if same:
        yield f"Not shown, since they are the same as one above: {', '.join(same)}."
    if (stalls := report.stalls) is not None:
        waited = f"more than {stalls.after:.2f} s between two outputs"
        yield f"Stalls ({waited}): {stalls.count}, in {stalls.requests} requests."
    if (steady := report.steady) is not None:
        yield (
            f"Steady after the first {steady.after} of {steady.of} requests (MSER-5)."
            if steady.found
            else "No steady state: the TTFT changes until the end; measure longer."
        )
    if len(report.repeats) > 1:
        yield f"{len(report.repeats)} runs; the intervals are over the runs, the other figures over all requests."
    yield from _self_error(report)
    if report.goodput is not None:
        yield f"Goodput: {report.goodput:.1%} of the requests met every limit of a request."
    for limit in report.missed:
        yield f"Missed: {limit.metric}_{limit.percentile} <= {limit.seconds * 1e3:g} ms"


def _self_error(report: Findings) -> Iterable[str]:
    if report.self_error is None:
        yield "The client's own error was not measured."
        return
    shape = report.self_error.shape
    yield f"Own error: this load against a server on this machine, {shape.first_ms:g} ms to the first of"
    yield f"{shape.tokens} tokens, {shape.interval_ms:g} ms from each to the next; ? marks what is not above it."
