"""Every vector of ``tests/conformance/openai``, from a socket to an agent."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ProtocolError, ProviderError, StreamError, TruncatedError
from support.harness import Reader, Simulate, agent_at
from support.vectors import Vector, read_vectors

if TYPE_CHECKING:
    from headrace import ToolCall

VECTORS = read_vectors("openai")
CLASSES = {"error": ProviderError, "protocol": ProtocolError, "truncated": TruncatedError}


def with_the_providers_ids(calls: tuple[ToolCall, ...], expected: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls as dicts. Ids that headrace made are None again, because the provider sent none."""
    ids = [call["id"] for call in expected["response"]["tool_calls"]]
    made = [call.id for call, sent in zip(calls, ids, strict=True) if sent is None and call.id is not None]
    assert len(set(made)) == len(made)
    members = ("name", "arguments")
    return [
        {**{name: getattr(call, name) for name in members}, "id": None if call.id in made else call.id}
        for call in calls
    ]


def members_in_the_vector(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The members of a turn that the vector has: those that come from the decoder."""
    usage = expected["usage"] and {name: found["usage"][name] for name in expected["usage"]}
    return {**{name: found[name] for name in expected}, "usage": usage}


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 30


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_vector(simulate: Simulate, reader: Reader, vector: Vector) -> None:
    raw = {"kind": "raw", "body_base64": base64.b64encode(vector.body).decode()}
    result = reader.read(agent_at(simulate(fault=raw), allow_empty=True))
    expected, stream = vector.expected, result.stream
    # A refusal is yielded like text.
    refusal = expected["response"]["refusal"]
    assert [token for token in result.tokens if token not in refusal] == expected["text_deltas"]
    assert stream.state == expected["state"]
    assert stream.text == "".join(result.tokens) == expected["response"]["text"] + refusal
    [turn] = stream.turns
    error = expected["response"]["error"]  # checked below
    found = {**asdict(turn), "tool_calls": with_the_providers_ids(turn.tool_calls, expected), "error": error}
    assert turn.dialect == "openai_chat"
    assert members_in_the_vector(found, expected["response"]) == expected["response"]
    if expected["state"] == "complete":
        assert result.error is None
        return
    assert isinstance(result.error, CLASSES[expected["state"]])
    assert isinstance(result.error, StreamError)
    assert (result.error.state, result.error.model) == (expected["state"], "openai/sim")
    if error is not None:
        assert error["message"] in str(result.error)
        assert result.error.code == (error.get("code") or error.get("type"))
