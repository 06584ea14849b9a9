"""Tools that the caller of a run runs itself, and other options of one run, in both drivers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace import ConfigurationError
from support.conversations import add, bodies, calling, conversation
from support.harness import Reader, Simulate, agent_at

SHOW: dict[str, Any] = {"type": "function", "function": {"name": "show", "parameters": {"type": "object"}}}
BOTH = {"text": "Look.", "tool_calls": [calling("add", {"a": 1, "b": 2}, id="c1"), calling("show", {"n": 1}, id="c2")]}


def test_a_turn_that_calls_a_tool_of_the_callers_ends_the_run(simulate: Simulate, reader: Reader) -> None:
    ran: list[int] = []

    def add(a: int, b: int) -> int:
        """Adds."""
        ran.append(a + b)
        return a + b

    simulator = simulate(turns=[BOTH])
    reading = reader.start(agent_at(simulator, tools=[add], max_loops=5), client_tools=[SHOW])
    reading.to_end()
    stream = reading.stream
    assert [call.name for call in stream.turns[-1].tool_calls] == ["add", "show"]
    assert [call["function"]["name"] for call in json.loads(stream.final)] == ["show"]
    assert ran == []
    # Every call but the caller's has a result, so the caller only adds its own.
    assert [message.get("tool_call_id") for message in stream.messages if message["role"] == "tool"] == ["c1"]
    assert len(bodies(simulator)) == 1


def test_the_run_goes_on_with_the_results(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(BOTH, {"text": "Shown."}))
    agent = agent_at(simulator, tools=[add], max_loops=5)
    reading = reader.start(agent, client_tools=[SHOW])
    reading.to_end()
    messages = [*reading.stream.messages, {"role": "tool", "tool_call_id": "c2", "content": "done"}]
    assert "".join(reader.read(agent, None, messages=messages, client_tools=[SHOW]).tokens) == "Shown."
    assert [message["role"] for message in bodies(simulator)[-1]["messages"]] == ["user", "assistant", "tool", "tool"]


def test_run_returns_the_calls(simulate: Simulate) -> None:
    agent = agent_at(simulate(turns=[BOTH]))
    [call] = json.loads(agent.run("Go.", client_tools=[SHOW]))
    assert (call["id"], call["function"]) == ("c2", {"name": "show", "arguments": '{"n": 1}'})


def test_options_of_one_run_replace_the_agents(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"text": "Yes."}])
    agent = agent_at(simulator, max_tokens=100, llm_args={"seed": 1, "user": "ann"})
    reader.read(agent, llm_args={"max_completion_tokens": 7, "seed": 2}, client_tools=[SHOW], tool_choice="none")
    reader.read(agent)
    first, second = bodies(simulator)
    assert (first["max_completion_tokens"], first["seed"], first["user"]) == (7, 2, "ann")
    assert "max_tokens" not in first
    assert first["tool_choice"] == "none"
    assert (second["max_tokens"], second["seed"]) == (100, 1)
    assert not {"max_completion_tokens", "tools", "tool_choice"} & set(second)


def test_headers_in_llm_args_of_one_run_are_sent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"text": "Yes."}])
    reader.read(agent_at(simulator), llm_args={"extra_headers": {"x-run": "1"}})
    [request] = simulator.report()["requests"]
    assert dict(request["headers"])["x-run"] == "1"
    assert "extra_headers" not in request["body"]


@pytest.mark.parametrize(
    ("tools", "error"),
    [
        ([{"name": "show"}], r"client_tools\[0\] must be a tool in OpenAI's format"),
        (SHOW, "client_tools must be a list"),
        ([add], r"client_tools\[0\] must be a tool in OpenAI's format"),
        ([{"type": "function", "function": {"name": "add"}}], "the agent has a tool 'add' of its own"),
    ],
)
def test_tools_that_cannot_work_are_refused(simulate: Simulate, reader: Reader, tools: Any, error: str) -> None:
    agent = agent_at(simulate(turns=[BOTH]), tools=[add])
    with pytest.raises(ConfigurationError, match=error):
        reader.start(agent, client_tools=tools)


def test_an_autonomous_agent_cannot_wait_for_its_caller(simulate: Simulate, reader: Reader) -> None:
    with pytest.raises(ConfigurationError, match="autonomous"):
        reader.start(agent_at(simulate(turns=[BOTH]), max_loops="auto"), client_tools=[SHOW])
