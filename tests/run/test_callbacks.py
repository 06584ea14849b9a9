"""``streaming_callback``: called with each token, before it is yielded."""

from __future__ import annotations

import pytest

from support.harness import Reader, Simulate, agent_at, wait_for_outcomes


class EnoughError(Exception):
    """The error that a callback raises to end the run."""


def test_the_agents_callback_gets_each_token(simulate: Simulate, reader: Reader) -> None:
    heard: list[str] = []
    result = reader.read(agent_at(simulate("one two three"), streaming_callback=heard.append))
    assert heard == result.tokens == ["one", " two", " three"]


def test_the_callback_of_a_call_replaces_the_agents(simulate: Simulate, reader: Reader) -> None:
    agents: list[str] = []
    calls: list[str] = []
    agent = agent_at(simulate("one two"), streaming_callback=agents.append)
    reader.read(agent, streaming_callback=calls.append)
    assert (agents, calls) == ([], ["one", " two"])


def test_run_calls_the_callback_too(simulate: Simulate) -> None:
    heard: list[str] = []
    agent_at(simulate("one two")).run("Go.", streaming_callback=heard.append)
    assert heard == ["one", " two"]


def test_the_callback_gets_a_token_before_the_reader(simulate: Simulate, reader: Reader) -> None:
    heard: list[str] = []
    with reader.start(agent_at(simulate("one two three")), streaming_callback=heard.append) as reading:
        for number in range(1, 4):
            token = reading.next()
            assert (heard[-1], len(heard)) == (token, number)


def test_a_callback_that_raises_ends_the_run_with_its_error(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two three", fault={"kind": "stall", "after": 2})

    def enough(token: str) -> None:
        if token == " two":
            raise EnoughError(token)

    result = reader.read(agent_at(simulator, streaming_callback=enough))
    assert result.tokens == ["one"]
    assert isinstance(result.error, EnoughError)
    assert result.stream.state == "failed"
    wait_for_outcomes(simulator, "disconnected")


def test_a_callback_that_raises_ends_run_too(simulate: Simulate) -> None:
    def enough(token: str) -> None:
        raise EnoughError(token)

    with pytest.raises(EnoughError):
        agent_at(simulate()).run("Go.", streaming_callback=enough)
