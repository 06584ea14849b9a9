"""What goes back through litellm: legal ids, and plain reasoning for those who take it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from headrace._providers.litellm import build
from headrace._providers.requests import PreparedRequest
from headrace.types import ModelCall, ModelSettings
from support.litellm_conversations import TOOL

if TYPE_CHECKING:
    from support.litellm_network import Network

CALL = {"id": "call_1", "type": "function", "function": {"name": "get weather", "arguments": "[]"}}
MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "Go."},
    {"role": "assistant", "content": "I look.", "tool_calls": [CALL], "reasoning": {"family": "plain", "text": "Hm."}},
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
    {"role": "user", "content": "And?"},
)


@pytest.mark.parametrize(
    ("model", "reasoning"),
    [
        ("deepseek/deepseek-reasoner", "Hm."),
        ("moonshot/kimi-k2-thinking", "Hm."),
        ("zai/glm-4.7", "Hm."),
        ("minimax/MiniMax-M2", "Hm."),
        ("mistral/magistral-medium-latest", None),
        ("codestral/codestral-latest", None),
        ("groq/openai/gpt-oss-120b", None),
        ("cerebras/gpt-oss-120b", None),
        ("together_ai/deepseek-ai/DeepSeek-V3", None),
    ],
)
def test_messages_are_legal_and_have_reasoning_where_it_is_taken(
    network: Network, model: str, reasoning: str | None
) -> None:
    assert network is not None
    built = build.request(ModelCall(ModelSettings(model, api_key="key"), MESSAGES, (TOOL,)))
    assert isinstance(built, PreparedRequest)
    messages = json.loads(built.body)["messages"]
    asked, result = messages[1], messages[2]
    assert asked.get("reasoning_content") == reasoning
    assert "reasoning" not in asked
    [call] = asked["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("get_weather", "{}")
    assert call["id"] == result["tool_call_id"]
    assert re.fullmatch(r"[a-z0-9]{9}" if "stral" in model else "call_1", call["id"])
    assert [message["role"] for message in messages[3:]] == (["assistant"] if "stral" in model else []) + ["user"]


def test_signatures_of_calls_find_their_call_although_its_id_is_replaced(network: Network) -> None:
    assert network is not None
    call = {"id": "call 1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    kept = {"family": "gemini", "thoughts": [], "calls": {"call 1": "c2lnbmVk"}}
    messages = (
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning": kept},
        {"role": "tool", "tool_call_id": "call 1", "content": "Rain."},
    )
    settings = ModelSettings("gemini/gemini-2.5-flash", api_key="key")
    built = build.request(ModelCall(settings, messages, (TOOL,)))
    assert isinstance(built, PreparedRequest)
    parts = json.loads(built.body)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts if "function_call" in part] == ["c2lnbmVk"]
