"""A latency benchmark of a model's endpoint that knows its own error.

The requests are sent, and the answers stamped, by the native part. After the warm-up, the same load runs against a
server on this machine whose times are known: the report says what this client adds itself, and whether its figures mean
what they seem to mean.

Example:
    >>> from headrace import bench
    >>> from headrace.testing import Simulator
    >>> with Simulator(turns=[{"text": "Hello, world."}], pacing={"mode": "steady", "first_ms": 20}) as simulator:
    ...     report = bench.run(simulator.base_url, model="sim", requests=4, self_test=False)
    >>> report.requests, report.verdict.kind
    ({'complete': 4}, 'valid')
    >>> report.metrics["ttft"].p50 >= 0.020
    True

``docs/benchmarking.md`` has the definitions of the metrics, and how to read a report.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._bench.arrivals import Arrivals, Profile
from ._bench.asked import DEFAULT_REQUESTS, Asked
from ._bench.comparison import Change, Comparison, Rule, compare
from ._bench.findings import Limit, limits_of
from ._bench.foreign import read_json
from ._bench.loads import Load, Measured, Progress, Snapshot
from ._bench.merging import merged
from ._bench.metrics import DEFINITIONS, Percentiles, Stalls
from ._bench.report import Report, report_on
from ._bench.self_error import SelfError, Shape
from ._bench.statistics import Interval, Steady
from ._bench.sweeps import Sweep, swept
from ._bench.targets import Api, Connections
from ._bench.truth import Check, check_report
from ._bench.verdict import Verdict, VerdictKind
from .errors import ConfigurationError, HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from ._bench.agents import Runner

__all__ = [
    "DEFAULT_REQUESTS",
    "DEFINITIONS",
    "Api",
    "Arrivals",
    "Change",
    "Check",
    "Comparison",
    "Connections",
    "Interval",
    "Limit",
    "Load",
    "Measured",
    "Percentiles",
    "Profile",
    "Progress",
    "Report",
    "Rule",
    "SelfError",
    "Shape",
    "Snapshot",
    "Stalls",
    "Steady",
    "Sweep",
    "Verdict",
    "VerdictKind",
    "check_report",
    "compare",
    "merge",
    "read_report",
    "run",
    "self_error",
    "sweep",
]


def run(
    target: str | Runner,
    *,
    model: str | None = None,
    concurrency: int | None = None,
    rate: float | None = None,
    profile: Sequence[tuple[float, float]] | None = None,
    trace: str | PathLike[str] | None = None,
    trace_speed: float = 1.0,
    requests: int | None = None,
    duration: float | None = None,
    arrivals: Arrivals = "poisson",
    burstiness: float = 1.0,
    seed: int = 0,
    prompts: str | PathLike[str] | None = None,
    input_tokens: int | str | None = None,
    output_tokens: int | str | None = None,
    prefix_tokens: int = 0,
    prefixes: int = 1,
    api: Api = "chat",
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    connections: Connections = "warm",
    turns: int = 1,
    think: float = 0.0,
    warm_up: int | None = None,
    repeats: int = 1,
    self_test: bool = True,
    limits: Mapping[str, float] | None = None,
    max_error_rate: float = 0.0,
    stall_after: float | None = None,
    part: tuple[int, int] | None = None,
    start_at: float | None = None,
    progress: Progress | None = None,
    name: str | None = None,
) -> Report:
    """Measures the latency of a model's endpoint, or of an agent. Blocks until it is done.

    Args:
        target: The URL of an OpenAI-compatible endpoint, without ``/chat/completions``; a model that headrace can name,
            such as ``"local/smollm2-135m"`` or ``"anthropic/claude-haiku-4-5"``; or an agent or a workflow, which runs
            in this process, on an event loop of its own.
        model: For a URL, the model's name there; None for the first one that it lists.
        concurrency: How many requests at a time (closed load). 1 if no other load is given.
        rate: How many requests a second, whatever became of those before (open load).
        profile: A rate that changes: points of (seconds, requests a second), such as a ramp ``[(0, 10), (60, 100)]``.
        trace: A file of requests' times and lengths, in the form of Mooncake, BurstGPT or Azure, which is replayed with
            synthetic prompts.
        trace_speed: How many times as fast the trace is replayed.
        requests: How many requests altogether. 32 if neither this nor ``duration`` is given.
        duration: Seconds after which no request is sent.
        arrivals: How the requests of an open load follow each other: ``"constant"``, ``"poisson"`` or ``"gamma"``.
        burstiness: For ``"gamma"``: below 1 bursts, 1 as Poisson, above 1 more even.
        seed: The seed of the arrivals and of synthetic prompts.
        prompts: A file of prompts, sent in turn: JSON lines or a JSON list of strings, ``{"prompt": …}``,
            ``{"messages": […]}`` or ShareGPT's ``{"conversations": […]}``. None for some of ours.
        input_tokens: Synthetic prompts of so many tokens: a number, ``"100-900"``, ``"normal:512:100"`` or
            ``"lognormal:512:0.5"``. The server's own counts, in two requests before, tell how long a text must be.
        output_tokens: The most tokens of each answer, in the same forms.
        prefix_tokens: The length of a system message that synthetic prompts share.
        prefixes: How many different such messages there are.
        api: For a URL, the protocol: ``"chat"``, ``"responses"`` or ``"completions"``.
        api_key: The key; None to look in the environment, for a model.
        headers: More headers.
        parameters: More members of the requests' bodies, such as ``{"max_tokens": 100}``.
        connections: ``"warm"`` to use connections again, ``"cold"`` to open one for each request.
        turns: How many requests a conversation has. Each is sent when the one before was answered, and contains those
            answers; ``requests`` counts those of all turns, and a rate is that of the conversations.
        think: Seconds from an answer to the next request of its conversation.
        warm_up: How many requests are sent before, and not measured; None for as many as there are at a time, 256 at
            most; 4 for an open load.
        repeats: How often the load is sent. The intervals of the report are over the repeats, if there are several.
        self_test: Whether to measure the client's own error, which takes some seconds.
        limits: The most that is allowed (SLOs), in seconds: ``{"ttft_p99": 0.2}`` for a percentile of the run,
            ``{"ttft": 0.2}`` for each request, which counts for :attr:`Report.goodput`.
        max_error_rate: The share of answers that may fail in a valid run.
        stall_after: From how many seconds on a time between two outputs is a stall; None for ten times the median ITL,
            but at least 0.1.
        part: Send only a part of the load: (number from 0, how many parts). :func:`merge` puts the reports together.
        start_at: When the load begins, in seconds since 1970 (UTC), so that several machines begin together; None for
            at once. What comes before it (warm-up and own error) must be done by then.
        progress: Called a few times a second with a :class:`Snapshot`: how many requests were sent, ended, and failed.
        name: What the report calls an agent; None for its type.

    Returns:
        The report. If answers failed, it says so in its verdict and its records; it does not raise.

    Raises:
        ConfigurationError: An argument is not possible; the message says which and why.
        MissingKeyError: The provider needs a key, and there is none.
    """
    if not 0 <= max_error_rate <= 1:
        raise ConfigurationError(f"max_error_rate must be from 0 to 1, not {max_error_rate}")
    if repeats < 1:
        raise ConfigurationError(f"repeats must be at least 1, not {repeats}")
    checked = tuple(limits_of(limits or {}))
    asked = Asked(
        target,
        name=name,
        model=model,
        concurrency=concurrency,
        rate=rate,
        profile=profile,
        trace=trace,
        trace_speed=trace_speed,
        requests=requests,
        duration=duration,
        arrivals=arrivals,
        burstiness=burstiness,
        seed=seed,
        prompts=prompts,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        prefix_tokens=prefix_tokens,
        prefixes=prefixes,
        api=api,
        api_key=api_key,
        headers=headers or {},
        parameters=parameters or {},
        connections=connections,
        turns=turns,
        think=think,
        warm_up=warm_up,
        part=part,
    )
    entries = asked.entries()
    load, sender = asked.load(entries), asked.sender(entries)
    shape = asked.warmed(load, sender)
    # When all of the warm-up failed, the own error is of no use to anybody.
    error = asked.self_error(load, sender, shape) if self_test and shape is not None else None
    if start_at is not None:
        _wait_until(start_at)
    runs = list[Measured]()
    for number in range(repeats):
        # The arrivals of each repeat are others, or the repeats would tell nothing of them.
        again = replace(load, seed=seed + number)
        runs.append(sender.send(again, progress=progress, keep_interrupted=True))
        if any(record["state"] == "cancelled" for record in runs[-1].records):
            break
    return report_on(sender.target, sender.model, runs, error, checked, max_error_rate, stall_after)


def self_error(target: str | Runner, **options: Any) -> SelfError:
    """Measures only what this client, at this load, on this machine adds to what it measures.

    Args:
        target: As for :func:`run`. It is asked for the warm-up, whose answers give the shape of those of the truth
            server.
        **options: As for :func:`run`.

    Returns:
        The error.

    Raises:
        ConfigurationError: As for :func:`run`.
        HeadraceError: The target or the truth server did not answer.
    """
    asked = Asked.of(target, options)
    entries = asked.entries()
    load, sender = asked.load(entries), asked.sender(entries)
    shape = asked.warmed(load, sender)
    if shape is None:
        raise HeadraceError(f"{sender.target} did not answer, so the shape of its answers is not known")
    return asked.self_error(load, sender, shape)


def _wait_until(start_at: float) -> None:
    left = start_at - time.time()
    if left < 0:
        raise ConfigurationError(f"start_at was {-left:.1f} s before the warm-up and the own error were done")
    time.sleep(left)


def sweep(
    target: str | Runner,
    over: str = "concurrency",
    values: Sequence[float] = (1, 2, 4, 8, 16, 32),
    *,
    search: bool = False,
    **options: Any,
) -> Sweep:
    """Measures a target at several loads, and finds where it is full.

    Args:
        target: As for :func:`run`.
        over: What changes: ``"concurrency"`` or ``"rate"``.
        values: The loads, ascending.
        search: Whether to look for the highest load that meets the limits more closely: after the last value that meets
            them, the load is doubled until they are missed, and then halved in between.
        **options: As for :func:`run`. The client's own error is measured at each load.

    Returns:
        The reports, the knee, and the highest load that meets the limits.

    Raises:
        ConfigurationError: As for :func:`run`; or ``search`` without limits of the run.
    """

    def measure(value: float) -> Report:
        given: dict[str, Any] = {**options, over: int(value) if over == "concurrency" else value}
        return run(target, **given)

    return swept(measure, over, values, search=search)


def read_report(path: str | PathLike[str]) -> Report:
    """Reads a report that was saved as JSON.

    Raises:
        ConfigurationError: The file cannot be read, or is no report.
    """
    return Report.from_dict(read_json(Path(path)))


def merge(reports: Sequence[Report]) -> Report:
    """One report on the parts of a load that ran at the same time, in several processes or on several machines.

    Raises:
        ConfigurationError: There are none, or they are not of one model.
    """
    return merged(reports)
