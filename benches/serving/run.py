"""Compares ``headrace serve`` with litellm's proxy and with an endpoint written by hand: ``make bench-serving``.

All three answer from the same upstream (headrace's simulator), with one process each, one after the other. The clients
are bare sockets. Writes ``results.md`` beside this file. Takes some ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from load import Measured, leave, read
from servers import SERVERS, Process, Upstream

HERE = Path(__file__).parent
RAW = HERE.parent.parent / ".bench" / "serving"
WORDS = ["The", " wheel", " turns", " while", " the", " water", " runs", " down", " the", " channel."]
LONG = {"headrace": 300_000, "by_hand": 20_000, "litellm": 5_000}
PACED_TOKENS = 250  # five seconds at 50 a second
STREAMS = (1, 100, 1000)
MODELS = ["short", "paced", "first", "stall", *(f"long{count}" for count in LONG.values())]


def script() -> dict[str, Any]:
    """The upstream's answers, by the name of the model."""
    long = [
        {"when": {"model": f"long{count}"}, "text": WORDS, "repeat": count // len(WORDS)} for count in LONG.values()
    ]
    steady = {"mode": "steady", "interval_ms": 20}
    return {
        "stamp": True,
        "chunking": "frame",
        "turns": [
            *long,
            {"when": {"model": "short"}, "text": WORDS},
            {"when": {"model": "first"}, "text": ["Yes."]},
            {"when": {"model": "paced"}, "text": WORDS, "repeat": PACED_TOKENS // len(WORDS), "pacing": steady},
            {"when": {"model": "stall"}, "text": WORDS, "fault": {"kind": "stall", "after": 2}},
        ],
    }


def quantile(values: list[int], share: float) -> float:
    """A quantile in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6 if ordered else float("nan")


class Sitting:
    """One server's measurements."""

    def __init__(self, key: str, server: Process, upstream: Upstream) -> None:
        self.key, self.server, self.upstream = key, server, upstream
        self.figures: dict[str, Any] = {"name": server.name, "idle_mb": server.memory()}

    def _spent(self, model: str, **load: Any) -> tuple[Measured, float]:
        before = self.server.cpu()
        measured = read(self.server.url, model, **load)
        return measured, self.server.cpu() - before

    def measure(self, repeats: int) -> dict[str, Any]:
        """All of them; each the median of the repeats."""
        read(self.server.url, "short", at_once=4, requests=20, seconds=30)  # warm
        for name, one in (("long", self._long), ("short", self._short), ("first", self._first), ("leave", self._leave)):
            self._repeat(name, one, repeats)
        for streams in STREAMS:
            self._repeat(f"paced-{streams}", lambda streams=streams: self._paced(streams), repeats)
        return self.figures

    def _repeat(self, name: str, one: Any, repeats: int) -> None:
        results = [one() for _ in range(repeats)]
        self.figures[name] = {figure: statistics.median(result[figure] for result in results) for figure in results[0]}
        print(f"  {self.server.name} {name}: {json.dumps(self.figures[name])}", flush=True)

    def _long(self) -> dict[str, float]:
        count = LONG[self.key]
        measured, cpu = self._spent(f"long{count}", at_once=2, requests=2, seconds=60)
        return {
            "tokens_per_second": measured.tokens / measured.seconds,
            "tokens_per_core_second": measured.tokens / cpu,
            "complete": measured.complete / measured.asked,
        }

    def _short(self) -> dict[str, float]:
        measured, cpu = self._spent("short", at_once=16, requests=5000, seconds=4)
        return {"per_second": measured.complete / measured.seconds, "cpu_ms": cpu * 1e3 / max(1, measured.complete)}

    def _first(self) -> dict[str, float]:
        own = read(self.server.url, "first", at_once=1, requests=200, seconds=10)
        direct = read(self.upstream.url, "first", at_once=1, requests=200, seconds=10)
        return {
            f"{name}_ms": quantile(own.ttft, share) - quantile(direct.ttft, share)
            for name, share in (("p50", 0.5), ("p99", 0.99))
        }

    def _leave(self) -> dict[str, float]:
        took: list[int] = []
        for _ in range(20):
            self.upstream.reset()
            left = leave(self.server.url, "stall")
            until = time.monotonic() + 3
            while time.monotonic() < until:
                if (closed := self.upstream.disconnected_ns()) is not None:
                    took.append(closed - left)
                    break
                time.sleep(0.01)
            else:
                break  # it will not be seen the next time either
        return {"p50_ms": quantile(took, 0.5), "seen": len(took) / 20}

    def _paced(self, streams: int) -> dict[str, float]:
        own, cpu = self._spent("paced", at_once=streams, requests=streams, seconds=30, stamped=True)
        memory = self.server.memory()
        direct = read(self.upstream.url, "paced", at_once=streams, requests=streams, seconds=30, stamped=True)
        return {
            "complete": own.complete / streams,
            "ttft_p50_ms": quantile(own.ttft, 0.5) - quantile(direct.ttft, 0.5),
            "ttft_p99_ms": quantile(own.ttft, 0.99) - quantile(direct.ttft, 0.99),
            "late_p50_ms": quantile(own.late, 0.5),
            "late_p99_ms": quantile(own.late, 0.99),
            "direct_p99_ms": quantile(direct.late, 0.99),
            "cpu_us": cpu * 1e6 / max(1, own.tokens),
            "rss_mb": memory,
        }


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: float, unit: str = "") -> str:
    """A figure with three digits."""
    if value != value:  # noqa: PLR0124 - not a number
        return "–"
    thousands = (value >= 10_000, f"{value / 1000:.0f} k")
    text = thousands[1] if thousands[0] else f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return text + unit


def report(all_figures: list[dict[str, Any]], repeats: int) -> str:
    """The page."""
    model = next(
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    parts = [
        "# headrace serve beside other servers",
        (
            "Written by `run.py` (`make bench-serving`). One process each, the same upstream (headrace's simulator), "
            f"bare sockets as clients, all on one machine: {model}, {os.cpu_count()} cores, {platform.system()} "
            f"{platform.release()}, Python {platform.python_version()}. {time.strftime('%Y-%m-%d')}, medians of "
            f"{repeats} repeats."
        ),
        "## Long and short answers",
        (
            "Long: two streams at once, as fast as they come, one HTTP chunk a token upstream. Short: ten tokens, 16 "
            "at a time, each on a new connection."
        ),
        table(
            ["server", "tokens/s of one core", "tokens/s", "short answers/s", "CPU ms each", "idle, MB"],
            [
                [
                    each["name"],
                    shown(each["long"]["tokens_per_core_second"]),
                    shown(each["long"]["tokens_per_second"]),
                    shown(each["short"]["per_second"]),
                    shown(each["short"]["cpu_ms"]),
                    shown(each["idle_mb"]),
                ]
                for each in all_figures
            ],
        ),
        "## What a server adds",
        (
            "TTFT: from the request to the first token, less what the upstream alone takes by the same client. "
            "Leaving: from the client's close to the upstream's stamp of its own."
        ),
        table(
            ["server", "TTFT at 1 stream, p50 / p99", "closed upstream after leaving, p50", "seen within 3 s"],
            [
                [
                    each["name"],
                    f"{shown(each['first']['p50_ms'])} / {shown(each['first']['p99_ms'])} ms",
                    shown(each["leave"]["p50_ms"], " ms"),
                    shown(each["leave"]["seen"] * 100, " %"),
                ]
                for each in all_figures
            ],
        ),
        "## Streams of 50 tokens a second",
        (
            "Latency: from the upstream's stamp in the token to the client. The clients and the upstream share the "
            "machine, so the last column, the same clients at the upstream itself, is the least that can be seen here."
        ),
    ]
    for streams in STREAMS:
        rows = [
            [
                each["name"],
                f"{each[f'paced-{streams}']['complete']:.0%}",
                f"{shown(each[f'paced-{streams}']['ttft_p50_ms'])} / {shown(each[f'paced-{streams}']['ttft_p99_ms'])}",
                f"{shown(each[f'paced-{streams}']['late_p50_ms'])} / {shown(each[f'paced-{streams}']['late_p99_ms'])}",
                shown(each[f"paced-{streams}"]["cpu_us"]),
                shown(each[f"paced-{streams}"]["rss_mb"]),
                shown(each[f"paced-{streams}"]["direct_p99_ms"]),
            ]
            for each in all_figures
        ]
        parts += [
            f"### {streams} at once",
            table(
                [
                    "server",
                    "complete",
                    "added TTFT p50 / p99, ms",
                    "latency p50 / p99, ms",
                    "CPU µs/token",
                    "RSS, MB",
                    "without a server p99, ms",
                ],
                rows,
            ),
        ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measures everything, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="only these servers; the others keep the figures they have")
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    RAW.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        upstream = Upstream(script(), Path(folder))
        try:
            for key, start in SERVERS.items():
                if options.only and key not in options.only.split(","):
                    continue
                server = start(MODELS, upstream.url, Path(folder))
                try:
                    figures = Sitting(key, server, upstream).measure(options.repeats)
                    (RAW / f"{key}.json").write_text(json.dumps(figures))
                finally:
                    server.stop()
        finally:
            upstream.stop()
    known = [json.loads(path.read_text()) for key in SERVERS if (path := RAW / f"{key}.json").exists()]
    (HERE / "results.md").write_text(report(known, options.repeats))
    print(f"written: {HERE / 'results.md'}")


if __name__ == "__main__":
    main()
