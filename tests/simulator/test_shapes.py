"""Everything that the simulator sends has the members that the official types require.

The official libraries do not validate: with them, a missing member is found only when a program reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import anthropic.types
import httpx
import openai.types.chat
import openai.types.responses
import pytest
from google.genai import types as google
from pydantic import TypeAdapter

from headrace import sse
from support.harness import PATIENCE

if TYPE_CHECKING:
    from support.harness import Simulate

QUESTION = [{"role": "user", "content": "hi"}]
CALLS = [{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "now"}]
TURNS: list[dict[str, Any]] = [
    {"text": "a b"},
    {"reasoning": "a b", "text": "c", "tool_calls": CALLS, "interleave_calls": True},
    {"reasoning": "a", "signature": "c2ln", "encrypted": "ZW5j"},
    {"refusal": "a b", "finish_reason": "content_filter"},
    {"text": "a", "finish_reason": "length"},
]


def event_type(union: Any, event: dict[str, Any]) -> Any:
    """The type of an event in a union of types, by its member ``type``."""
    [members] = [get_args(part) for part in get_args(union)[:1]]
    return next(member for member in members if event["type"] in get_args(member.model_fields["type"].annotation))


def sent(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of the response to a request, without OpenAI's end marker."""
    with httpx.stream("POST", url, json=body, timeout=PATIENCE) as response:
        return [event.json() for event in sse.decode(response.iter_raw()) if event.data != "[DONE]"]


@pytest.mark.parametrize("turn", TURNS)
def test_chat_completions(simulate: Simulate, turn: dict[str, Any]) -> None:
    url = f"{simulate(turns=[turn]).base_url}/chat/completions"
    body = {"messages": QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    for event in sent(url, body):
        TypeAdapter(openai.types.chat.ChatCompletionChunk).validate_python(event)
    document = httpx.post(url, json={"messages": QUESTION}, timeout=PATIENCE).json()
    TypeAdapter(openai.types.chat.ChatCompletion).validate_python(document)


@pytest.mark.parametrize("turn", TURNS)
def test_responses(simulate: Simulate, turn: dict[str, Any]) -> None:
    # OpenAI's usage requires details that a script need not have, so these turns send no usage.
    without_usage = {**turn, "usage": False}
    url = f"{simulate(turns=[without_usage]).base_url}/responses"
    for event in sent(url, {"input": "hi", "stream": True}):
        kind = event_type(openai.types.responses.ResponseStreamEvent, event)
        TypeAdapter(kind).validate_python(event)
    document = httpx.post(url, json={"input": "hi"}, timeout=PATIENCE).json()
    TypeAdapter(openai.types.responses.Response).validate_python(document)


@pytest.mark.parametrize("turn", TURNS)
def test_messages(simulate: Simulate, turn: dict[str, Any]) -> None:
    url = f"{simulate(turns=[turn]).base_url}/messages"
    body = {"model": "m", "max_tokens": 9, "messages": QUESTION}
    for event in sent(url, {**body, "stream": True}):
        kind = event_type(anthropic.types.RawMessageStreamEvent, event)
        TypeAdapter(kind).validate_python(event)
    TypeAdapter(anthropic.types.Message).validate_python(httpx.post(url, json=body, timeout=PATIENCE).json())


@pytest.mark.parametrize("turn", TURNS)
def test_generate_content(simulate: Simulate, turn: dict[str, Any]) -> None:
    url = f"{simulate(turns=[turn]).base_url}beta/models/m"
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    # These types refuse unknown members.
    for event in sent(f"{url}:streamGenerateContent?alt=sse", body):
        TypeAdapter(google.GenerateContentResponse).validate_python(event)
    document = httpx.post(f"{url}:generateContent", json=body, timeout=PATIENCE).json()
    TypeAdapter(google.GenerateContentResponse).validate_python(document)
