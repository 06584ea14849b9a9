"""Reports: saved and read, repeated, swept, compared with those of other tools, and held against the truth."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConfigurationError, bench
from headrace._bench.sweeps import swept
from headrace._bench.verdict import verdict_on
from headrace.testing import Simulator

if TYPE_CHECKING:
    from pathlib import Path

TURN: dict[str, Any] = {"text": ["a", "b", "c", "d"]}
MOST = 500_000


def paced(first_ms: float, **options: Any) -> bench.Report:
    with Simulator(turns=[TURN], pacing={"mode": "steady", "first_ms": first_ms, "interval_ms": 2}) as simulator:
        return bench.run(
            simulator.base_url, **{"model": "sim", "self_test": False, "warm_up": 0, "requests": 40, **options}
        )


@pytest.fixture(scope="module")
def slow() -> bench.Report:
    return paced(40, concurrency=4)


@pytest.fixture(scope="module")
def fast() -> bench.Report:
    return paced(10, concurrency=4)


def test_a_saved_report_is_the_report(slow: bench.Report, tmp_path: Path) -> None:
    slow.save(tmp_path / "report.json")
    again = bench.read_report(tmp_path / "report.json")
    assert json.loads(again.to_json()) == json.loads(slow.to_json())
    assert again.metrics == slow.metrics
    assert again.to_text() == slow.to_text()


def test_a_table_has_a_line_for_each_request(slow: bench.Report, tmp_path: Path) -> None:
    slow.save(tmp_path / "report.csv")
    head, *lines = (tmp_path / "report.csv").read_text(encoding="utf-8").splitlines()
    assert "ttft_ms" in head.split(",")
    assert len(lines) == 40


def test_the_page_is_one_small_file_that_needs_nothing_else(tmp_path: Path) -> None:
    report = paced(1, concurrency=50, requests=3000)
    report.save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < MOST
    assert not re.search(r"""(?:src|href)\s*=|@import|url\(|<script|https?://(?!127\.0\.0\.1)""", page)
    assert page.count("<svg") >= 7
    assert "prefers-color-scheme: dark" in page
    assert report._repr_html_().startswith("<style>")


def test_names_in_a_page_are_text(fast: bench.Report) -> None:
    evil = bench.Report("<script>alert(1)</script>", "<b>", fast.verdict, fast.metrics, None, fast.measured)
    assert "<script>" not in evil.to_html()


def test_another_form_is_refused(slow: bench.Report, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\.json, \.html or \.csv"):
        slow.save(tmp_path / "report.pdf")
    (tmp_path / "other.json").write_text('{"schema": "other/1"}', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no report"):
        bench.read_report(tmp_path / "other.json")


def test_a_faster_report_is_faster_and_a_rule_tells_a_slower_one(fast: bench.Report, slow: bench.Report) -> None:
    better = bench.compare(slow, fast, ["ttft_p50 > +5%"])
    changes = {change.name: change for change in better.changes}
    assert changes["ttft_p50"].outcome == "faster"
    assert changes["ttft_p50"].interval is not None
    assert changes["ttft_p50"].interval[1] < 0
    assert better.exit_code == 0
    worse = bench.compare(fast, slow, ["ttft_p50 > +5%", "ttft_p99 > 10s", "requests_per_s < -10%"])
    assert [rule.name for rule in worse.broken] == ["ttft_p50", "requests_per_s"]
    assert worse.exit_code == 1
    assert "ttft_p50" in worse.to_text()
    json.dumps(worse.to_dict())


def test_a_report_and_itself_differ_by_noise(slow: bench.Report) -> None:
    same = bench.compare(slow, slow, ["ttft_p50 > +0%"])
    assert {change.outcome for change in same.changes} <= {"within noise", "not tested"}
    assert same.exit_code == 0


def test_repeats_give_intervals_over_the_runs() -> None:
    runs = paced(5, repeats=3, requests=10)
    assert len(runs.repeats) == 3
    assert runs.requests == {"complete": 30}
    assert runs.throughput["reached_concurrency"] == pytest.approx(1.0, abs=0.1)
    interval = runs.interval("ttft", "p50")
    assert interval is not None
    middle = sum(run["ttft"].p50 for run in runs.repeats) / 3
    assert interval[0] <= middle <= interval[1]
    other = paced(60, repeats=3, requests=10)
    changes = {change.name: change.outcome for change in bench.compare(runs, other).changes}
    assert changes["ttft_p50"] == "slower"


def test_a_report_that_is_not_valid_is_exit_code_2(fast: bench.Report) -> None:
    with Simulator(turns=[{**TURN, "fault": {"kind": "status", "status": 500}}]) as simulator:
        broken = bench.run(simulator.base_url, model="sim", requests=2, self_test=False, warm_up=0)
    assert bench.compare(fast, broken).exit_code == 2


@pytest.mark.parametrize("rule", ["ttft_p99", "ttft_p99 > 5%", "ttft_p99 = 5", "speed > +1%", "ttft_p99 > fast"])
def test_rules_that_are_none_are_errors(fast: bench.Report, rule: str) -> None:
    with pytest.raises(ConfigurationError):
        bench.compare(fast, fast, [rule])


VLLM = {
    "completed": 3,
    "failed": 1,
    "request_throughput": 2.0,
    "output_throughput": 40.0,
    "mean_ttft_ms": 50.0,
    "median_ttft_ms": 49.0,
    "p99_ttft_ms": 60.0,
    "median_itl_ms": 10.0,
    "median_tpot_ms": 10.1,
    "median_e2el_ms": 900.0,
    "ttfts": [0.049, 0.05, 0.051],
    "itls": [[0.01, 0.02], [0.01]],
}
SGLANG = {
    "completed": 3,
    "request_throughput": 2.0,
    "median_ttft_ms": 49.0,
    "median_itl_ms": 10.0,
    "mean_e2e_latency_ms": 901.0,
    "median_e2e_latency_ms": 900.0,
    "errors": ["", "", "boom"],
}
SUMMARY = {
    "mean": 50.0,
    "median": 49.0,
    "max": 61.0,
    "percentiles": {"p50": 49.0, "p90": 55.0, "p95": 58.0, "p99": 60.0},
}
GUIDELLM = {
    "benchmarks": [
        {
            "metrics": {
                "request_totals": {"successful": 3, "errored": 1, "incomplete": 0},
                "time_to_first_token_ms": {"successful": SUMMARY},
                "inter_token_latency_ms": {"successful": SUMMARY},
                "request_latency": {"successful": SUMMARY},
                "requests_per_second": {"successful": SUMMARY},
            }
        }
    ]
}
AIPERF = {
    "request_count": {"unit": "requests", "avg": 3},
    "error_request_count": {"unit": "requests", "avg": 1},
    "request_latency": {"unit": "ms", "avg": 901.0, "p50": 900.0, "p99": 950.0},
    "time_to_first_token": {"unit": "ms", "avg": 50.0, "p50": 49.0, "p99": 60.0},
    "inter_token_latency": {"unit": "ms", "avg": 10.0, "p50": 10.0},
}


@pytest.mark.parametrize(
    ("report", "tool", "expected"),
    [
        (VLLM, "vllm", {"ttft_p50": 0.049, "itl_p50": 0.010, "e2e_p50": 0.9}),
        (SGLANG, "sglang", {"ttft_p50": 0.049, "e2e_p50": 0.9}),
        (GUIDELLM, "guidellm", {"ttft_p50": 0.049, "tpot_p50": 0.049, "e2e_p50": 49.0}),
        (AIPERF, "aiperf", {"ttft_p50": 0.049, "tpot_p50": 0.010, "e2e_p50": 0.9}),
    ],
)
def test_reports_of_other_tools_are_compared(
    report: dict[str, Any], tool: str, expected: dict[str, float], fast: bench.Report, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(f"{json.dumps(report)}\n", encoding="utf-8")
    comparison = bench.compare(fast, path, ["ttft_p50 > +50%"])
    after = {change.name: change.after for change in comparison.changes}
    assert comparison.after.tool == tool
    for name, value in expected.items():
        assert after[name] == pytest.approx(value)
    assert comparison.exit_code == 1
    assert comparison.after.failed <= 1


def test_a_file_of_no_tool_is_refused(fast: bench.Report, tmp_path: Path) -> None:
    for text in ("{}", "[]", "no json", ""):
        (tmp_path / "x.json").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="report"):
            bench.compare(fast, tmp_path / "x.json")


def test_a_sweep_finds_the_highest_load_that_meets_the_limits() -> None:
    with Simulator(turns=[TURN], pacing={"mode": "steady", "first_ms": 10}) as simulator:
        found = bench.sweep(
            simulator.base_url,
            "concurrency",
            [1, 2, 4],
            model="sim",
            requests=8,
            self_test=False,
            limits={"ttft_p50": 30.0},
        )
    assert list(found.reports) == [1, 2, 4]
    assert found.best == 4
    assert found.exit_code == 0
    assert "Highest load that meets the limits: 4" in found.to_text()
    assert "<svg" in found.to_html()
    json.dumps(found.to_dict())


def test_a_search_halves_the_way_to_the_limit() -> None:
    tried = list[float]()

    def measure(concurrency: float, reports: dict[bool, bench.Report]) -> bench.Report:
        tried.append(concurrency)
        return reports[concurrency <= 11]

    reports = {
        True: paced(1, requests=3, limits={"ttft_p50": 60.0}),
        False: paced(1, requests=3, limits={"ttft_p50": 1e-9}),
    }

    found = swept(lambda load: measure(load, reports), "concurrency", [1, 2], search=True)
    assert found.best == 11
    assert tried == [1, 2, 4, 8, 16, 12, 10, 11]


@pytest.mark.parametrize(
    ("over", "values", "search"),
    [("load", [1], False), ("rate", [2, 1], False), ("rate", [], False), ("rate", [5], True)],
)
def test_sweeps_that_are_not_possible(over: str, values: list[float], search: bool) -> None:
    with Simulator(turns=[TURN]) as simulator, pytest.raises(ConfigurationError):
        bench.sweep(simulator.base_url, over, values, search=search, model="sim", requests=1, self_test=False)


def test_stalls_are_counted() -> None:
    turn = {"text": ["a", "b", "c"]}
    with Simulator(turns=[turn], pacing={"mode": "steady", "interval_ms": 30}) as simulator:
        report = bench.run(simulator.base_url, model="sim", requests=2, self_test=False, warm_up=0, stall_after=0.02)
    assert report.stalls is not None
    assert (report.stalls.count, report.stalls.requests) == (4, 2)


def test_a_server_that_piles_up_is_told(tmp_path: Path) -> None:
    # Each request waits longer than the one before it.
    tasks = [f"number {number}." for number in range(1, 31)]
    turns = [
        {"text": ["a"], "when": {"contains": task}, "pacing": {"mode": "steady", "first_ms": 30 * number}}
        for number, task in enumerate(tasks, start=1)
    ]
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps(tasks), encoding="utf-8")
    options: dict[str, Any] = {"model": "sim", "self_test": False, "warm_up": 0, "prompts": prompts}
    with Simulator(turns=turns) as simulator:
        report = bench.run(simulator.base_url, rate=200, requests=30, arrivals="constant", **options)
    assert report.verdict.kind == "server-bound", report.verdict
    assert report.exit_code == 2


def test_a_load_that_was_not_reached_is_told(tmp_path: Path) -> None:
    # One answer takes much longer than all others, which then wait for nobody: at the end, one request is open.
    tasks = ["slow", *["fast"] * 20]
    turns = [
        {"text": ["a"], "when": {"contains": "slow"}, "pacing": {"mode": "steady", "first_ms": 10}},
        {"text": ["a"], "when": {"contains": "fast"}},
    ]
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps(tasks), encoding="utf-8")
    options: dict[str, Any] = {"model": "sim", "self_test": False, "warm_up": 0, "prompts": prompts}
    with Simulator(turns=turns) as simulator:
        whole = bench.run(simulator.base_url, concurrency=2, requests=21, **options)
    # What was measured, said of a load that was larger: as if places had stayed empty.
    wanted = replace(whole.measured, load=replace(whole.measured.load, concurrency=6))
    verdict = verdict_on(wanted, whole.metrics, None, 0.0)
    assert verdict.kind == "target load not reached"
    assert "instead of 6" in verdict.reason


def test_the_rest_of_an_interrupted_run_is_told() -> None:
    def interrupt(now: bench.Snapshot) -> None:
        if now.done:
            raise KeyboardInterrupt

    pacing = {"mode": "steady", "first_ms": 100}
    with Simulator(turns=[TURN], pacing=pacing) as simulator:
        report = bench.run(
            simulator.base_url,
            model="sim",
            concurrency=4,
            requests=10_000,
            self_test=False,
            warm_up=0,
            progress=interrupt,
        )
    assert report.verdict.kind == "interrupted"
    assert report.requests["complete"] >= 1
    assert report.requests["cancelled"] >= 1
    assert report.exit_code == 2
    assert report.metrics["ttft"].p50 >= 0.1


def test_a_key_does_not_follow_a_redirect() -> None:
    seen = list[str | None]()

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Redirecting(Other):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{other.server_port}/models")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Other) as other, HTTPServer(("127.0.0.1", 0), Redirecting) as first:
        threads = [Thread(target=server.serve_forever, daemon=True) for server in (other, first)]
        for thread in threads:
            thread.start()
        with pytest.raises(ConfigurationError, match="lists no model"):
            bench.run(f"http://127.0.0.1:{first.server_port}", api_key="sk-secret", requests=1)
        for server in (other, first):
            server.shutdown()
        for thread in threads:
            thread.join()
    assert seen == [None]
