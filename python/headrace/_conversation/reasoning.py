"""Reasoning that a provider signed goes back to it, in the form that litellm and the provider read.

An assistant's message keeps it in its member ``reasoning``, whoever is asked next. Only the family of providers that
signed it gets it; for all others it is left out, since they would refuse what they do not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace.types import Message, Turn

__all__ = ["FAMILIES", "kept", "sent"]

FAMILIES: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "bedrock": "anthropic",
    "gemini": "gemini",
    "openai_responses": "openai_responses",
    "openai_chat": "openai_chat",
}
"""Which dialects take back each other's signatures."""


def kept(turn: Turn) -> dict[str, Any] | None:
    """The member ``reasoning`` of a turn's message; None where nothing was signed."""
    family = FAMILIES.get(turn.dialect or "")
    calls = {call.id: call.signature for call in turn.tool_calls if call.signature is not None}
    if family is None or not (turn.thoughts or calls):
        return None
    thoughts = [
        {"text": thought.text, "kind": thought.kind, "id": thought.id, "signature": thought.signature}
        for thought in turn.thoughts
    ]
    return {"family": family, "thoughts": thoughts, "calls": calls}


def sent(messages: Iterable[Message], family: str | None) -> list[Message]:
    """The messages as a family of providers reads them.

    Args:
        messages: The conversation.
        family: One of the values of ``FAMILIES``; None for providers that take no reasoning back.

    Returns:
        The messages, without the member ``reasoning``.
    """
    return [_message(message, family) if "reasoning" in message else message for message in messages]


def _message(message: Message, family: str | None) -> Message:
    plain = {name: value for name, value in message.items() if name != "reasoning"}
    reasoning = message["reasoning"]
    if not isinstance(reasoning, dict):
        return message  # not ours: a message of the user's own making
    told = cast("dict[str, Any]", reasoning)
    if family is None or told.get("family") != family:
        return plain
    thoughts: list[dict[str, Any]] = told["thoughts"]
    return _FORMS[family](plain, thoughts, told["calls"])


def _anthropic(message: dict[str, Any], thoughts: Sequence[dict[str, Any]], _calls: Mapping[str, str]) -> Message:
    blocks = [
        {"type": "redacted_thinking", "data": thought["signature"]}
        if thought["kind"] == "encrypted"
        else {"type": "thinking", "thinking": thought["text"], "signature": thought["signature"]}
        for thought in thoughts
    ]
    return {**message, "thinking_blocks": blocks}


def _gemini(message: dict[str, Any], thoughts: Sequence[dict[str, Any]], calls: Mapping[str, str]) -> Message:
    fields = {"thought_signatures": [thought["signature"] for thought in thoughts]} if thoughts else None
    signed = _with_calls(message, calls, "provider_specific_fields", lambda value: {"thought_signature": value})
    return {**signed, "provider_specific_fields": fields} if fields else signed


def _openai_responses(
    message: dict[str, Any], thoughts: Sequence[dict[str, Any]], _calls: Mapping[str, str]
) -> Message:
    items = [
        {
            "type": "reasoning",
            "id": thought["id"] or "",
            "encrypted_content": thought["signature"],
            "summary": [{"type": "summary_text", "text": thought["text"]}] if thought["text"] else [],
        }
        for thought in thoughts
    ]
    return {**message, "reasoning_items": items} if items else message


def _openai_chat(message: dict[str, Any], thoughts: Sequence[dict[str, Any]], calls: Mapping[str, str]) -> Message:
    details = [
        {"type": "reasoning.encrypted", "data": thought["signature"], "id": thought["id"], "index": index}
        if thought["kind"] == "encrypted"
        else {
            "type": "reasoning.text",
            "text": thought["text"],
            "signature": thought["signature"],
            "id": thought["id"],
            "index": index,
        }
        for index, thought in enumerate(thoughts)
    ]
    signed = _with_calls(message, calls, "extra_content", lambda value: {"google": {"thought_signature": value}})
    return {**signed, "reasoning_details": details} if details else signed


def _with_calls(
    message: dict[str, Any], calls: Mapping[str, str], name: str, form: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """The message with the signatures of its calls in a member of that name."""
    if not calls:
        return message
    signed = [
        {**call, name: form(calls[call["id"]])} if call["id"] in calls else call
        for call in message.get("tool_calls", ())
    ]
    return {**message, "tool_calls": signed}


_FORMS: Final = {
    "anthropic": _anthropic,
    "gemini": _gemini,
    "openai_responses": _openai_responses,
    "openai_chat": _openai_chat,
}
