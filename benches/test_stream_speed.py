"""The speed of the Python API with the simulator's fastest burst: tokens per second, and CPU microseconds per token.

The simulator runs in its own process, so that the CPU time (of all threads of this process) is only headrace's.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace import Agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

TOKENS = 100_000
SIMULATOR = Path(__file__).parent.parent / "target" / "release" / "headrace-simulator"


def serve(script: dict[str, object]) -> Iterator[str]:
    """Runs the simulator's binary with a script, and gives its base URL."""
    process = subprocess.Popen([SIMULATOR, "--script", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(script))
    process.stdin.close()
    yield process.stdout.readline().strip()
    process.kill()
    process.stdout.close()
    process.wait()


@pytest.fixture(scope="module")
def coalesced() -> Iterator[str]:
    """A burst as large writes."""
    yield from serve({"turns": [{"text": " water", "repeat": TOKENS}], "chunking": "coalesce"})


@pytest.fixture(scope="module")
def framed() -> Iterator[str]:
    """A burst with one HTTP chunk per frame, as real providers send."""
    yield from serve({"turns": [{"text": " water", "repeat": TOKENS}], "chunking": "frame"})


@pytest.fixture(scope="module")
def short() -> Iterator[str]:
    """An answer of one token."""
    yield from serve({"turns": [{"text": "water"}]})


def cpu_seconds() -> float:
    """CPU time of all threads of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def agent(url: str) -> Agent:
    """An agent at the simulator."""
    return Agent(model_name="openai/sim", llm_base_url=url)


def measure(benchmark: BenchmarkFixture, read: Callable[[], int]) -> None:
    """Times ``read``, which returns the number of tokens, and records rates besides the times."""
    spent: list[float] = []

    def once() -> None:
        before = cpu_seconds()
        assert read() == TOKENS
        spent.append(cpu_seconds() - before)

    benchmark.pedantic(once, rounds=10, warmup_rounds=2)  # type: ignore[no-untyped-call]  # it has no annotations
    assert benchmark.stats is not None
    benchmark.extra_info["tokens_per_second"] = round(TOKENS / benchmark.stats.stats.median)
    benchmark.extra_info["cpu_us_per_token"] = round(sorted(spent)[len(spent) // 2] / TOKENS * 1e6, 3)


def read_sync(url: str) -> int:
    """Reads one stream with ``for``."""
    count = 0
    for _token in agent(url).run_stream("go"):
        count += 1
    return count


async def read_async(url: str) -> int:
    """Reads one stream with ``async for``."""
    count = 0
    async for _token in agent(url).arun_stream("go"):
        count += 1
    return count


@pytest.mark.parametrize("server", ["coalesced", "framed"])
def test_run_stream(benchmark: BenchmarkFixture, request: pytest.FixtureRequest, server: str) -> None:
    """``run_stream``, one burst."""
    url = request.getfixturevalue(server)
    measure(benchmark, lambda: read_sync(url))


@pytest.mark.parametrize("server", ["coalesced", "framed"])
def test_arun_stream(benchmark: BenchmarkFixture, request: pytest.FixtureRequest, server: str) -> None:
    """``arun_stream``, one burst."""
    url = request.getfixturevalue(server)
    loop = asyncio.new_event_loop()  # asyncio.Runner came with Python 3.11
    try:
        measure(benchmark, lambda: loop.run_until_complete(read_async(url)))
    finally:
        loop.close()


def test_warm_ttft(benchmark: BenchmarkFixture, short: str) -> None:
    """From the call of ``run_stream`` to its first token, connection and all caches warm."""
    warm = agent(short)

    def first() -> None:
        for _token in warm.run_stream("go"):
            pass

    benchmark(first)
