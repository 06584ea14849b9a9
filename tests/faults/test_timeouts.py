"""Servers that answer late or not at all."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from headrace import FirstTokenTimeoutError, IdleTimeoutError, RateLimitError, ServerError, Timeouts
from support.harness import Reader, Simulate, agent_at, receive_request, serving, wait_for_outcomes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

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
    assert type(result.error) is ServerError
    assert (result.stream.state, result.error.body) == ("rejected", "It is")


def test_a_rate_limit_whose_explanation_stalls_is_one(reader: Reader) -> None:
    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(b"HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 1000\r\n\r\n")
        connection.recv(1)

    with serving(answer) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(first_token=SHORT)))
    assert type(result.error) is RateLimitError
    assert (result.error.status, result.error.retry_after) == (429, 7)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def chunk(delta: dict[str, Any], finish: str | None = None, **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice], **members})}\n\n".encode()


def test_an_answer_that_is_whole_and_a_connection_that_stays_open(reader: Reader) -> None:
    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        usage = {"prompt_tokens": 3, "completion_tokens": 1}
        connection.sendall(HEAD + chunk({"content": "Hi"}) + chunk({}, "stop") + chunk({}, usage=usage))
        # No end marker, and keep-alives for as long as somebody reads.
        with suppress(TimeoutError):
            connection.settimeout(0.05)
            while True:
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    connection.sendall(b": keep-alive\n\n")

    with serving(answer) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(idle=SHORT)))
        assert (result.tokens, result.error, result.stream.state) == (["Hi"], None, "complete")
        assert result.stream.turns[0].usage is not None
        assert result.stream.turns[0].usage.input_tokens == 3
        # Also where the limit is longer than what is waited for.
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1"))
        assert (result.tokens, result.error) == (["Hi"], None)


def test_tokens_after_a_finish_reason_come_all(reader: Reader) -> None:
    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(HEAD + chunk({"content": "one"}, "stop") + chunk({"content": " two"}, "stop"))
        connection.recv(1)

    with serving(answer) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(idle=SHORT)))
    # This server's finish reasons do not end anything, so nothing says that the answer is whole.
    assert result.tokens == ["one", " two"]
    assert type(result.error) is IdleTimeoutError


def keeps_sending(frame: bytes, count: int) -> Callable[[socket.socket], None]:
    """Sends a token, then this frame again and again, 0.1 s apart, then the end."""

    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(HEAD + chunk({"content": "Hi"}))
        for _ in range(count):
            time.sleep(0.1)
            connection.sendall(frame)
        connection.sendall(chunk({}, "stop") + b"data: [DONE]\n\n")

    return answer


@pytest.mark.parametrize(
    "delta",
    [{"audio": {"data": "AAAA"}}, {"executed_tools": [{"type": "search", "index": 0}]}, {"reasoning_content": "hm"}],
)
def test_work_of_the_provider_is_a_sign_of_life(reader: Reader, delta: dict[str, Any]) -> None:
    with serving(keeps_sending(chunk(delta), 12)) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(idle=1.0)))
    assert (result.tokens, result.error) == (["Hi"], None)


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": 3, "completion_tokens": 1}])
def test_token_counts_are_no_sign_of_life(reader: Reader, usage: dict[str, int]) -> None:
    frame = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()
    with serving(keeps_sending(frame, 40)) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(idle=SHORT)))
    assert (result.tokens, type(result.error)) == (["Hi"], IdleTimeoutError)
