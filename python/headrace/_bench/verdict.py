"""Whether the figures of a load mean what they seem to mean."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from .metrics import of_requests, per_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .loads import Measured
    from .metrics import Percentiles
    from .self_error import SelfError

__all__ = ["Verdict", "VerdictKind", "mean_concurrency", "verdict_on"]

VerdictKind: TypeAlias = Literal[
    "valid", "client-bound", "server-bound", "target load not reached", "interrupted", "failed"
]

_REACHED: Final = 0.95
_LATE_S: Final = 0.005
_BUSY: Final = 0.9
_GROWTH: Final = 1.5
_ENOUGH: Final = 20


class Verdict(NamedTuple):
    """Whether the figures of a load mean what they seem to mean, and why."""

    kind: VerdictKind
    reason: str


def verdict_on(
    measured: Measured, metrics: Mapping[str, Percentiles], error: SelfError | None, max_error_rate: float
) -> Verdict:
    """Judges a load.

    Args:
        measured: What was measured.
        metrics: Its metrics.
        error: The error of the client; None if it was not measured.
        max_error_rate: The share of answers that may fail.

    Returns:
        The first that holds of: failed, interrupted, client-bound, target load not reached, server-bound, valid.
    """
    states = Counter(record["state"] for record in measured.records)
    total, complete = sum(states.values()), states["complete"]
    cancelled = states["cancelled"]
    failed = total - complete - cancelled
    if not total:
        return Verdict("failed", "no request was sent")
    if failed and (not complete or failed / total > max_error_rate):
        first = next(each for each in measured.records if each["state"] not in ("complete", "cancelled"))
        return Verdict("failed", f"{failed} of {total} answers failed; the first: {first['message']}")
    if cancelled:
        return Verdict("interrupted", f"{cancelled} of {total} answers had not ended")
    if "ttft" not in metrics:
        return Verdict("failed", f"none of {total} answers had any output")
    return _client(measured, metrics, error) or _load(measured, metrics) or _server(measured) or _fine(metrics, error)


def _client(measured: Measured, metrics: Mapping[str, Percentiles], error: SelfError | None) -> Verdict | None:
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = measured.cpu_seconds / measured.wall_seconds / processors
    if busy > _BUSY:
        return Verdict("client-bound", f"this client used {busy:.0%} of the machine's {processors} processors")
    if error is None:
        return None
    ttft = metrics["ttft"]
    if error.ttft.p50 >= ttft.p50:
        return Verdict(
            "client-bound",
            f"the TTFT ({ttft.p50 * 1e3:.2f} ms) is not longer than the client's error ({error.ttft.p50 * 1e3:.2f} ms)",
        )
    return None


def _load(measured: Measured, metrics: Mapping[str, Percentiles]) -> Verdict | None:
    load = measured.load
    if load.concurrency is not None:
        wanted = min(load.concurrency, len(measured.records))
        reached = mean_concurrency(measured)
        # With few requests for each place, there is no steady state in which all places are taken.
        if len(measured.records) >= 3 * wanted and reached < _REACHED * wanted:
            return Verdict("target load not reached", f"{reached:.1f} requests at a time instead of {wanted}")
        return None
    lag = metrics["lag"]
    if lag.p99 > _LATE_S:
        return Verdict("target load not reached", f"requests were sent late: {lag.p99 * 1e3:.1f} ms at p99")
    return None


def _server(measured: Measured) -> Verdict | None:
    """Whether answers of an open load take longer and longer: then they depend on how long was measured."""
    if measured.load.rate is None or len(measured.records) < _ENOUGH:
        return None
    times = [per_request(record)["e2e"] for record in measured.complete]
    third = len(times) // 3
    middle, last = of_requests(times[third : 2 * third]), of_requests(times[-third:])
    first = of_requests(times[:third])
    if first is None or middle is None or last is None:
        return None
    if last.p50 > _GROWTH * middle.p50 and middle.p50 > _GROWTH * first.p50:
        return Verdict(
            "server-bound",
            f"requests pile up: half of the answers took {first.p50:.2f} s in the first third of the run,"
            f" {middle.p50:.2f} s in the second, and {last.p50:.2f} s in the last",
        )
    return None


def _fine(metrics: Mapping[str, Percentiles], error: SelfError | None) -> Verdict:
    if error is None:
        return Verdict("valid", "as far as is known: the client's own error was not measured")
    share = error.ttft.p50 / metrics["ttft"].p50
    return Verdict("valid", f"the client's error is {share:.1%} of the TTFT at p50")


def mean_concurrency(measured: Measured) -> float:
    """How many requests were open on average, from the first request until the last was sent; of one, 1."""
    records = measured.records
    if not records:
        return 0.0
    began, last_sent = min(record["opened_ns"] for record in records), max(record["opened_ns"] for record in records)
    if last_sent == began:
        return float(len(records))
    spans = (min(record["ended_ns"], last_sent) - record["opened_ns"] for record in records)
    open_ns: int = sum(span for span in spans if span > 0)
    return open_ns / float(last_sent - began)
