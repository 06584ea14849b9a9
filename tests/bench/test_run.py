"""``headrace.bench.run`` against the simulator: what it counts, what it says, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent, ConfigurationError, bench
from headrace._bench.metrics import of_durations
from headrace._bench.verdict import verdict_on
from headrace.serve import Server
from headrace.testing import Simulator

if TYPE_CHECKING:
    from pathlib import Path

PACED = {"mode": "steady", "first_ms": 30, "interval_ms": 5}
TURN: dict[str, Any] = {"text": ["a", "b", "c", "d"]}


def measured(simulator: Simulator, **options: Any) -> bench.Report:
    options = {"model": "sim", "self_test": False, "warm_up": 0, **options}
    return bench.run(simulator.base_url, **options)


def test_every_metric_is_of_what_the_server_sent() -> None:
    with Simulator(turns=[TURN], pacing=PACED) as simulator:
        report = measured(simulator, concurrency=4, requests=12)
    assert report.verdict.kind == "valid", report.verdict
    assert report.requests == {"complete": 12}
    metrics = report.metrics
    # Lower bounds only: a busy machine is late.
    assert metrics["ttft"].p50 >= 0.030
    assert metrics["e2e"].p50 >= 0.045
    assert metrics["itl"].count == 36
    assert metrics["ttfc"].p50 <= metrics["ttft"].p50 <= metrics["e2e"].p50
    assert "ttft_due" not in metrics  # nothing was due: each request followed another one
    assert report.exit_code == 0


def test_the_role_chunk_is_no_token_and_reasoning_is_no_text() -> None:
    turn = {"reasoning": ["so", "then"], "text": ["a"]}
    with Simulator(turns=[turn], pacing=PACED) as simulator:
        report = measured(simulator, requests=2)
    [first, _] = report.measured.records
    assert first["first_reasoning_ns"] == first["first_output_ns"] < first["first_text_ns"]
    assert report.metrics["ttft_text"].p50 > report.metrics["ttft"].p50
    assert report.metrics["ttft"].p50 >= 0.030


def test_an_open_load_sends_what_is_due_although_nothing_has_come() -> None:
    with Simulator(turns=[TURN], pacing={"mode": "steady", "first_ms": 400}) as simulator:
        report = measured(simulator, rate=100, requests=10, arrivals="constant")
    records = report.measured.records
    assert max(record["opened_ns"] for record in records) < min(record["first_output_ns"] for record in records)
    assert [record["due_ns"] - records[0]["due_ns"] for record in records] == [n * 10_000_000 for n in range(10)]
    assert report.metrics["ttft_due"].p50 >= report.metrics["ttft"].p50 - 1e-9


@pytest.mark.parametrize("arrivals", ["poisson", "gamma"])
def test_the_seed_gives_the_arrivals(arrivals: bench.Arrivals) -> None:
    load = bench.Load(rate=50, requests=2000, arrivals=arrivals, burstiness=0.5, seed=7)
    assert load.dues() == load.dues()
    assert load.dues() != bench.Load(rate=50, requests=2000, arrivals=arrivals, burstiness=0.5, seed=8).dues()
    assert load.dues() == sorted(load.dues())
    assert load.dues()[-1] == pytest.approx(2000 / 50, rel=0.2)


def test_a_duration_ends_the_load() -> None:
    with Simulator(turns=[TURN]) as simulator:
        report = measured(simulator, rate=1000, duration=0.05, arrivals="constant")
    assert 1 <= len(report.measured.records) <= 51


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ({"kind": "status", "status": 429}, "rejected"),
        ({"kind": "end", "after": 2}, "truncated"),
    ],
)
def test_when_all_fail_the_run_is_broken(fault: dict[str, Any], state: str) -> None:
    with Simulator(turns=[{**TURN, "fault": fault}]) as simulator:
        report = measured(simulator, requests=3, max_error_rate=1.0)
    assert report.requests == {state: 3}
    assert (report.verdict.kind, report.exit_code) == ("failed", 2)
    assert "3 of 3" in report.verdict.reason
    assert "ttft" not in report.metrics
    json.loads(report.to_json())
    assert report.to_text().startswith("failed: ")


def test_stray_failures_are_within_the_error_rate() -> None:
    turn = {**TURN, "fault": {"kind": "status", "status": 500, "times": 1}}
    with Simulator(turns=[turn], pacing=PACED) as simulator:
        tolerant = measured(simulator, requests=8, max_error_rate=0.2)
    with Simulator(turns=[turn], pacing=PACED) as simulator:
        strict = measured(simulator, requests=8, max_error_rate=0.1)
    assert tolerant.requests == strict.requests == {"rejected": 1, "complete": 7}
    assert tolerant.verdict.kind == "valid"
    assert strict.verdict.kind == "failed"
    assert "1 of 8" in strict.verdict.reason


def test_a_missed_limit_is_exit_code_1_and_goodput_counts_requests() -> None:
    with Simulator(turns=[TURN], pacing=PACED) as simulator:
        missed = measured(simulator, requests=4, limits={"ttft_p99": 0.001, "e2e": 60.0})
        met = measured(simulator, requests=4, limits={"ttft_p99": 60.0, "ttft": 0.001})
    assert missed.exit_code == 1
    assert [(limit.metric, limit.percentile) for limit in missed.missed] == [("ttft", "p99")]
    assert missed.goodput == 1.0
    assert met.exit_code == 0
    assert met.goodput == 0.0


def test_a_metric_without_a_value_misses_its_limit() -> None:
    with Simulator(turns=[{"text": ["a"]}], pacing={"mode": "steady", "first_ms": 30}) as simulator:
        report = measured(simulator, requests=2, limits={"tpot_p50": 1.0})
    assert report.exit_code == 1


def test_the_own_error_is_measured_and_told() -> None:
    with Simulator(turns=[TURN], pacing=PACED) as simulator:
        report = measured(simulator, requests=8, warm_up=2, self_test=True)
    error = report.self_error
    assert error is not None
    assert error.requests >= 8
    assert error.shape.tokens == 4
    assert error.shape.first_ms >= 30
    assert error.itl is not None
    assert error.delivery is not None
    assert 0 <= error.delivery.p50 <= error.delivery.max
    assert report.to_dict()["self_error"]["ttft"]["p50"] == error.ttft.p50


def test_figures_below_the_own_error_are_marked_and_not_valid() -> None:
    with Simulator(turns=[{"text": ["a", "b"]}]) as simulator:
        report = measured(simulator, requests=8)
    slow = bench.Percentiles(8, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0)
    error = bench.SelfError(bench.Shape(), slow, slow, slow, 8)
    verdict = verdict_on(report.measured, report.metrics, error, 0.0)
    marked = bench.Report("x", "x", verdict, report.metrics, error, report.measured)
    assert marked.verdict.kind == "client-bound"
    assert not marked.is_known("ttft", "p99")
    assert "?" in marked.to_text()


def test_the_percentile_is_a_duration_that_occurred() -> None:
    durations = of_durations([(1_000, 50), (2_000, 49), (9_000, 1)])
    assert durations is not None
    assert durations.count == 100
    assert durations.mean == pytest.approx(1.57e-6)
    assert (durations.p50, durations.p90, durations.p95, durations.p99, durations.max) == (1e-6, 2e-6, 2e-6, 2e-6, 9e-6)


def test_the_model_of_a_url_is_the_first_that_it_lists() -> None:
    agent = Agent(agent_name="wheel", llm=lambda _task: iter(["Water", "."]), print_on=False)

    async def served() -> bench.Report:
        async with Server({"wheel": agent}, port=0) as server:
            url = f"{server.url}/v1"
            return await asyncio.to_thread(bench.run, url, requests=2, self_test=False, warm_up=0)

    report = asyncio.run(served())
    assert report.model == "openai/wheel"
    assert report.requests == {"complete": 2}


def test_prompts_come_from_a_file_in_turn(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    share = {"conversations": [{"from": "human", "value": "third"}, {"from": "gpt", "value": "left out"}]}
    entries = ["first", {"messages": [{"role": "user", "content": "second"}]}, share]
    prompts.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    with Simulator(turns=[TURN]) as simulator:
        measured(simulator, requests=4, prompts=prompts, parameters={"max_tokens": 7})
        bodies = [request["body"] for request in simulator.report()["requests"]]
    asked = [body["messages"][-1]["content"] for body in bodies]
    assert asked == ["first", "second", "third", "first"]
    assert {body["max_tokens"] for body in bodies} == {7}


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no prompts"), ("{", "not JSON"), ('{"question": "x"}', "entry 1"), ('{"conversations": []}', "no question")],
)
def test_prompts_that_cannot_be_read_are_named(tmp_path: Path, text: str, says: str) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says):
        bench.run("http://127.0.0.1:1/v1", model="x", prompts=prompts)


@pytest.mark.parametrize(
    ("target", "options", "says"),
    [
        ("app:agent", {}, "give the object itself"),
        ("openai/gpt-4o", {"model": "other", "api_key": "k"}, "names the model itself"),
        ("http://127.0.0.1:1/v1", {"concurrency": 1, "rate": 1}, "either a concurrency or a rate"),
        ("http://127.0.0.1:1/v1", {"rate": math.inf}, "rate must be above zero"),
        ("http://127.0.0.1:1/v1", {"requests": 0}, "requests must be above zero"),
        ("http://127.0.0.1:1/v1", {"limits": {"speed": 1.0}}, "no metric 'speed'"),
        ("http://127.0.0.1:1/v1", {"limits": {"itl": 1.0}}, "not of a request"),
        ("http://127.0.0.1:1/v1", {"max_error_rate": 2}, "from 0 to 1"),
        ("http://127.0.0.1:1/v1", {}, "lists no model"),
    ],
)
def test_what_cannot_be_measured_is_an_error_that_says_why(target: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        bench.run(target, **options)


def test_a_key_is_sent_and_never_shown() -> None:
    with Simulator(turns=[{**TURN, "fault": {"kind": "status", "status": 401}}]) as simulator:
        report = measured(simulator, requests=1, api_key="sk-very-secret")
        assert simulator.report()["requests"][0]["headers"]["authorization"] == "***"
    assert "very-secret" not in report.to_text() + report.to_json() + repr(report) + json.dumps(report.measured.tally)
