"""When the requests of an open load are sent."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Arrivals", "Profile", "arrival_times", "check_profile", "parse_profile"]

Arrivals: TypeAlias = Literal["constant", "poisson", "gamma"]
"""How the requests of an open load follow each other."""

Profile: TypeAlias = "tuple[tuple[float, float], ...]"
"""How a rate changes: (seconds, requests a second). Between two points it changes evenly, and two points of one time
are a step."""


def parse_profile(text: str) -> Profile:
    """Parses a profile such as ``0:10,30:100``.

    Raises:
        ConfigurationError: It has another form.
    """
    try:
        points = [point.split(":") for point in text.split(",")]
        return check_profile([(float(at), float(rate)) for at, rate in points])
    except ValueError:
        raise ConfigurationError(
            f"a profile needs SECONDS:RATE,SECONDS:RATE,…, such as 0:10,60:100, not {text!r}"
        ) from None


def check_profile(profile: Sequence[tuple[float, float]]) -> Profile:
    """Checks a profile.

    Raises:
        ConfigurationError: It does not begin at 0, goes back in time, or has a rate that is not possible.
    """
    times = [at for at, _ in profile]
    rates = [rate for _, rate in profile]
    if not profile or times[0] != 0 or any(after < before for before, after in pairwise(times)):
        raise ConfigurationError(f"the times of a profile begin at 0 and never go back; these are {times}")
    if not all(0 <= rate < math.inf for rate in rates) or not any(rates) or times[-1] == math.inf:
        raise ConfigurationError(f"a profile needs rates from 0, one of them above it; these are {rates}")
    return tuple((float(at), float(rate)) for at, rate in profile)


def arrival_times(profile: Profile, arrivals: Arrivals, burstiness: float, seed: int) -> Iterator[float]:
    """The times of requests, in seconds from the start, without an end unless the last rate is 0.

    A process of rate 1 is stretched: where the rate is r, its time runs r times as fast. So the times of a changing
    rate are exact, whatever the arrivals are.
    """
    source = random.Random(seed)  # noqa: S311 - not a secret
    passed = 0.0
    while (at := _when(profile, passed)) is not None:
        yield at
        if arrivals == "constant":
            passed += 1.0
        elif arrivals == "poisson":
            passed += source.expovariate(1.0)
        else:
            passed += source.gammavariate(burstiness, 1 / burstiness)


def _when(profile: Profile, wanted: float) -> float | None:
    """The time until which a rate amounts to so many requests; None if it never does."""
    for (began, rate), (ended, later_rate) in pairwise(profile):
        span = ended - began
        amount = (rate + later_rate) / 2 * span
        if wanted <= amount and amount > 0:
            # rate * x + slope / 2 * x^2 = wanted, in the form that is exact for a slope of 0, too.
            slope = (later_rate - rate) / span
            root = math.sqrt(max(0.0, rate * rate + 2 * slope * wanted))
            return began + (2 * wanted / (rate + root) if rate + root else 0.0)
        wanted -= amount
    last, rate = profile[-1]
    return last + wanted / rate if rate else None
