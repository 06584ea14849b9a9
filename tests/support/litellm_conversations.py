"""The conversations for each provider: in headrace's form, and in the form that litellm's users write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.types import Message

PNG: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)

TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["place"],
        },
    },
}

SCHEMA: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "schema": {
            "type": "object",
            "properties": {"answer": {"type": "string"}},
            "required": ["answer"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}

_SYSTEM: Final = {"role": "system", "content": "You are terse."}
_USER: Final = {"role": "user", "content": 'Weather in "Zürich" 🌧\n— C:\\tmp?'}
_CALL: Final = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"place": "Zürich"}'},
}
_CALLED: Final = {"role": "assistant", "content": "I look.", "tool_calls": [_CALL]}
_RESULT: Final = {"role": "tool", "tool_call_id": "call00001", "content": '{"rain": true}'}
_PICTURE: Final = {
    "role": "user",
    "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PNG}}],
}


@dataclass(frozen=True)
class Conversation:
    """A conversation.

    ``messages`` are those that headrace gets; ``litellm_messages`` those that litellm gets, if they differ.
    """

    messages: tuple[Message, ...]
    litellm_messages: tuple[Message, ...] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


def _signed(family: str, reasoning: Mapping[str, Any], **parameters: Any) -> Conversation:
    """A conversation in which the model called a tool after signed reasoning."""
    thought = {"text": "Hm.", "kind": "signed", "id": "rs_1", "signature": "c2lnbmVk"}
    calls = {"call00001": "c2lnbmVk"} if family == "gemini" else {}
    kept = {"family": family, "thoughts": [thought] if family != "gemini" else [], "calls": calls}
    return Conversation(
        (_USER, {**_CALLED, "reasoning": kept}, _RESULT),
        (_USER, {**_CALLED, **reasoning}, _RESULT),
        (TOOL,),
        parameters,
    )


CONVERSATIONS: Final[dict[str, Conversation]] = {
    "text": Conversation((_SYSTEM, _USER)),
    "tools": Conversation((_SYSTEM, _USER, _CALLED, _RESULT), tools=(TOOL,)),
    "image": Conversation((_SYSTEM, _PICTURE)),
    "schema": Conversation((_SYSTEM, _USER), parameters={"response_format": SCHEMA}),
    "effort": Conversation((_SYSTEM, _USER), parameters={"reasoning_effort": "low", "max_tokens": 4000}),
    "limits": Conversation((_SYSTEM, _USER), parameters={"temperature": 0.5, "max_tokens": 100}),
    "tools nevertheless": Conversation(
        (_SYSTEM, _USER, _CALLED, _RESULT), tools=(TOOL,), parameters={"allowed_openai_params": ["tools"]}
    ),
    "signed by anthropic": _signed(
        "anthropic",
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}]},
        thinking={"type": "enabled", "budget_tokens": 1024},
        max_tokens=4000,
    ),
    "signed by gemini": _signed(
        "gemini", {"tool_calls": [{**_CALL, "provider_specific_fields": {"thought_signature": "c2lnbmVk"}}]}
    ),
    "signed by openai": _signed(
        "openai_responses",
        {
            "reasoning_items": [
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "encrypted_content": "c2lnbmVk",
                    "summary": [{"type": "summary_text", "text": "Hm."}],
                }
            ]
        },
        reasoning_effort="low",
    ),
    "signed by openrouter": _signed(
        "openai_chat",
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Hm.", "signature": "c2lnbmVk", "id": "rs_1", "index": 0}
            ]
        },
    ),
}
