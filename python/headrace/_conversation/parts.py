"""Access to a message: the parts of its content, and its tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.types import Message

__all__ = ["calls_of", "parts_of", "text_of"]


def parts_of(message: Message) -> Sequence[Mapping[str, Any]]:
    """The parts of a message's content; content that is a string is one text part."""
    content: str | Sequence[Mapping[str, Any]] | None = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def text_of(part: Mapping[str, Any]) -> str | None:
    """The text of a part; None for an image or another medium."""
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else None


def calls_of(message: Message) -> list[str]:
    """The tool calls of a message, as ``name(arguments)``."""
    functions: list[Mapping[str, Any]] = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    return [f"{function.get('name', '')}({function.get('arguments', '')})" for function in functions]
