"""The commands ``headrace bench`` and ``headrace truth``, as a shell runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from headrace.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "headrace"]
PATIENCE = 300


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)


@contextmanager
def truth(*options: str) -> Iterator[str]:
    arguments = [*COMMAND, "truth", "--until-stdin-closes", *options]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.stdin = None
            assert process.wait(PATIENCE) == 0


def test_bench_measures_the_truth_server(tmp_path: Path) -> None:
    whole, lines = tmp_path / "report.json", tmp_path / "requests.jsonl"
    with truth("--first-ms", "40", "--interval-ms", "5", "--tokens", "10") as url:
        done = command(
            *("bench", url, "--model", "truth", "--concurrency", "2", "--requests", "6", "--no-self-test"),
            *("--slo", "e2e=60000", "--json", str(whole), "--jsonl", str(lines)),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("valid: ")
    report = json.loads(whole.read_text(encoding="utf-8"))
    assert report["schema"] == "headrace.bench/1"
    assert report["metrics"]["ttft"]["p50"] >= 0.040
    assert report["goodput"] == 1.0
    assert [json.loads(line)["index"] for line in lines.read_text(encoding="utf-8").splitlines()] == list(range(6))


def test_a_missed_slo_is_1_and_a_broken_run_is_2() -> None:
    with Simulator(turns=[{"text": ["a", "b"]}], pacing={"mode": "steady", "first_ms": 30}) as simulator:
        options = ("--model", "sim", "--requests", "2", "--no-self-test")
        missed = command("bench", simulator.base_url, *options, "--slo", "ttft_p99=1")
    assert missed.returncode == 1, missed.stdout + missed.stderr
    assert "Missed: ttft_p99 <= 1 ms" in missed.stdout
    broken = command("bench", "http://127.0.0.1:1/v1", *options)
    assert broken.returncode == 2
    assert broken.stdout.startswith("failed: 2 of 2 answers failed")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--slo", "ttft=fast"), "milliseconds above zero"),
        (("--parameter", "temperature=warm"), "name=JSON"),
        (("--header", "x"), "name=value"),
    ],
)
def test_wrong_options_are_one_line(arguments: tuple[str, ...], says: str) -> None:
    done = command("bench", "http://127.0.0.1:1/v1", "--model", "x", *arguments)
    assert done.returncode == 2  # 1 is a missed SLO
    assert says in done.stderr
    assert "Traceback" not in done.stderr
