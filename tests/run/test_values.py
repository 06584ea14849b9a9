"""Values of a run are plain when asked, and can be pickled and copied."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

from headrace.testing import Simulator
from support.harness import agent_at


def values() -> list[Any]:
    turn = {"text": "one two", "tool_calls": [{"name": "look", "arguments": {}}]}
    with Simulator(turns=[{"when": {"role": "tool"}, "text": "done"}, turn]) as simulator:

        def look() -> str:
            """Looks."""
            return "seen"

        stream = agent_at(simulator, tools=[look], max_loops=2).run_stream("Go.", with_events=True)
        events = list(stream)
    assert stream.timing is not None
    assert stream.usage is not None
    return [stream.timing, stream.usage, *stream.turns, *events]


def test_every_value_survives_pickling_and_copying() -> None:
    for value in values():
        for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert again == value
            assert again.to_dict() == value.to_dict()


def test_values_show_themselves_in_a_notebook() -> None:
    timing, usage, *_ = values()
    shown = timing._repr_html_()
    assert "TTFT" in shown
    assert " ms" in shown
    assert shown.count("V30") == timing.chunks
    assert "input tokens" in usage._repr_html_()
    agent = agent_at("http://127.0.0.1:1/v1", system_prompt="<b>", llm_api_key="sk-secret")
    assert "&lt;b&gt;" in agent._repr_html_()
    assert "sk-secret" not in agent._repr_html_()


def test_every_value_is_json() -> None:
    for value in values():
        plain = value.to_dict()
        assert json.loads(json.dumps(plain)) == plain
    timing = values()[0]
    assert timing.to_dict()["arrivals_ns"] == timing.arrivals_ns.tolist()
