"""Answers that are not event streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace import EventTooLargeError, ProtocolError, ProviderError, StreamError, TruncatedError
from support.harness import Reader, Simulate, agent_at

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "m-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "All at once."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}


def raw(body: str, **fault: Any) -> dict[str, Any]:
    return {"kind": "raw", "body": body, "content_type": "application/json", **fault}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/json; charset=utf-8"])
@pytest.mark.parametrize("chunk_bytes", [None, 1, 10])
def test_a_document_instead_of_a_stream_is_one_token(
    simulate: Simulate, reader: Reader, content_type: str, chunk_bytes: int | None
) -> None:
    fault = raw(json.dumps(COMPLETION, indent=1), content_type=content_type, chunk_bytes=chunk_bytes)
    result = reader.read(agent_at(simulate(fault=fault)))
    assert (result.tokens, result.error) == (["All at once."], None)
    [turn] = result.stream.turns
    assert (turn.text, turn.finish_reason, turn.id, turn.model) == ("All at once.", "stop", "chatcmpl-1", "m-1")
    assert turn.usage is not None
    assert (turn.usage.input_tokens, turn.usage.output_tokens, turn.usage.total_tokens) == (3, 4, 7)


def test_an_error_instead_of_a_stream_is_an_error(simulate: Simulate, reader: Reader) -> None:
    fault = raw('{"error":{"message":"no credit","type":"billing"}}')
    error = reader.read(agent_at(simulate(fault=fault))).error
    assert isinstance(error, ProviderError)
    assert (error.state, error.code) == ("error", "billing")
    assert "no credit" in str(error)


@pytest.mark.parametrize("cut", [1, 50, 150])
def test_half_a_document_is_no_answer(simulate: Simulate, reader: Reader, cut: int) -> None:
    result = reader.read(agent_at(simulate(fault=raw(json.dumps(COMPLETION)[:cut]))))
    assert result.tokens == []
    assert isinstance(result.error, ProtocolError | TruncatedError)


@pytest.mark.parametrize("body", ["{}", "[]", '{"hello":"world"}', '{"choices":[]}', "[1,2]"])
def test_a_document_that_is_no_completion_is_no_answer(simulate: Simulate, reader: Reader, body: str) -> None:
    result = reader.read(agent_at(simulate(fault=raw(body))))
    assert result.tokens == []
    assert isinstance(result.error, StreamError)
    assert result.stream.state in {"protocol", "truncated"}


def test_a_document_that_is_too_large(simulate: Simulate, reader: Reader) -> None:
    body = json.dumps(COMPLETION).replace("All at once.", "x" * 17 * 1024 * 1024)
    assert type(reader.read(agent_at(simulate(fault=raw(body)))).error) is EventTooLargeError


def test_a_web_page_instead_of_a_stream(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(agent_at(simulate(fault={"kind": "html"})))
    assert (result.tokens, type(result.error)) == ([], ProtocolError)
    assert result.stream.state == "protocol"
    assert "web page" in str(result.error)
    assert "is the URL right?" in str(result.error)


def test_a_web_page_that_comes_byte_by_byte(simulate: Simulate, reader: Reader) -> None:
    fault = raw("  \n<!doctype html><title>Login</title>", content_type="text/html", chunk_bytes=1)
    error = reader.read(agent_at(simulate(fault=fault))).error
    assert type(error) is ProtocolError
    assert "web page" in str(error)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream", "text/html"])
def test_a_stream_with_a_wrong_content_type_is_read(simulate: Simulate, reader: Reader, content_type: str) -> None:
    chunk = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    result = reader.read(agent_at(simulate(fault=raw(chunk, content_type=content_type))))
    assert (result.tokens, result.error) == (["a"], None)


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
@pytest.mark.parametrize("body", ["", "\n\n", ": nothing\n\n", "event: ping\n\n", "hello"])
def test_an_empty_answer_is_truncated(simulate: Simulate, reader: Reader, content_type: str, body: str) -> None:
    result = reader.read(agent_at(simulate(fault=raw(body, content_type=content_type))))
    assert (result.tokens, type(result.error)) == ([], TruncatedError)
    assert result.stream.state == "truncated"


@pytest.mark.parametrize("data", ["null", "[]", "7", '"text"', "true"])
def test_an_sse_event_that_is_json_but_not_a_chunk(simulate: Simulate, reader: Reader, data: str) -> None:
    result = reader.read(agent_at(simulate(fault=raw(f"data: {data}\n\ndata: [DONE]\n\n"))))
    assert result.tokens == []
    # The SSE event is skipped, and an end marker alone is not an answer.
    assert (result.stream.state, type(result.error)) == ("truncated", TruncatedError)
