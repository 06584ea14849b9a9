"""What is in a message: the parts of its content, and the calls that it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.types import Message

__all__ = ["calls_of", "parts_of", "text_of"]


def parts_of(message: Message) -> Sequence[Mapping[str, Any]]:
    """The parts of a message's content."""
    content: str | Sequence[Mapping[str, Any]] | None = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def text_of(part: Mapping[str, Any]) -> str | None:
    """The text of a part; None for an image, or other media."""
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else None


def calls_of(message: Message) -> list[str]:
    """The calls that a message asks for, as Python would write them."""
    functions: list[Mapping[str, Any]] = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    return [f"{function.get('name', '')}({function.get('arguments', '')})" for function in functions]
