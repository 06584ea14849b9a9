"""Which load to send, and sending it."""

from __future__ import annotations

import json
import random
import resource
import time
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from headrace import _native
from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace._providers.requests import PreparedRequest

__all__ = ["Arrivals", "Load", "Measured", "Progress", "send"]

Arrivals: TypeAlias = Literal["constant", "poisson", "gamma"]
"""How the requests of an open load follow each other."""

Progress: TypeAlias = "Callable[[int, int, int], object]"
"""Is called now and then with how many requests were sent, how many ended, and how many of these failed."""

_LOOK: float = 0.2
"""Seconds between two calls of a progress function."""

_FILES_BESIDE = 64
"""Files that a process has open besides its connections."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load: closed if it has a concurrency, open if it has a rate.

    Attributes:
        concurrency: How many requests at a time.
        rate: How many requests a second, whatever became of those before.
        requests: How many requests altogether; None for as many as there is time for.
        duration: Seconds after which no request is sent; None for no limit.
        arrivals: How the requests of an open load follow each other: at equal times, as a Poisson process, or with
            gamma-distributed times between them.
        burstiness: The shape of the gamma distribution, as in vLLM: below 1 bursts, 1 Poisson, above 1 more even.
        seed: The seed of the times.
    """

    concurrency: int | None = None
    rate: float | None = None
    requests: int | None = None
    duration: float | None = None
    arrivals: Arrivals = "poisson"
    burstiness: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.concurrency is None) == (self.rate is None):
            raise ConfigurationError("a load has either a concurrency or a rate")
        if self.requests is None and self.duration is None:
            raise ConfigurationError("a load needs a number of requests or a duration, or it would never end")
        for name in ("concurrency", "rate", "requests", "duration", "burstiness"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigurationError(f"{name} must be above zero, not {value}")
        if self.arrivals not in ("constant", "poisson", "gamma"):
            raise ConfigurationError(f"arrivals must be 'constant', 'poisson' or 'gamma', not {self.arrivals!r}")

    def dues(self) -> list[float]:
        """When each request of an open load is sent, in seconds from the start."""
        rate = self.rate or 1.0
        source = random.Random(self.seed)  # noqa: S311 - not a secret
        at, dues = 0.0, list[float]()
        while len(dues) != self.requests and (self.duration is None or at < self.duration):
            dues.append(at)
            if self.arrivals == "constant":
                at = len(dues) / rate
            elif self.arrivals == "poisson":
                at += source.expovariate(rate)
            else:
                at += source.gammavariate(self.burstiness, 1 / (rate * self.burstiness))
        return dues

    def limited(self, requests: int, seconds: float) -> Load:
        """The same load, but with at most so many requests, for at most so long."""
        return replace(
            self,
            requests=min(requests, self.requests or requests),
            duration=min(seconds, self.duration or seconds),
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a load.

    Attributes:
        load: The load.
        tally: What the native load generator knows; its records are in the order in which they were sent.
        cpu_seconds: The processor time of this process.
        wall_seconds: How long it took.
    """

    load: Load
    tally: dict[str, Any]
    cpu_seconds: float
    wall_seconds: float

    @property
    def records(self) -> list[dict[str, Any]]:
        """One for each request."""
        records: list[dict[str, Any]] = self.tally["records"]
        return records

    @property
    def complete(self) -> list[dict[str, Any]]:
        """Those whose answers are complete."""
        return [record for record in self.records if record["state"] == "complete"]


def send(
    load: Load,
    requests: Sequence[PreparedRequest],
    options: _native.StreamOptions,
    *,
    stamped: bool = False,
    progress: Progress | None = None,
    keep_interrupted: bool = False,
) -> Measured:
    """Sends a load, and waits until all answers have ended.

    Args:
        load: The load.
        requests: The requests; they are sent in turn.
        options: How to connect and how long to wait.
        stamped: Whether the answers are stamps of the simulator.
        progress: Called a few times a second.
        keep_interrupted: After a ``KeyboardInterrupt``, return what was measured instead of raising it. Answers that
            had not ended are ``cancelled``.

    Returns:
        What was measured.
    """
    _allow_files(load.concurrency)
    natives = [(each.url, each.headers, each.body, each.dialect) for each in requests]
    cpu, wall = time.process_time(), time.monotonic()
    if load.concurrency is not None:
        run = _native.Load(
            natives,
            options,
            concurrency=load.concurrency,
            count=load.requests,
            duration=load.duration,
            stamped=stamped,
        )
    else:
        run = _native.Load(natives, options, dues=load.dues(), duration=load.duration, stamped=stamped)
    try:
        while not run.wait(_LOOK):
            if progress is not None:
                progress(*run.progress())
    except BaseException as error:
        run.stop()
        if not (keep_interrupted and isinstance(error, KeyboardInterrupt)):
            raise
        run.wait(10)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    tally: dict[str, Any] = json.loads(run.tally())
    records: list[dict[str, Any]] = tally["records"]
    records.sort(key=itemgetter("index"))
    return Measured(load, tally, cpu, wall)


def _allow_files(connections: int | None) -> None:
    """Raises the limit of open files as far as the system lets us: an open load may need any number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if connections is not None and hard not in (-1, resource.RLIM_INFINITY) and connections + _FILES_BESIDE > hard:
        raise ConfigurationError(
            f"this system lets a process open {hard} files, too few for {connections} connections; raise `ulimit -n`"
        )
