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


def test_the_report_of_a_tool_is_held_against_the_truth(tmp_path: Path) -> None:
    stamps, report = tmp_path / "stamps.jsonl", tmp_path / "report.json"
    with truth("--first-ms", "20", "--interval-ms", "3", "--tokens", "10", "--stamps", str(stamps)) as url:
        done = command("bench", url, "--model", "truth", "--requests", "5", "--no-self-test", "--json", str(report))
        assert done.returncode == 0, done.stdout + done.stderr
    checked = command("truth", "--check", str(stamps), str(report), "--json")
    assert checked.returncode == 0, checked.stderr
    found = json.loads(checked.stdout)
    # One of the answers is of the warm-up: the report does not count it.
    assert (found["tool"], found["answers"], found["complete"]) == ("headrace", 5, 5)
    # A client cannot see a token before it was written; how much later depends on the machine.
    assert found["errors"]["ttft_p50"] > -0.001
    assert set(found["errors"]) >= {"ttft_p50", "ttft_p99", "itl_p50", "tpot_p50"}
    assert found["truth"]["ttft"]["p50"] >= 0.020
    assert "reported" in command("truth", "--check", str(stamps), str(report)).stdout


def test_processes_share_a_load_and_a_worker_has_a_part(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.json" for number in (1, 2)]
    with Simulator(turns=[{"text": ["a", "b"]}], pacing={"mode": "steady", "first_ms": 20}) as simulator:
        options = ("--model", "sim", "--concurrency", "4", "--requests", "9", "--no-self-test")
        together = command("bench", simulator.base_url, *options, "--processes", "2", "--json", str(files[0]))
        assert together.returncode == 0, together.stdout + together.stderr
        assert "9 complete" in together.stdout
        for number, file in enumerate(files, start=1):
            part = ("--part", f"{number}/2", "--json", str(file))
            worked = command("bench", "worker", simulator.base_url, *options, *part)
            assert worked.returncode == 0, worked.stdout + worked.stderr
        alone = command("bench", "worker", simulator.base_url, *options)
    assert (alone.returncode, "--part" in alone.stderr) == (2, True)
    page = tmp_path / "whole.html"
    merged = command("bench", "merge", *map(str, files), "--html", str(page))
    assert merged.returncode == 0, merged.stdout + merged.stderr
    assert "9 complete" in merged.stdout
    assert "4 at a time" in merged.stdout
    assert "<svg" in page.read_text(encoding="utf-8")


def test_reports_are_compared_and_rules_are_exit_codes(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("fast.json", "slow.json")]
    for file, first_ms in zip(files, (5, 60), strict=True):
        pacing = {"mode": "steady", "first_ms": first_ms}
        with Simulator(turns=[{"text": ["a", "b"]}], pacing=pacing) as simulator:
            options = ("--model", "sim", "--requests", "20", "--no-self-test", "--json", file)
            assert command("bench", simulator.base_url, *options).returncode == 0
    rule = ("--fail-if", "ttft_p50 > +20%")
    assert command("bench", "compare", *files, *rule).returncode == 1
    assert command("bench", "compare", *reversed(files), *rule).returncode == 0
    told = json.loads(command("bench", "compare", *files, "--json").stdout)
    assert next(each for each in told["changes"] if each["metric"] == "ttft")["outcome"] == "slower"
    wrong = command("bench", "compare", *files, "--fail-if", "ttft > fast")
    assert (wrong.returncode, "a rule is such as" in wrong.stderr) == (2, True)


def test_a_sweep_has_a_line_for_each_load(tmp_path: Path) -> None:
    with Simulator(turns=[{"text": ["a", "b"]}], pacing={"mode": "steady", "first_ms": 5}) as simulator:
        options = ("--model", "sim", "--requests", "4", "--no-self-test", "--slo", "ttft_p50=60000")
        files = ("--json", str(tmp_path / "sweep.json"), "--html", str(tmp_path / "sweep.html"))
        done = command("bench", simulator.base_url, *options, *files, "--sweep", "concurrency=1,2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Highest load that meets the limits: 2." in done.stdout
    swept = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert [each["load"] for each in swept["reports"]] == [1, 2]


def test_an_agent_is_measured_by_its_name(tmp_path: Path) -> None:
    with Simulator(turns=[{"text": ["a", "b"]}]) as simulator:
        (tmp_path / "app.py").write_text(
            "from headrace import Agent\n"
            f"agent = Agent(model_name='openai/sim', llm_base_url={simulator.base_url!r}, print_on=False)\n",
            encoding="utf-8",
        )
        arguments = [*COMMAND, "bench", "app:agent", "--requests", "3", "--no-self-test"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "openai/sim at app:agent" in done.stdout
    assert "turn_ttft" in done.stdout


def test_the_own_error_is_told_alone() -> None:
    with Simulator(turns=[{"text": ["a", "b"]}], pacing={"mode": "steady", "first_ms": 5}) as simulator:
        done = command("bench", simulator.base_url, "--model", "sim", "--requests", "4", "--selftest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[1].startswith("ttft")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--slo", "ttft=fast"), "milliseconds above zero"),
        (("--parameter", "temperature=warm"), "name=JSON"),
        (("--header", "x"), "name=value"),
        (("--profile", "10"), "a profile needs"),
        (("--part", "two"), "--part needs"),
        (("--sweep", "1,2"), "--sweep needs"),
        (("--search",), "--search needs --sweep"),
        (("--processes", "2", "--sweep", "rate=1,2"), "does not go with"),
    ],
)
def test_wrong_options_are_one_line(arguments: tuple[str, ...], says: str) -> None:
    done = command("bench", "http://127.0.0.1:1/v1", "--model", "x", *arguments)
    assert done.returncode == 2  # 1 is a missed SLO
    assert says in done.stderr
    assert "Traceback" not in done.stderr
