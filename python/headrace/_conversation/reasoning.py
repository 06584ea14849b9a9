"""Reasoning that is sent back to providers, in the form that litellm and the provider read.

An assistant message has it in its member ``reasoning``.

Signed reasoning is in a request only if the provider belongs to the family that signed it. For other providers it is
removed, because they refuse members that they do not know.

Plain reasoning of a turn with tool calls goes back as ``reasoning_content`` where the provider wants it, or demands it:
DeepSeek (https://api-docs.deepseek.com/guides/thinking_mode#tool-calls, "Missing `reasoning_content` field in the
assistant message"), Moonshot ("thinking is enabled but reasoning_content is missing in assistant tool call message"),
Z.ai (https://docs.z.ai/guides/capabilities/thinking-mode), vLLM
(https://docs.vllm.ai/en/v0.17.1/features/interleaved_thinking/). Others refuse it; see ``plain_reasoning`` in the
catalogue. An endpoint that is known by its URL alone gets it, if some turn had plain reasoning in OpenAI's dialect:
a server that shows its reasoning there has a template that reads it. Reasoning of turns without tool calls stays out:
these providers ignore it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace.types import Message, Turn

__all__ = ["FAMILIES", "kept_reasoning", "with_reasoning_for"]

FAMILIES: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "bedrock": "anthropic",
    "gemini": "gemini",
    "openai_responses": "openai_responses",
    "openai_chat": "openai_chat",
}
"""The family of each dialect. Dialects of one family accept each other's signatures."""


def kept_reasoning(turn: Turn) -> dict[str, Any] | None:
    """The member ``reasoning`` for the message of a turn; None if no provider wants any of it back."""
    family = FAMILIES.get(turn.dialect or "")
    calls = {call.id: call.signature for call in turn.tool_calls if call.signature is not None}
    plain = {"text": turn.reasoning} if turn.reasoning and turn.tool_calls and family == "openai_chat" else {}
    if family is None or not (turn.thoughts or calls):
        return {"family": "plain", **plain} if plain else None
    thoughts = [
        {"text": thought.text, "kind": thought.kind, "id": thought.id, "signature": thought.signature}
        for thought in turn.thoughts
    ]
    return {"family": family, "thoughts": thoughts, "calls": calls, **plain}


def with_reasoning_for(
    messages: Iterable[Message], family: str | None, *, plain: bool = False, demanded: bool = False
) -> list[Message]:
    """Converts the reasoning of messages to the form of a provider.

    Args:
        messages: The conversation.
        family: One of the values of ``FAMILIES``; None for providers that accept no signed reasoning.
        plain: The provider takes plain reasoning.
        demanded: It refuses a conversation with reasoning in some messages of the model only: the others get a space,
            which is the least that DeepSeek and Moonshot accept.

    Returns:
        The messages without the member ``reasoning``; the messages that this family signed have it in the family's
        own form, and those with plain reasoning have ``reasoning_content`` if the provider takes it.
    """
    converted = [_message(message, family, plain) if "reasoning" in message else message for message in messages]
    if not demanded or not any(message.get("reasoning_content") for message in converted):
        return converted
    return [
        {**message, "reasoning_content": " "}
        if message.get("role") == "assistant" and not message.get("reasoning_content")
        else message
        for message in converted
    ]


def _message(message: Message, family: str | None, takes_plain: bool) -> Message:
    plain = {name: value for name, value in message.items() if name != "reasoning"}
    reasoning = message["reasoning"]
    if not isinstance(reasoning, dict):
        return message  # not from headrace: a message that the user wrote
    signed = cast("dict[str, Any]", reasoning)
    if family is None or signed.get("family") != family:
        # What is signed is enough for those who signed it.
        return {**plain, "reasoning_content": signed["text"]} if takes_plain and signed.get("text") else plain
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
