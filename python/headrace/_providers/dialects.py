"""The dialect in which a request is answered, by its URL."""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["dialect_of"]

_PATHS: Final = (
    (re.compile(r"/chat/completions/?$"), "openai_chat"),
    (re.compile(r"/responses$"), "openai_responses"),
    (re.compile(r"/messages$"), "anthropic"),
    (re.compile(r":streamGenerateContent$"), "gemini"),
    (re.compile(r"/publishers/anthropic/.*:streamRawPredict$"), "anthropic"),
    (re.compile(r"/publishers/.*:streamRawPredict$"), "openai_chat"),
    (re.compile(r"/v2/chat$"), "cohere"),
    (re.compile(r"/converse-stream$|/invoke-with-response-stream$|/invocations-response-stream$"), "bedrock"),
    (re.compile(r"/api/chat$|/api/generate$"), "ollama"),
    (re.compile(r"/chat_stream$"), "openai_chat"),
)

_STREAMS_BY_URL: Final = re.compile(
    r":streamGenerateContent$|:streamRawPredict$|/converse-stream$|/invoke-with-response-stream$|/chat_stream$"
)


def dialect_of(url: str, body: bytes) -> str | None:
    """The dialect in which a request will be answered.

    Args:
        url: The request's URL.
        body: Its body.

    Returns:
        The dialect's name; None if we have no decoder for it, or if the answer will not be a stream.
    """
    path = urlsplit(url).path
    dialect = next((dialect for pattern, dialect in _PATHS if pattern.search(path)), None)
    if dialect is None or b"json_tool_call" in body:
        # litellm replaces structured output by a tool of this name: only litellm can read the answer.
        return None
    if _STREAMS_BY_URL.search(path):
        return dialect
    document: Any = json.loads(body)
    return dialect if document.get("stream") is True else None
