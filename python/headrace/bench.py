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

from typing import TYPE_CHECKING, Any, Final

from ._bench.loads import Arrivals, Load, Measured, Progress, send
from ._bench.metrics import DEFINITIONS, Percentiles, summary
from ._bench.prompts import PROMPTS, read_prompts
from ._bench.report import Limit, Report, limits_of
from ._bench.self_error import SelfError, Shape, self_error, shape_of
from ._bench.targets import Target, prepared
from ._bench.verdict import Verdict, VerdictKind, verdict_on
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = [
    "DEFAULT_REQUESTS",
    "DEFINITIONS",
    "Arrivals",
    "Limit",
    "Load",
    "Measured",
    "Percentiles",
    "Progress",
    "Report",
    "SelfError",
    "Shape",
    "Verdict",
    "VerdictKind",
    "run",
    "self_error",
]

DEFAULT_REQUESTS: Final = 32
"""How many requests are sent if neither their number nor a duration is given."""


def run(
    target: str,
    *,
    model: str | None = None,
    concurrency: int | None = None,
    rate: float | None = None,
    requests: int | None = None,
    duration: float | None = None,
    arrivals: Arrivals = "poisson",
    burstiness: float = 1.0,
    seed: int = 0,
    prompts: str | PathLike[str] | None = None,
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    warm_up: int | None = None,
    self_test: bool = True,
    limits: Mapping[str, float] | None = None,
    max_error_rate: float = 0.0,
    progress: Progress | None = None,
) -> Report:
    """Measures the latency of a model's endpoint. Blocks until it is done.

    Args:
        target: The URL of an OpenAI-compatible endpoint, without ``/chat/completions``; or a model that headrace can
            name, such as ``"local/smollm2-135m"`` or ``"anthropic/claude-haiku-4-5"``. An agent is measured behind
            ``headrace serve``.
        model: For a URL, the model's name there; None for the first one that it lists.
        concurrency: How many requests at a time (closed load). 1 if neither this nor ``rate`` is given.
        rate: How many requests a second, whatever became of those before (open load).
        requests: How many requests altogether. 32 if neither this nor ``duration`` is given.
        duration: Seconds after which no request is sent.
        arrivals: How the requests of an open load follow each other: ``"constant"``, ``"poisson"`` or ``"gamma"``.
        burstiness: For ``"gamma"``: below 1 bursts, 1 as Poisson, above 1 more even.
        seed: The seed of the arrivals.
        prompts: A file of prompts, sent in turn: JSON lines or a JSON list of strings, ``{"prompt": …}``,
            ``{"messages": […]}`` or ShareGPT's ``{"conversations": […]}``. None for some of ours.
        api_key: The key; None to look in the environment, for a model.
        headers: More headers.
        parameters: More members of the requests' bodies, such as ``{"max_tokens": 100}``.
        warm_up: How many requests are sent before, and not measured; None for as many as there are at a time, 16 at
            most; 4 for an open load.
        self_test: Whether to measure the client's own error, which takes some seconds.
        limits: The most that is allowed (SLOs), in seconds: ``{"ttft_p99": 0.2}`` for a percentile of the run,
            ``{"ttft": 0.2}`` for each request, which counts for :attr:`Report.goodput`.
        max_error_rate: The share of answers that may fail in a valid run.
        progress: Called a few times a second with how many requests were sent, ended, and failed.

    Returns:
        The report. If answers failed, it says so in its verdict and its records; it does not raise.

    Raises:
        ConfigurationError: An argument is not possible; the message says which and why.
        MissingKeyError: The provider needs a key, and there is none.
    """
    if concurrency is None and rate is None:
        concurrency = 1
    if requests is None and duration is None:
        requests = DEFAULT_REQUESTS
    load = Load(concurrency, rate, requests, duration, arrivals, burstiness, seed)
    if not 0 <= max_error_rate <= 1:
        raise ConfigurationError(f"max_error_rate must be from 0 to 1, not {max_error_rate}")
    checked = tuple(limits_of(limits or {}))
    asked = Target(target, model, api_key, headers or {}, parameters or {})
    native, options, name = prepared(asked, _prompts(prompts))
    warm = _warm_up(load) if warm_up is None else warm_up
    warmed = None
    if warm:
        warmed = send(Load(concurrency=min(warm, load.concurrency or warm), requests=warm), native, options)
    # When all of the warm-up failed, the own error is of no use to anybody.
    is_wanted = self_test and (warmed is None or bool(warmed.complete))
    error = self_error(load, Shape() if warmed is None else shape_of(warmed)) if is_wanted else None
    measured = send(load, native, options, progress=progress, keep_interrupted=True)
    metrics = summary(measured)
    verdict = verdict_on(measured, metrics, error, max_error_rate)
    return Report(target, name, verdict, metrics, error, measured, checked)


def _warm_up(load: Load) -> int:
    return min(load.concurrency or 4, 16)


def _prompts(path: str | PathLike[str] | None) -> Any:
    from pathlib import Path

    return PROMPTS if path is None else read_prompts(Path(path))
