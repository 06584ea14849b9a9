"""Every vector of ``tests/conformance/openai``, from a socket to an agent."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from harness import Reader, Simulate, agent_at
from headrace import ProtocolError, ProviderError, StreamError, TruncatedError
from vectors import Vector, read_vectors

if TYPE_CHECKING:
    from headrace import ToolCall, Usage

VECTORS = read_vectors("openai")
CLASSES = {"error": ProviderError, "protocol": ProtocolError, "truncated": TruncatedError}


def with_their_own_ids(calls: tuple[ToolCall, ...], expected: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls as dicts. An id that headrace made, for a call that came without, is None again."""
    ids = [call["id"] for call in expected["response"]["tool_calls"]]
    made = [call.id for call, sent in zip(calls, ids, strict=True) if sent is None and call.id is not None]
    assert len(set(made)) == len(made)
    return [{**asdict(call), "id": None if call.id in made else call.id} for call in calls]


def usage_as_told(usage: Usage | None) -> dict[str, Any] | None:
    """The counts as the vectors write them: the newest only where it was told."""
    if usage is None:
        return None
    counts = asdict(usage)
    del counts["raw"]
    if counts["cache_write_tokens"] is None:
        del counts["cache_write_tokens"]
    return counts


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 30


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_vector(simulate: Simulate, reader: Reader, vector: Vector) -> None:
    raw = {"kind": "raw", "body_base64": base64.b64encode(vector.body).decode()}
    result = reader.read(agent_at(simulate(fault=raw)))
    expected, stream = vector.expected, result.stream
    assert result.tokens == expected["text_deltas"]
    assert stream.state == expected["state"]
    assert stream.text == expected["response"]["text"]
    [turn] = stream.turns
    error = expected["response"]["error"]  # looked at below
    told = {
        **asdict(turn),
        "tool_calls": with_their_own_ids(turn.tool_calls, expected),
        "usage": usage_as_told(turn.usage),
        "error": error,
    }
    assert told == expected["response"]
    if expected["state"] == "complete":
        assert result.error is None
        return
    assert isinstance(result.error, CLASSES[expected["state"]])
    assert isinstance(result.error, StreamError)
    assert (result.error.state, result.error.model) == (expected["state"], "openai/sim")
    if error is not None:
        assert error["message"] in str(result.error)
        assert result.error.code == (error.get("code") or error.get("type"))
