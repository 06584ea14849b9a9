"""Prompt caching where the provider wants to be told what to cache: Anthropic's ``cache_control``.

https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching: what stands before a mark is cached, and four marks
are allowed. Three are set: behind the tools, behind the system prompt, and behind the last message, so that the next
turn finds everything up to there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace._models.catalog import provider_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.types import Message

__all__ = ["cached"]

_MARK: Final = {"type": "ephemeral"}


def cached(
    messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], provider: str, model: str
) -> tuple[list[Message], list[Mapping[str, Any]]]:
    """Messages and tools with marks, where the model is one of Anthropic's; as they are for all others.

    Args:
        messages: The conversation.
        tools: The tools.
        provider: Who serves the model.
        model: The model's name.

    Returns:
        The messages and the tools.
    """
    marks = provider_named(provider).marks_cache
    if marks is None or (marks == "claude" and "claude" not in model):
        return list(messages), list(tools)
    marked = list(messages)
    for position in {_last_system(marked), len(marked) - 1}:
        marked[position] = _marked(marked[position])
    return marked, [*tools[:-1], {**tools[-1], "cache_control": _MARK}] if tools else []


def _last_system(messages: Sequence[Message]) -> int:
    """Where the system prompt ends; the last message where there is none."""
    places = (number for number, message in enumerate(messages) if message["role"] == "system")
    return max(places, default=len(messages) - 1)


def _marked(message: Message) -> Message:
    content = message.get("content")
    if isinstance(content, str) and content:
        if message["role"] == "tool":
            return {**message, "cache_control": _MARK}
        return {**message, "content": [{"type": "text", "text": content, "cache_control": _MARK}]}
    if isinstance(content, list) and content:
        return {**message, "content": [*content[:-1], {**content[-1], "cache_control": _MARK}]}
    return message
