"""Servers that answer late or not at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from headrace import FirstTokenTimeoutError, IdleTimeoutError, Timeouts
from support.harness import Reader, Simulate, agent_at, receive_request, serving, wait_for_outcomes

if TYPE_CHECKING:
    import socket

SHORT = 0.5
"""Seconds of a timeout that the test runs into: long enough for the tokens before it to arrive."""

LONG = 2.0
"""Seconds of a timeout that the test must not run into: its tokens come every few milliseconds."""


def test_a_server_that_never_answers(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(fault={"kind": "silent"})
    result = reader.read(agent_at(simulator, timeouts=Timeouts(first_token=SHORT)))
    assert type(result.error) is FirstTokenTimeoutError
    assert isinstance(result.error, TimeoutError)
    assert "no token within 0.5 s" in str(result.error)
    assert (result.stream.state, result.error.state, result.error.model) == ("timeout", "timeout", "openai/sim")
    wait_for_outcomes(simulator, "disconnected")


def test_a_server_that_only_answers_with_headers(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(fault={"kind": "stall", "after": 0})
    result = reader.read(agent_at(simulator, timeouts=Timeouts(first_token=SHORT)))
    assert type(result.error) is FirstTokenTimeoutError
    wait_for_outcomes(simulator, "disconnected")


def test_comments_do_not_count_as_a_first_token(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(fault={"kind": "stall", "after": 0}, comment_every_ms=5)
    result = reader.read(agent_at(simulator, timeouts=Timeouts(first_token=SHORT)))
    assert type(result.error) is FirstTokenTimeoutError


def test_a_stream_that_goes_silent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two three", fault={"kind": "stall", "after": 2})
    result = reader.read(agent_at(simulator, timeouts=Timeouts(idle=SHORT)))
    assert result.tokens == ["one", " two"]
    assert type(result.error) is IdleTimeoutError
    assert isinstance(result.error, TimeoutError)
    assert "no token for 0.5 s" in str(result.error)
    assert (result.stream.state, result.stream.text) == ("timeout", "one two")
    wait_for_outcomes(simulator, "disconnected")


def test_comments_do_not_reset_the_idle_timeout(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two three", fault={"kind": "stall", "after": 2}, comment_every_ms=5)
    result = reader.read(agent_at(simulator, timeouts=Timeouts(idle=SHORT)))
    assert result.tokens == ["one", " two"]
    assert type(result.error) is IdleTimeoutError


def test_reasoning_resets_the_timeouts(simulate: Simulate, reader: Reader) -> None:
    # The reasoning takes longer than the timeouts.
    pacing = {"mode": "steady", "interval_ms": 40}
    simulator = simulate("Done.", reasoning=["hm"] * 60, pacing=pacing)
    result = reader.read(agent_at(simulator, timeouts=Timeouts(first_token=LONG, idle=LONG)))
    assert (result.tokens, result.error) == (["Done."], None)


def test_a_stream_may_last_longer_than_its_limits(simulate: Simulate, reader: Reader) -> None:
    pacing = {"mode": "steady", "interval_ms": 40}
    simulator = simulate(["a"] * 60, pacing=pacing)
    result = reader.read(agent_at(simulator, timeouts=Timeouts(first_token=LONG, idle=LONG)))
    assert (len(result.tokens), result.error) == (60, None)


def test_a_slow_reader_does_not_cause_an_idle_timeout(simulate: Simulate, reader: Reader) -> None:
    words = [f"word-{n:04} " for n in range(1000)]
    simulator = simulate(words, repeat=100)
    with reader.start(agent_at(simulator, timeouts=Timeouts(idle=1.0))) as reading:
        reading.take(1)
        # Longer than the timeout, while the provider waits for us.
        time.sleep(1.2)
        rest = reading.to_end()
    assert (len(rest.tokens), rest.error) == (100 * len(words) - 1, None)


def test_the_timeout_does_not_apply_after_the_end_of_the_answer(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two three")
    with reader.start(agent_at(simulator, timeouts=Timeouts(idle=SHORT))) as reading:
        reading.take(1)
        time.sleep(3 * SHORT)
        assert reading.to_end().error is None


def test_the_wait_for_the_explanation_of_an_error_has_a_limit(reader: Reader) -> None:
    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(b"HTTP/1.1 500 Oops\r\ncontent-length: 1000\r\n\r\nIt is")
        connection.recv(1)

    with serving(answer) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(first_token=SHORT)))
    assert result.error is not None
    assert result.stream.state in {"timeout", "rejected"}
