"""Loads of every kind: profiles, parts, traces, lengths, protocols and connections."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import ConfigurationError, bench
from headrace.testing import Simulator

if TYPE_CHECKING:
    from pathlib import Path

TURN: dict[str, Any] = {"text": ["a", "b"]}


def measured(simulator: Simulator, **options: Any) -> bench.Report:
    return bench.run(simulator.base_url, **{"model": "sim", "self_test": False, "warm_up": 0, **options})


def bodies(simulator: Simulator) -> list[dict[str, Any]]:
    return [request["body"] for request in simulator.report()["requests"]]


def test_a_ramp_sends_as_many_as_its_rate_amounts_to() -> None:
    load = bench.Load(profile=((0, 10), (10, 30)), arrivals="constant")
    dues = load.dues()
    assert load.duration == 10
    assert len(dues) == 200  # 20 a second on average
    assert sum(due < 5 for due in dues) == 75  # 15 a second in the first half
    gaps = [after - before for before, after in pairwise(dues)]
    assert gaps == sorted(gaps, reverse=True)


def test_a_spike_is_where_it_should_be() -> None:
    load = bench.Load(profile=((0, 10), (1, 10), (1, 100), (2, 100), (2, 10), (3, 10)), arrivals="constant")
    counts = [sum(second <= due < second + 1 for due in load.dues()) for second in range(3)]
    assert counts == [10, 100, 10]


@given(
    st.lists(st.floats(0, 50), min_size=2, max_size=5).filter(lambda rates: sum(rates) > 1),
    st.sampled_from(["constant", "poisson", "gamma"]),
)
def test_arrivals_of_a_profile_ascend_and_end(rates: list[float], arrivals: bench.Arrivals) -> None:
    profile = tuple((float(at), rate) for at, rate in enumerate(rates))
    dues = bench.Load(profile=profile, arrivals=arrivals, burstiness=0.5).dues()
    assert dues == sorted(dues)
    assert all(0 <= due < len(rates) - 1 for due in dues)


@pytest.mark.parametrize(
    ("load", "parts"),
    [
        (bench.Load(concurrency=10, requests=25), 4),
        (bench.Load(rate=50, requests=31), 3),
        (bench.Load(profile=((0, 5), (4, 20))), 2),
        (bench.Load(times=(0.0, 0.1, 0.2, 0.3, 0.4)), 2),
    ],
)
def test_the_parts_of_a_load_are_the_load(load: bench.Load, parts: int) -> None:
    pieces = [load.part(number, parts) for number in range(parts)]
    if load.concurrency is not None:
        assert sum(piece.concurrency or 0 for piece in pieces) == load.concurrency
        assert sum(piece.requests or 0 for piece in pieces) == load.requests
    else:
        assert sorted(due for piece in pieces for due in piece.dues()) == load.dues()


def test_parts_that_were_sent_at_the_same_time_are_merged() -> None:
    with Simulator(turns=[TURN], pacing={"mode": "steady", "first_ms": 10}) as simulator:
        reports = [measured(simulator, concurrency=4, requests=10, part=(number, 2)) for number in range(2)]
    whole = bench.merge(reports)
    assert whole.requests == {"complete": 10}
    assert whole.measured.load.concurrency == 4
    assert whole.metrics["itl"].count == 10
    assert [record["index"] for record in whole.measured.records] == list(range(10))
    assert whole.metrics["ttft"].p50 >= 0.010


MOONCAKE = """\
{"timestamp": 1000, "input_length": 30, "output_length": 5, "hash_ids": [1, 2]}
{"timestamp": 1040, "input_length": 20, "output_length": 7, "hash_ids": [1]}
"""
BURST_GPT = """\
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,10,3,13,Conversation log
5.02,GPT-4,10,0,10,Conversation log
5.04,GPT-4,10,9,19,API log
"""
AZURE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,40,4
2023-11-16 18:17:04.0299600,10,6
"""


@pytest.mark.parametrize(
    ("name", "text", "times", "lengths"),
    [
        ("mooncake.jsonl", MOONCAKE, [0.0, 0.04], [5, 7]),
        ("burst.csv", BURST_GPT, [0.0, 0.04], [3, 9]),
        ("azure.csv", AZURE, [0.0, 0.05], [4, 6]),
    ],
)
def test_a_trace_is_replayed(tmp_path: Path, name: str, text: str, times: list[float], lengths: list[int]) -> None:
    trace = tmp_path / name
    trace.write_text(text, encoding="utf-8")
    with Simulator(turns=[TURN]) as simulator:
        report = measured(simulator, trace=trace)
        asked = [body["max_tokens"] for body in bodies(simulator)]
    records = report.measured.records
    due = [(record["due_ns"] - records[0]["due_ns"]) / 1e9 for record in records]
    assert due == pytest.approx(times, abs=1e-6)
    # Two requests before find out how long a text must be.
    assert sorted(asked[2:]) == sorted(lengths)
    faster = measured_times(trace, speed=2)
    assert faster == pytest.approx([at / 2 for at in times], abs=1e-6)


def measured_times(trace: Path, speed: float) -> list[float]:
    with Simulator(turns=[TURN]) as simulator:
        records = measured(simulator, trace=trace, trace_speed=speed).measured.records
    return [(record["due_ns"] - records[0]["due_ns"]) / 1e9 for record in records]


def test_prompts_of_a_trace_share_the_blocks_that_it_names(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    entries = [
        {"timestamp": number, "input_length": 600, "output_length": 2, "hash_ids": [7, 8 + number]} for number in (0, 1)
    ]
    trace.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    with Simulator(turns=[TURN]) as simulator:
        measured(simulator, trace=trace)
        first, second = (body["messages"][0]["content"].split() for body in bodies(simulator)[2:])
    shared = next(at for at, (one, other) in enumerate(zip(first, second, strict=True)) if one != other)
    assert shared >= 500  # a block has 512 tokens, and this server counts words


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "{", '{"input_length": 3}\n'])
def test_a_trace_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    trace = tmp_path / "trace"
    trace.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="trace"):
        bench.run("http://127.0.0.1:1/v1", model="x", trace=trace)


def test_synthetic_prompts_are_as_long_as_the_server_counts() -> None:
    with Simulator(turns=[TURN]) as simulator:
        report = measured(simulator, input_tokens="200-300", output_tokens=17, requests=8, prefix_tokens=50)
        sent = bodies(simulator)[2:]
    # The simulator counts words: of the prompt and of the shared beginning.
    assert all(250 <= record["input_tokens"] <= 350 for record in report.measured.records)
    assert {body["max_tokens"] for body in sent} == {17}
    assert len({body["messages"][1]["content"] for body in sent}) == 8
    assert len({body["messages"][0]["content"] for body in sent}) == 1


@pytest.mark.parametrize("lengths", ["0", "9-3", "normal:1", "uniform:1:2", "many", "normal:0:1"])
def test_lengths_that_are_none_are_an_error(lengths: str) -> None:
    with pytest.raises(ConfigurationError, match="lengths are"), Simulator(turns=[TURN]) as simulator:
        measured(simulator, input_tokens=lengths)


@pytest.mark.parametrize(("api", "path"), [("responses", "/v1/responses"), ("completions", "/v1/completions")])
def test_a_url_is_asked_by_the_protocol_that_is_wanted(api: bench.Api, path: str) -> None:
    with Simulator(turns=[TURN]) as simulator:
        report = measured(simulator, api=api, requests=1, parameters={"max_tokens": 9})
        request = simulator.report()["requests"][0]
    assert request["path"] == path
    if api == "responses":
        assert report.requests == {"complete": 1}
        assert request["body"]["max_output_tokens"] == 9
        assert request["body"]["input"][0]["role"] == "user"
        assert report.metrics["ttft"].count == 1
    else:  # the simulator has no such path
        assert report.requests == {"rejected": 1}
        assert isinstance(request["body"]["prompt"], str)


def test_a_conversation_has_its_own_answers() -> None:
    with Simulator(turns=[{"text": ["a ", '"quoted"']}]) as simulator:
        report = measured(simulator, turns=3, think=0.01, concurrency=2, requests=12)
        sent = [body["messages"] for body in bodies(simulator)]
    assert report.requests == {"complete": 12}
    assert [record["turn"] for record in report.measured.records] == [0, 1, 2] * 4
    assert sorted(len(messages) for messages in sent) == [1] * 4 + [3] * 4 + [5] * 4
    answers = [each["content"] for messages in sent for each in messages if each["role"] == "assistant"]
    assert set(answers) == {'a "quoted"'}
    records = report.measured.records
    for before, after in pairwise(records):
        assert after["turn"] == 0 or after["opened_ns"] >= before["ended_ns"] + 10_000_000


def test_an_open_load_begins_conversations() -> None:
    with Simulator(turns=[TURN]) as simulator:
        report = measured(simulator, turns=2, rate=100, requests=5, arrivals="constant", input_tokens=20)
    assert report.requests == {"complete": 10}
    assert [record["due_ns"] is None for record in report.measured.records] == [False, True] * 5


@pytest.mark.parametrize(("connections", "opened"), [("warm", 1), ("cold", 5)])
def test_cold_connections_are_opened_for_each_request(connections: bench.Connections, opened: int) -> None:
    with Simulator(turns=[TURN]) as simulator:
        measured(simulator, requests=5, connections=connections)
        assert simulator.report()["connections"]["accepted"] == opened


@pytest.mark.parametrize(
    "model",
    ["openai/m", "openai/responses/m", "anthropic/m", "gemini/m", "cohere/m", "ollama_chat/m"],
)
def test_every_dialect_is_measured_with_reasoning_and_text_apart(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = {"reasoning": ["so", " then"], "text": ["a", " b"]}
    with Simulator(turns=[turn], pacing={"mode": "steady", "first_ms": 20, "interval_ms": 5}) as simulator:
        root = simulator.base_url.removesuffix("/v1")
        for name, url in {
            "OPENAI_BASE_URL": simulator.base_url,
            "ANTHROPIC_API_BASE": root,
            "GEMINI_API_BASE": root,
            "COHERE_API_BASE": f"{root}/v2/chat",
            "OLLAMA_API_BASE": root,
        }.items():
            monkeypatch.setenv(name, url)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "COHERE_API_KEY"):
            monkeypatch.setenv(name, "k")
        report = bench.run(model, requests=2, self_test=False, warm_up=0)
    assert report.requests == {"complete": 2}, report.errors
    assert report.metrics["ttft"].p50 >= 0.020
    assert report.tokens_by == "usage"
    if "ttft_reasoning" in report.metrics:
        assert report.metrics["ttft_text"].p50 > report.metrics["ttft_reasoning"].p50


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"profile": [(1, 5)]}, "begin at 0"),
        ({"profile": [(0, 5), (2, 5), (1, 5)]}, "never go back"),
        ({"profile": [(0, 0), (5, 0)]}, "one of them above it"),
        ({"profile": [(0, 5)]}, "never end"),
        ({"rate": 5, "profile": [(0, 5), (1, 5)]}, "either a concurrency or a rate"),
        ({"concurrency": 2, "part": (2, 3)}, "has no 3 parts"),
        ({"part": (4, 3)}, "no part 5 of 3"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"api": "soap"}, "api must be"),
        ({"connections": "tepid"}, "connections must be"),
        ({"prefix_tokens": 5}, "give input_tokens"),
        ({"trace": "/no/such/file"}, "cannot be read"),
        ({"start_at": 1.0}, "start_at was"),
        ({"turns": 0}, "turns must be at least 1"),
        ({"think": -1}, "think at least 0"),
    ],
)
def test_what_is_not_possible_says_why(options: dict[str, Any], says: str) -> None:
    with Simulator(turns=[TURN]) as simulator, pytest.raises(ConfigurationError, match=says):
        measured(simulator, **options)
