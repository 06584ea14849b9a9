"""Streams that break in the middle: all tokens that arrived come first, and then the error."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import (
    BadRequestError,
    ConnectionFailedError,
    EventTooLargeError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamError,
    TruncatedError,
)
from support.harness import PATIENCE, Reader, Simulate, agent_at, receive_request, serving

WORDS = ["one", " two", " three", " four", " five"]
AFTER = [0, 1, 3, 5]


def broken(simulate: Simulate, reader: Reader, after: int, **fault: Any) -> StreamError:
    """The error of a stream that breaks after this many tokens."""
    result = reader.read(agent_at(simulate(WORDS, fault={**fault, "after": after})))
    assert result.tokens == WORDS[:after]
    assert result.stream.text == "".join(WORDS[:after])
    assert isinstance(result.error, StreamError)
    assert result.stream.state == result.error.state
    assert result.error.model == "openai/sim"
    return result.error


@pytest.mark.parametrize("after", AFTER)
def test_a_body_that_ends_too_early_is_truncated(simulate: Simulate, reader: Reader, after: int) -> None:
    error = broken(simulate, reader, after, kind="end")
    assert type(error) is TruncatedError
    assert error.state == "truncated"
    assert "not whole" in str(error)


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("fault", [{"kind": "close"}, {"kind": "reset"}, {"kind": "reset", "in_frame": False}], ids=str)
def test_a_connection_that_breaks(simulate: Simulate, reader: Reader, fault: dict[str, Any], after: int) -> None:
    error = broken(simulate, reader, after, **fault)
    assert type(error) is ConnectionFailedError
    assert error.state == "transport"
    assert "broke" in str(error)


@pytest.mark.parametrize("after", AFTER)
def test_malformed_json(simulate: Simulate, reader: Reader, after: int) -> None:
    error = broken(simulate, reader, after, kind="malformed")
    assert type(error) is ProtocolError
    assert error.state == "protocol"
    assert "JSON" in str(error)


@pytest.mark.parametrize("after", [0, 3])
def test_an_event_that_is_too_large(simulate: Simulate, reader: Reader, after: int) -> None:
    error = broken(simulate, reader, after, kind="huge", bytes=17 * 1024 * 1024)
    assert type(error) is EventTooLargeError
    assert error.state == "protocol"
    assert str(16 * 1024 * 1024) in str(error)


def test_an_event_that_is_large_but_not_too_large(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(WORDS, fault={"kind": "huge", "after": 1, "bytes": 8 * 1024 * 1024})
    result = reader.read(agent_at(simulator))
    assert result.error is None
    assert [len(token) > 8_000_000 for token in result.tokens] == [False, True, False, False, False, False]


@pytest.mark.parametrize("after", AFTER)
def test_an_error_inside_the_stream(simulate: Simulate, reader: Reader, after: int) -> None:
    error = broken(simulate, reader, after, kind="error", error={"message": "The model fell over.", "type": "oops"})
    assert type(error) is ProviderError
    assert (error.state, error.code, error.status) == ("error", "oops", None)
    assert "The model fell over." in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(400, BadRequestError), (429, RateLimitError), (500, ServerError), (529, OverloadedError)],
)
def test_an_error_inside_the_stream_with_a_status(
    simulate: Simulate, reader: Reader, code: int, kind: type[ProviderError]
) -> None:
    error = broken(simulate, reader, 2, kind="error", error={"message": "no", "code": code})
    assert type(error) is kind
    assert (error.state, error.status) == ("error", code)


def test_tokens_after_an_error_inside_the_stream_do_not_count(simulate: Simulate, reader: Reader) -> None:
    chunk = 'data: {{"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}\n\n'
    body = chunk.format("yes") + 'data: {"error":{"message":"no"}}\n\n' + chunk.format("never") + "data: [DONE]\n\n"
    result = reader.read(agent_at(simulate(fault={"kind": "raw", "body": body})))
    assert result.tokens == ["yes"]
    assert isinstance(result.error, ProviderError)


def test_an_error_is_raised_once_and_later_reads_find_the_end(simulate: Simulate, reader: Reader) -> None:
    reading = reader.start(agent_at(simulate(WORDS, fault={"kind": "end", "after": 2})))
    first = reading.to_end()
    assert isinstance(first.error, TruncatedError)
    assert reading.to_end().tokens == []
    assert reading.stream.state == "truncated"
    reading.close()
    assert reading.stream.state == "truncated"


def test_after_an_error_the_next_run_is_a_new_one(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(
        turns=[
            {"when": {"contains": "break"}, "text": WORDS, "fault": {"kind": "reset", "after": 1}},
            {"text": WORDS},
        ]
    )
    agent = agent_at(simulator)
    for _ in range(3):
        assert reader.read(agent, "break").tokens == WORDS[:1]
        assert reader.read(agent, "whole").tokens == WORDS


# --- streams that are complete ---------------------------------------------------------------------------------


def test_a_finish_reason_without_an_end_marker_is_complete(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(agent_at(simulate(WORDS, fault={"kind": "no_done"})))
    assert (result.tokens, result.error, result.stream.state) == (WORDS, None, "complete")
    assert result.stream.turns[0].finish_reason == "stop"


def test_a_connection_that_closes_right_after_the_end_marker_is_complete(reader: Reader) -> None:
    def answer(connection: Any) -> None:
        receive_request(connection)
        # The chunk that would end the body never comes.
        events = b'data: {"choices":[{"index":0,"delta":{"content":"whole"}}]}\n\ndata: [DONE]\n\n'
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(events), events))

    with serving(answer) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1"))
    assert (result.tokens, result.error) == (["whole"], None)


def test_a_body_that_lasts_until_the_connection_closes_is_complete(reader: Reader) -> None:
    def answer(connection: Any) -> None:
        receive_request(connection)
        events = b'data: {"choices":[{"index":0,"delta":{"content":"whole"}}]}\n\ndata: [DONE]\n\n'
        connection.sendall(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + events)

    with serving(answer) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1"))
    assert (result.tokens, result.error) == (["whole"], None)


def test_bytes_after_the_end_marker_are_not_waited_for(reader: Reader) -> None:
    def answer(connection: Any) -> None:
        receive_request(connection)
        events = b'data: {"choices":[{"index":0,"delta":{"content":"whole"}}]}\n\ndata: [DONE]\n\n'
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(events), events))
        # The server sends nothing more and keeps the connection open: the client has to close it.
        connection.settimeout(PATIENCE)
        assert connection.recv(1) == b""

    with serving(answer) as port:
        result = reader.read(agent_at(f"http://127.0.0.1:{port}/v1"))
        assert (result.tokens, result.error) == (["whole"], None)


@pytest.mark.parametrize("sizes", [[1], [2], [3], [7], [64], [1, 2, 3, 5, 8, 13], [1000, 1], [16, 4096]], ids=str)
def test_bytes_cut_anywhere_are_the_same_stream(simulate: Simulate, reader: Reader, sizes: list[int]) -> None:
    words = ["Grüße", " 🦜🦜", "\n\n", '"', " e\u0301", "\u2028"]
    simulator = simulate(words, fault={"kind": "cut", "sizes": sizes, "interval_ms": 0}, newline="\r\n")
    result = reader.read(agent_at(simulator))
    assert (result.tokens, result.error) == (words, None)


def test_slow_bytes_cut_anywhere_are_the_same_stream(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(["a🦜", "b"], usage=False, fault={"kind": "cut", "sizes": [5, 1], "interval_ms": 1})
    result = reader.read(agent_at(simulator))
    assert (result.tokens, result.error) == (["a🦜", "b"], None)
