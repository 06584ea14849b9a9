"""Signed reasoning: sent back to the providers that signed it, in the form that litellm and the provider read.

An assistant message has it in its member ``reasoning``. A request contains it only if the provider belongs to the
family that signed it. For other providers it is removed, because they refuse members that they do not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace.types import Message, Turn

__all__ = ["FAMILIES", "signed_reasoning", "with_reasoning_for"]

FAMILIES: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "bedrock": "anthropic",
    "gemini": "gemini",
    "openai_responses": "openai_responses",
    "openai_chat": "openai_chat",
}
"""The family of each dialect. Dialects of one family accept each other's signatures."""


def signed_reasoning(turn: Turn) -> dict[str, Any] | None:
    """The member ``reasoning`` for the message of a turn; None if the provider signed nothing."""
    family = FAMILIES.get(turn.dialect or "")
    calls = {call.id: call.signature for call in turn.tool_calls if call.signature is not None}
    if family is None or not (turn.thoughts or calls):
        return None
    thoughts = [
        {"text": thought.text, "kind": thought.kind, "id": thought.id, "signature": thought.signature}
        for thought in turn.thoughts
    ]
    return {"family": family, "thoughts": thoughts, "calls": calls}


def with_reasoning_for(messages: Iterable[Message], family: str | None) -> list[Message]:
    """Converts the signed reasoning of messages to the form of a family of providers.

    Args:
        messages: The conversation.
        family: One of the values of ``FAMILIES``; None for providers that accept no reasoning.

    Returns:
        The messages without the member ``reasoning``; the messages that this family signed have it in the family's
        own form.
    """
    return [_message(message, family) if "reasoning" in message else message for message in messages]


def _message(message: Message, family: str | None) -> Message:
    plain = {name: value for name, value in message.items() if name != "reasoning"}
    reasoning = message["reasoning"]
    if not isinstance(reasoning, dict):
        return message  # not from headrace: a message that the user wrote
    signed = cast("dict[str, Any]", reasoning)
    if family is None or signed.get("family") != family:
        return plain
    thoughts: list[dict[str, Any]] = signed["thoughts"]
    return _FORMS[family](plain, thoughts, signed["calls"])


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
    """Puts the signatures of tool calls into a member of each call, with that name."""
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
