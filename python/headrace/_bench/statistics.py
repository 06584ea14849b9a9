"""How sure a figure is: intervals, differences, and where a run is steady."""

from __future__ import annotations

import bisect
import math
import random
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .loads import Measured
    from .metrics import Steps

__all__ = ["Interval", "Steady", "interval_of_means", "interval_of_steps", "resampled", "steady_state", "student"]

_DRAWS: Final = 2000
_TAIL: Final = 0.025
_BATCH: Final = 5
_FEW: Final = 10
_NOTICEABLE: Final = 0.02
_QUANTILES: Final = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}

# The quantiles 0.975 of Student's t for 1, 2, … degrees of freedom; for more than these, the normal distribution's.
_T: Final = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)

Interval = tuple[float, float]
"""Where a figure is with 95 % confidence."""


@dataclass(frozen=True, slots=True)
class Steady:
    """From where on a run is steady.

    Attributes:
        after: How many of the first requests are before it.
        of: How many requests there were.
        found: Whether a steady state was found: not if more than half of the requests are before it.
    """

    after: int
    of: int
    found: bool


def student(degrees: float) -> float:
    """The quantile 0.975 of Student's t; degrees are rounded down, so that an interval is never too narrow."""
    index = max(1, math.floor(degrees)) - 1
    return _T[index] if index < len(_T) else 1.96


def interval_of_means(values: Sequence[float]) -> Interval | None:
    """The interval of a figure that was measured in several runs, by Student's t; None for fewer than two."""
    if len(values) <= 1:
        return None
    half = student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def resampled(steps: Steps, figure: str, independent: int, seed: int = 0) -> list[float] | None:
    """The figure in resamples of a distribution (bootstrap), in nanoseconds.

    A percentile of a resample is an order statistic, whose rank in the sample is beta-distributed: so it is drawn
    directly.

    Args:
        steps: The distribution.
        figure: ``"mean"`` or a percentile.
        independent: How many independent values it has. The gaps of one answer depend on each other, so there are only
            as many as answers.
        seed: Two distributions that are compared need two.

    Returns:
        The figures; None if they say nothing (no values, or the maximum).
    """
    total = sum(count for _, count in steps)
    size = min(total, independent)
    if not size or (figure != "mean" and figure not in _QUANTILES):
        return None
    source = random.Random(seed)  # noqa: S311 - not a secret
    if figure == "mean":
        mean = sum(value * count for value, count in steps) / total
        spread = math.sqrt(sum((value - mean) ** 2 * count for value, count in steps) / total / size)
        return [source.gauss(mean, spread) for _ in range(_DRAWS)]
    upto = list(accumulate(count for _, count in steps))
    rank = math.ceil(_QUANTILES[figure] * size)
    draws = (source.betavariate(rank, size - rank + 1) for _ in range(_DRAWS))
    return [steps[bisect.bisect_left(upto, draw * total)][0] for draw in draws]


def interval_of_steps(steps: Steps, figure: str, independent: int) -> Interval | None:
    """The interval of a figure of one run, in seconds, by resampling its requests."""
    draws = resampled(steps, figure, independent)
    if draws is None:
        return None
    draws.sort()
    return draws[int(_TAIL * len(draws))] / 1e9, draws[int((1 - _TAIL) * len(draws)) - 1] / 1e9


def steady_state(measured: Measured) -> Steady | None:
    """Where a run is steady, by the rule MSER-5 (White 1997) on the times to the first output.

    The rule leaves out so many of the first values (in batches of five) that the mean of the rest is the surest.

    Returns:
        Where; None if there are too few requests to tell.
    """
    ordered = sorted(measured.complete, key=_opened)
    times = [each["first_output_ns"] - each["opened_ns"] for each in ordered if each["first_output_ns"] is not None]
    batches = [fmean(times[at : at + _BATCH]) for at in range(0, len(times) - _BATCH + 1, _BATCH)]
    if len(batches) < _FEW:
        return None
    errors = list(_squared_errors(batches))
    best = min(range(len(errors)), key=errors.__getitem__)
    half = len(batches) // 2
    # A difference that nobody would notice is no reason to leave anything out.
    if abs(fmean(batches[best:]) - fmean(batches)) < _NOTICEABLE * fmean(batches):
        return Steady(0, len(times), found=True)
    return Steady(min(best, half) * _BATCH, len(times), best < half)


def _squared_errors(batches: Sequence[float]) -> Iterator[float]:
    """For each number of batches left out: the square of the standard error of the mean of the rest."""
    shift = fmean(batches)  # sums of squares of small numbers keep their digits
    centred = [value - shift for value in batches]
    total, squares = sum(centred), sum(value * value for value in centred)
    for left_out, value in enumerate(centred[:-_BATCH]):
        count = len(centred) - left_out
        yield max(0.0, squares - total * total / count) / count**2
        total, squares = total - value, squares - value * value


def _opened(record: dict[str, Any]) -> int:
    opened: int = record["opened_ns"]
    return opened
