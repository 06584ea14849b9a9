"""Metrics, and the access log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from support.conversations import refusing
from support.harness import Simulate, agent_at
from support.serving import GO, MODEL, request, serving_agents, streamed

if TYPE_CHECKING:
    from pathlib import Path


def samples(text: str) -> dict[str, float]:
    """The samples by name and labels, as Prometheus reads them."""
    return {
        f"{sample.name}{''.join(f' {value}' for value in sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_what_was_served(simulate: Simulate) -> None:
    texts = ["Water", " turns", " the", " wheel."]
    turns = [{"when": {"contains": "Fail."}, "text": "x", "fault": refusing(500, None)}, {"text": texts}]
    with serving_agents(agent_at(simulate(turns=turns))) as running:
        streamed(running)
        request(running, "/v1/messages", {"model": MODEL, "messages": GO, "max_tokens": 9})
        failing = [{"role": "user", "content": "Fail."}]
        request(running, "/v1/chat/completions", {"model": MODEL, "messages": failing})
        request(running, "/v1/chat/completions", {"model": "other", "messages": GO})
        counted = samples(request(running, "/metrics").text)
    assert counted[f"headrace_requests_total {MODEL} chat complete"] == 1
    assert counted[f"headrace_requests_total {MODEL} chat upstream"] == 1
    assert counted[f"headrace_requests_total {MODEL} messages complete"] == 1
    assert counted["headrace_refused_total not_found"] == 1
    assert counted[f"headrace_tokens_total {MODEL} chat"] == len(texts)
    assert counted[f"headrace_streams {MODEL} chat"] == 0
    assert counted[f"headrace_time_to_first_token_seconds_count {MODEL} chat"] == 1
    assert 0 < counted[f"headrace_time_to_first_token_seconds_sum {MODEL} chat"] < 60
    assert counted[f"headrace_own_latency_seconds_count {MODEL} chat"] >= 1
    own = counted[f"headrace_own_latency_seconds_sum {MODEL} chat"]
    assert own < counted[f"headrace_time_to_first_token_seconds_sum {MODEL} chat"] + 60


def test_each_request_is_a_line_of_the_access_log(simulate: Simulate, tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    turns = [{"when": {"contains": "Fail."}, "text": "x", "fault": refusing(500, None)}, {"text": "Yes."}]
    with serving_agents(agent_at(simulate(turns=turns)), access_log=log) as running:
        run = request(running, "/v1/chat/completions", {"model": MODEL, "messages": GO}).headers["headrace-run"]
        failing = [{"role": "user", "content": "Fail."}]
        request(running, "/v1/chat/completions", {"model": MODEL, "messages": failing})
        request(running, "/health/live")
    good, bad = [json.loads(line) for line in log.read_text().splitlines()]
    assert (good["run"], good["model"], good["protocol"], good["status"]) == (run, MODEL, "chat", 200)
    assert (good["outcome"], good["key"]) == ("complete", None)
    assert 0 < good["ttft"] <= good["seconds"]
    assert good["tokens"] > 0
    assert (bad["status"], bad["outcome"], bad["ttft"]) == (502, "upstream", None)
