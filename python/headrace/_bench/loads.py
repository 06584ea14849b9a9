"""Which load to send, and sending it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from itertools import islice, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from headrace import _native
from headrace.errors import ConfigurationError

from .arrivals import Arrivals, Profile, arrival_times, check_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace._providers.requests import PreparedRequest

__all__ = ["LOOK", "Load", "Measured", "Progress", "Snapshot", "as_measured", "send"]


class Snapshot(NamedTuple):
    """How far a load is.

    Attributes:
        sent: How many requests were sent.
        done: How many answers ended.
        failed: How many of these failed.
        ttft_p50: The median TTFT so far, in seconds; None before the first answer is complete.
        ttft_p99: The 99th percentile.
    """

    sent: int
    done: int
    failed: int
    ttft_p50: float | None = None
    ttft_p99: float | None = None


Progress: TypeAlias = "Callable[[Snapshot], object]"
"""Is called a few times a second with how far a load is."""

LOOK: Final = 0.2
"""Seconds between two calls of a progress function."""

_FILES_BESIDE: Final = 64
"""Files that a process has open besides its connections."""

_KINDS: Final = ("concurrency", "rate", "profile", "times")


@dataclass(frozen=True, slots=True)
class Load:
    """A load: closed if it has a concurrency, open if it has a rate, a profile or times.

    Attributes:
        concurrency: How many requests at a time.
        rate: How many requests a second, whatever became of those before.
        profile: A rate that changes: points of (seconds, requests a second). A ramp is ``((0, 10), (60, 100))``, a step
            ``((0, 10), (30, 10), (30, 20))``. Without a duration or requests, it ends at its last point.
        times: When each request is sent, in seconds, as in a trace.
        requests: How many requests altogether; None for as many as there is time for.
        duration: Seconds after which no request is sent; None for no limit.
        arrivals: How the requests of an open load follow each other: at equal times, as a Poisson process, or with
            gamma-distributed times between them.
        burstiness: The shape of the gamma distribution, as in vLLM: below 1 bursts, 1 Poisson, above 1 more even.
        seed: The seed of the times.
        turns: How many requests a conversation has; each contains the answers before it.
        think: Seconds from an answer to the next request of its conversation.
    """

    concurrency: int | None = None
    rate: float | None = None
    requests: int | None = None
    duration: float | None = None
    arrivals: Arrivals = "poisson"
    burstiness: float = 1.0
    seed: int = 0
    profile: Profile | None = None
    times: tuple[float, ...] | None = None
    turns: int = 1
    think: float = 0.0

    def __post_init__(self) -> None:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ConfigurationError("a load has either a concurrency or a rate, or else a profile or times")
        for name in ("concurrency", "rate", "requests", "duration", "burstiness"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigurationError(f"{name} must be above zero, not {value}")
        if self.turns < 1 or not 0 <= self.think < float("inf"):
            raise ConfigurationError(
                f"turns must be at least 1 and think at least 0, not {self.turns} and {self.think}"
            )
        if self.arrivals not in ("constant", "poisson", "gamma"):
            raise ConfigurationError(f"arrivals must be 'constant', 'poisson' or 'gamma', not {self.arrivals!r}")
        if self.requests is None and self.duration is None:
            self._need_end()

    def _need_end(self) -> None:
        if self.profile is not None and check_profile(self.profile)[-1][0] > 0:
            object.__setattr__(self, "duration", self.profile[-1][0])
        elif not self.times:
            raise ConfigurationError("a load needs a number of requests or a duration, or it would never end")

    def dues(self) -> list[float]:
        """When each request of an open load is sent, in seconds from the start."""
        times = self._times()
        if self.duration is not None:
            limit = self.duration
            times = takewhile(lambda at: at < limit, times)
        return list(islice(times, self.requests))

    def _times(self) -> Any:
        if self.times is not None:
            return iter(self.times)
        profile = check_profile(self.profile or ((0.0, self.rate or 1.0),))
        return arrival_times(profile, self.arrivals, self.burstiness, self.seed)

    def limited(self, requests: int, seconds: float) -> Load:
        """The same load, but with at most so many requests, for at most so long."""
        return replace(
            self,
            requests=min(requests, self.requests or requests),
            duration=min(seconds, self.duration or seconds),
        )

    def part(self, number: int, of: int) -> Load:
        """A part of the load, for one of several processes: the parts together are the load.

        Args:
            number: Which part, from 0.
            of: How many parts there are.

        Raises:
            ConfigurationError: There is no such part, or too few places or requests for so many.
        """
        if not 0 <= number < of:
            raise ConfigurationError(f"there is no part {number + 1} of {of}")
        requests = None if self.requests is None else (self.requests - number + of - 1) // of
        if self.concurrency is not None:
            places = (self.concurrency - number + of - 1) // of
            if not places or requests == 0:
                raise ConfigurationError(f"a load of {self.concurrency} at a time has no {of} parts")
            return replace(self, concurrency=places, requests=requests)
        times = tuple(self.dues()[number::of])
        if not times:
            raise ConfigurationError(f"the load has too few requests for {of} parts")
        return Load(times=times, duration=self.duration, seed=self.seed, turns=self.turns, think=self.think)

    def to_dict(self) -> dict[str, Any]:
        """The load as a dict of plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Load:
        """The load of :meth:`to_dict`, after JSON."""
        given = dict(values)
        if given["profile"] is not None:
            given["profile"] = tuple((at, rate) for at, rate in given["profile"])
        if given["times"] is not None:
            given["times"] = tuple(given["times"])
        return cls(**given)


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
            turns=load.turns,
            think=load.think,
            stamped=stamped,
        )
    else:
        run = _native.Load(
            natives,
            options,
            dues=load.dues(),
            duration=load.duration,
            turns=load.turns,
            think=load.think,
            stamped=stamped,
        )
    try:
        while not run.wait(LOOK):
            if progress is not None:
                progress(_snapshot(*run.progress()))
    except BaseException as error:
        run.stop()
        if not (keep_interrupted and isinstance(error, KeyboardInterrupt)):
            raise
        run.wait(10)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    return as_measured(load, json.loads(run.tally()), cpu, wall)


def _snapshot(sent: int, done: int, failed: int, p50_ns: int | None, p99_ns: int | None) -> Snapshot:
    seconds = (None if each is None else each / 1e9 for each in (p50_ns, p99_ns))
    return Snapshot(sent, done, failed, *seconds)


def as_measured(load: Load, tally: dict[str, Any], cpu_seconds: float, wall_seconds: float) -> Measured:
    """What was measured, with its records in the order in which they were sent."""
    records: list[dict[str, Any]] = tally["records"]
    records.sort(key=itemgetter("index"))
    return Measured(load, tally, cpu_seconds, wall_seconds)


def _allow_files(connections: int | None) -> None:
    """Raises the limit of open files as far as the system lets us: an open load may need any number."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if connections is not None and hard not in (-1, resource.RLIM_INFINITY) and connections + _FILES_BESIDE > hard:
        raise ConfigurationError(
            f"this system lets a process open {hard} files, too few for {connections} connections; raise `ulimit -n`"
        )
