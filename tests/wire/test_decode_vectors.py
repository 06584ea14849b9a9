"""Every vector of the dialects under ``tests/conformance`` through ``headrace.decode``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

import headrace
from headrace import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    ServerError,
    TruncatedError,
)
from headrace.decoding import TextDelta
from support.vectors import Vector, read_vectors

if TYPE_CHECKING:
    from headrace import Response

FOLDERS = {
    "openai": "openai_chat",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "cohere": "cohere",
    "ollama": "ollama",
    "bedrock": "bedrock",
}
VECTORS = [
    pytest.param(dialect, vector, id=f"{folder}-{vector.name}")
    for folder, dialect in FOLDERS.items()
    for vector in read_vectors(folder)
]
CLASSES: dict[str, type] = {
    "error": ProviderError,
    "protocol": ProtocolError,
    "truncated": TruncatedError,
    "complete": type(None),
}
ERROR_CLASSES = {
    "bad_request": BadRequestError,
    "context_window": ContextWindowExceededError,
    "content_policy": ContentPolicyViolationError,
    "authentication": AuthenticationError,
    "permission_denied": PermissionDeniedError,
    "not_found": NotFoundError,
    "rate_limit": RateLimitError,
    "overloaded": OverloadedError,
    "server": ServerError,
}


def as_vector(response: Response, expected: dict[str, Any]) -> dict[str, Any]:
    usage = None if response.usage is None else asdict(response.usage)
    counts = expected["usage"] or {}
    return {
        "text": response.text,
        "reasoning": response.reasoning,
        "refusal": response.refusal,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in response.tool_calls],
        "finish_reason": response.finish_reason,
        "finish_reason_raw": response.finish_reason_raw,
        "usage": usage if usage is None else {name: usage[name] for name in counts},
        "id": response.id,
        "model": response.model,
        "error": expected["error"],  # checked below
    }


@pytest.mark.parametrize(("dialect", "vector"), VECTORS)
def test_a_vector(dialect: str, vector: Vector) -> None:
    expected = vector.expected
    found = headrace.decode(vector.body, dialect)
    if "cut_calls" in expected:
        assert [at for at, call in enumerate(found.tool_calls) if not call.complete] == expected["cut_calls"]
    assert (found.state, found.dialect) == (expected["state"], dialect)
    assert as_vector(found, expected["response"]) == expected["response"]
    texts = [delta.text for delta in found.deltas if isinstance(delta, TextDelta) and delta.choice == 0]
    assert texts == expected["text_deltas"]
    assert isinstance(found.error, CLASSES[expected["state"]])
    if expected["response"]["error"] is not None:
        assert isinstance(found.error, ProviderError)
        assert str(found.error) == expected["response"]["error"]["message"]
        assert found.error.body
        if "error_class" in expected:
            assert type(found.error) is ERROR_CLASSES[expected["error_class"]]
        if "retry_after" in expected:
            assert found.error.retry_after == expected["retry_after"]


@pytest.mark.parametrize(("dialect", "vector"), VECTORS)
def test_a_vector_without_naming_its_dialect(dialect: str, vector: Vector) -> None:
    named, found = headrace.decode(vector.body, dialect), headrace.decode(vector.body)
    if found.dialect is None:
        # The body is too short to detect a dialect, and has no content.
        assert named.choices == ()
        assert found.state in {"truncated", "protocol", "error"}
    else:
        assert found == named


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 200
