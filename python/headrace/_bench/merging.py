"""The reports on the parts of one load, as one report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.errors import ConfigurationError

from .joining import side_by_side
from .loads import Load
from .metrics import summary
from .verdict import Verdict, verdict_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .report import Report

__all__ = ["merged"]


def merged(reports: Sequence[Report]) -> Report:
    """The report on a load whose parts ran at the same time, in several processes or on several machines.

    Args:
        reports: The report of each part.

    Returns:
        The report on all requests together. A part that is not valid makes the whole not valid.

    Raises:
        ConfigurationError: There is none, or they are not of one model.
    """
    if not reports or len({report.model for report in reports}) > 1:
        raise ConfigurationError("only reports on one model can be merged, and at least one is needed")
    first = reports[0]
    loads = [report.measured.load for report in reports]
    measured = side_by_side([report.measured for report in reports], _whole(loads), _most_of_a_machine(reports))
    metrics = summary(measured)
    errors = [report.self_error for report in reports if report.self_error is not None]
    error = max(errors, key=lambda each: each.ttft.p50) if len(errors) == len(reports) else None
    verdict = verdict_on(measured, metrics, error, first.max_error_rate)
    bad = next((report.verdict for report in reports if report.verdict.kind not in ("valid", "failed")), None)
    if bad is not None and verdict.kind == "valid":
        verdict = Verdict(bad.kind, f"in one part: {bad.reason}")
    return replace(first, verdict=verdict, metrics=metrics, self_error=error, measured=measured, repeats=())


def _whole(loads: Sequence[Load]) -> Load:
    requests = [load.requests for load in loads]
    counted = None if None in requests else sum(filter(None, requests))
    if all(load.concurrency is not None for load in loads):
        return replace(loads[0], concurrency=sum(load.concurrency or 0 for load in loads), requests=counted)
    if all(load.rate is not None for load in loads):
        return replace(loads[0], rate=sum(load.rate or 0 for load in loads), requests=counted)
    return Load(times=tuple(sorted(due for load in loads for due in load.dues())))


def _most_of_a_machine(reports: Sequence[Report]) -> float:
    """The processor time of the machine that spent most."""
    spent = dict[str, float]()
    for report in reports:
        host = str(report.machine.get("host"))
        spent[host] = spent.get(host, 0.0) + report.measured.cpu_seconds
    return max(spent.values())
