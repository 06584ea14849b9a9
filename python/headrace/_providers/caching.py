"""Prompt caching for providers that want marks in the request: Anthropic's ``cache_control``.

https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching: everything before a mark is cached, and a request
may have four marks. We set three: after the tools, after the system prompt, and after the last message, so that the
next turn finds everything up to there in the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace._models.catalog import provider_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.types import Message

__all__ = ["with_cache_marks"]

_CACHE_MARK: Final = {"type": "ephemeral"}


def with_cache_marks(
    messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], provider: str, model: str
) -> tuple[list[Message], list[Mapping[str, Any]]]:
    """Adds cache marks to the messages and tools for a model of Anthropic's; changes nothing for other models.

    Args:
        messages: The conversation.
        tools: The tools.
        provider: Who serves the model, as litellm names providers.
        model: The model's name.

    Returns:
        The messages and the tools.
    """
    marks = provider_named(provider).marks_cache
    if marks is None or (marks == "claude" and "claude" not in model):
        return list(messages), list(tools)
    marked = list(messages)
    for position in {_last_system(marked), len(marked) - 1}:
        marked[position] = _with_mark(marked[position])
    return marked, [*tools[:-1], {**tools[-1], "cache_control": _CACHE_MARK}] if tools else []


def _last_system(messages: Sequence[Message]) -> int:
    """The index of the last system message; of the last message if there is no system message."""
    places = (number for number, message in enumerate(messages) if message["role"] == "system")
    return max(places, default=len(messages) - 1)


def _with_mark(message: Message) -> Message:
    content = message.get("content")
    if isinstance(content, str) and content:
        if message["role"] == "tool":
            return {**message, "cache_control": _CACHE_MARK}
        return {**message, "content": [{"type": "text", "text": content, "cache_control": _CACHE_MARK}]}
    if isinstance(content, list) and content:
        return {**message, "content": [*content[:-1], {**content[-1], "cache_control": _CACHE_MARK}]}
    return message
