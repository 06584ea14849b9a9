"""The targets of issues 5 and 12, and whether a run met them. The medians count."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from results import LABELS, Results, Spread
from scenarios import STREAMS

CRITERION = Path(__file__).parent.parent.parent / "target" / "criterion"
GROWS = 1.2  # by how much the cost of a token may rise from one size to a larger one before it counts as growing


@dataclass(frozen=True)
class Target:
    """A target.

    Attributes:
        met: None if this run has not measured it.
    """

    what: str
    wanted: str
    measured: str
    met: bool | None


def targets(results: Results) -> list[Target]:
    """All targets, in the order of the issue. A target without a name is about the same thing as the one before."""
    sync, awaited = "headrace_sync", "headrace_async"
    return [
        ratio(results, "`run_stream`, one burst stream", "burst-coalesce", sync, "aiohttp", 5),
        ratio(results, "", "burst-coalesce", sync, "openai", 250),
        ratio(results, "", "burst-coalesce", sync, "swarms_sync", 2000),
        most(results, "", "burst-coalesce", sync, "cpu_us", 0.6, "CPU µs/token"),
        ratio(results, "`arun_stream`, the same", "burst-coalesce", awaited, "aiohttp", 4),
        most(results, "", "burst-coalesce", awaited, "cpu_us", 0.7, "CPU µs/token"),
        ratio(results, "one HTTP chunk per frame, `run_stream`", "burst-frame", sync, "aiohttp", 4),
        ratio(results, "the same, `arun_stream`", "burst-frame", awaited, "aiohttp", 4),
        all_complete(results, "1000 `arun_stream`s, a token every 20 ms", "paced-1000"),
        most(results, "", "paced-1000", awaited, "p99_ms", 10, "ms, p99 latency of all tokens"),
        most(results, "", "paced-1000", awaited, "settled_p99_ms", 10, "ms, p99 once all streams have begun"),
        ratio(results, "", "paced-1000", "aiohttp", awaited, 15, "p99_ms", "aiohttp’s p99 over ours"),
        most(results, "", "paced-1000", awaited, "cpu_us", 8, "CPU µs/token"),
        most(results, "", "paced-1000", awaited, "rss_mb", 100, "MB RSS"),
        all_complete(results, "10 000 `arun_stream`s, a token a second", "idle"),
        most(results, "", "idle", awaited, "rss_mb", 300, "MB RSS"),
        most(results, "no thread per stream", "idle", awaited, "threads", 16, "threads"),
        most(results, "warm TTFT, `run_stream`", "ttft", sync, "p50_us", 250, "µs, p50"),
        most(results, "warm TTFT, `arun_stream`", "ttft", awaited, "p50_us", 300, "µs, p50"),
        most(results, "`close()` until the server sees it", "cancel", sync, "p50_us", 1000, "µs, p50"),
        most(results, "`task.cancel()` until the server sees it", "cancel", awaited, "p50_us", 1000, "µs, p50"),
        most(results, "`import headrace`", "import", sync, "import_ms", 60, "ms"),
        most(results, "", "import", sync, "rss_mb", 25, "MB over bare Python"),
        no_litellm(results),
        *of_issue_12(results),
        throughput("SSE decode alone", "sse", 2),
        throughput("SSE and OpenAI dialect", "sse_openai_chat", 1),
        flat_answers(results),
        flat_streams(results),
    ]


def of_issue_12(results: Results) -> list[Target]:
    """The targets of issue 12, in its order."""
    sync, awaited, floor = "headrace_sync", "headrace_async", "socket_sync"
    return [
        at_most(results, "1000 paced streams, CPU µs/token", "paced-1000", awaited, floor, 1.4, "cpu_us"),
        at_most(results, "", "paced-1000", awaited, "aiohttp", 0.6, "cpu_us"),
        most(results, "", "paced-1000", awaited, "settled_p99_ms", 5, "ms, p99 once all streams have begun"),
        ratio(results, "", "paced-1000", "aiohttp", awaited, 10, "p99_ms", "aiohttp’s p99 over ours"),
        all_complete(results, "3000 `arun_stream`s, a token every 100 ms", "paced-3000"),
        most(results, "", "paced-3000", awaited, "p99_ms", 20, "ms, p99 latency of all tokens"),
        ratio(results, "one HTTP chunk per token, `run_stream`", "burst-frame", sync, "aiohttp", 10),
        ratio(results, "the same, `arun_stream`", "burst-frame", awaited, "aiohttp", 10),
        ratio(results, "burst, of unparsed socket bytes", "burst-coalesce", sync, floor, 0.5),
        most(results, "10 000 waiting streams", "idle", awaited, "rss_mb", 180, "MB RSS"),
        at_most(results, "warm TTFT, `run_stream`", "ttft", sync, floor, 1.6, "p50_us"),
        at_most(results, "", "ttft", sync, "pyreqwest_sync", 1, "p50_us"),
        at_most(results, "warm TTFT, `arun_stream`", "ttft", awaited, floor, 1.9, "p50_us"),
        at_most(results, "", "ttft", awaited, "pyreqwest", 1, "p50_us"),
    ]


def at_most(results: Results, what: str, scenario: str, over: str, under: str, limit: float, field: str) -> Target:
    """An upper limit of the ratio of two clients' fields."""
    found = results.ratio(scenario, field, over, under)
    wanted = f"≤ {limit} × {LABELS[under]}"
    return judge(what, wanted, found, " ×", None if found is None else found.median <= limit)


def ratio(
    results: Results,
    what: str,
    scenario: str,
    over: str,
    under: str,
    least: float,
    field: str = "rate",
    name: str | None = None,
) -> Target:
    """The ratio of two clients' fields."""
    found = results.ratio(scenario, field, over, under)
    wanted = f"≥ {least} × {under.removesuffix('_sync')}" if name is None else f"≥ {least}: {name}"
    return judge(what, wanted, found, " ×", None if found is None else found.median >= least)


def most(results: Results, what: str, scenario: str, client: str, field: str, limit: float, unit: str) -> Target:
    """An upper limit of a field."""
    found = results.spread(scenario, client, field)
    return judge(what, f"≤ {limit} {unit}", found, "", None if found is None else found.median <= limit)


def judge(what: str, wanted: str, found: Spread | None, unit: str, met: bool | None) -> Target:
    """A target for one number."""
    return Target(what, wanted, "–" if found is None else f"{found.text()}{unit}", met)


def all_complete(results: Results, what: str, scenario: str) -> Target:
    """Every stream of every repeat ended complete, and none was stopped."""
    records = results.of(scenario, "headrace_async")
    if not records:
        return Target(what, "all complete", "–", None)
    least = min(record["result"].get("complete", 0) for record in records)
    return Target(what, "all complete", f"{least} at the worst", least == records[0]["streams"])


def no_litellm(results: Results) -> Target:
    """litellm is not loaded for a plain endpoint."""
    records = [record for client in ("headrace_sync", "headrace_async") for record in results.of("ttft", client)]
    loaded = any(record["result"].get("loads_litellm", True) for record in records)
    what, wanted = "litellm, for an OpenAI-compatible endpoint", "not loaded"
    return Target(what, wanted, ("loaded" if loaded else wanted) if records else "–", not loaded if records else None)


def throughput(what: str, bench: str, least: float) -> Target:
    """Gigabytes per second, from the last run of criterion (``make bench``)."""
    folder = CRITERION / "decode" / bench / "new"
    wanted = f"≥ {least} GB/s"
    if not (folder / "estimates.json").exists():
        return Target(what, wanted, "`make bench` measures it", None)
    estimate = json.loads((folder / "estimates.json").read_text())["median"]["point_estimate"]
    size = json.loads((folder / "benchmark.json").read_text())["throughput"]["Bytes"]
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime((folder / "estimates.json").stat().st_mtime))
    speed = size / estimate
    return Target(what, wanted, f"{speed:.2f} GB/s, by `make bench` of {when} UTC", speed >= least)


def flat_answers(results: Results) -> Target:
    """A token of a long answer costs no more than one of a shorter answer."""
    costs: dict[int, list[float]] = {}
    for record in results.of("growth", "headrace_async"):
        for size, cost in record["result"].get("sizes", {}).items():
            costs.setdefault(int(size), []).append(cost["cpu_us"])
    medians = {size: Spread(tuple(values)).median for size, values in sorted(costs.items())}
    return flat("cost per token, answers of 1 to 10 000 tokens", medians)


def flat_streams(results: Results) -> Target:
    """A token costs no more with many streams than with one."""
    found = {streams: results.spread(f"paced-{streams}", "headrace_async", "cpu_us") for streams in STREAMS}
    medians = {streams: spread.median for streams, spread in found.items() if spread is not None}
    return flat("cost per token, 1 to 1000 streams", medians)


def flat(what: str, medians: dict[int, float]) -> Target:
    """The cost does not rise with the size."""
    wanted = f"does not grow (≤ {GROWS} × that of any smaller size)"
    if len(medians) < 2:
        return Target(what, wanted, "–", None)
    costs = list(medians.values())
    met = all(cost <= GROWS * min(costs[:index]) for index, cost in enumerate(costs) if index)
    return Target(what, wanted, "; ".join(f"{size}: {cost:.3g} µs" for size, cost in medians.items()), met)
