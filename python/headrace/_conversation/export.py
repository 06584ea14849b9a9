"""A conversation as text, for people or for another program."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Final, TypeAlias

from headrace.errors import ConfigurationError

from .parts import calls_of, parts_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.types import Message

__all__ = ["renderer"]

Renderer: TypeAlias = "Callable[[Sequence[Message]], str]"


def renderer(name: str) -> Renderer:
    """The function that renders messages in a format.

    Args:
        name: The format: ``"json"``, ``"markdown"`` or ``"text"``.

    Returns:
        A function from messages to text.

    Raises:
        ConfigurationError: The format is unknown.
    """
    if name not in _RENDERERS:
        raise ConfigurationError(f"format must be one of {', '.join(_RENDERERS)}, not {name!r}")
    return _RENDERERS[name]


def _json(messages: Sequence[Message]) -> str:
    return json.dumps(messages, ensure_ascii=False, indent=2)


def _markdown(messages: Sequence[Message]) -> str:
    blocks: list[str] = []
    for message in messages:
        # Indented, not fenced: the arguments of a call may contain a fence.
        calls = [textwrap.indent(call, " " * 4) for call in calls_of(message)]
        blocks += [f"## {_speaker(message)}", _shown(message), *calls]
    return "\n\n".join(filter(None, blocks))


def _text(messages: Sequence[Message]) -> str:
    blocks = [[f"{_speaker(message)}:", _shown(message), *calls_of(message)] for message in messages]
    return "\n\n".join("\n".join(filter(None, lines)) for lines in blocks)


def _speaker(message: Message) -> str:
    name = message.get("name") or message.get("tool_call_id")
    return f"{message['role']} ({name})" if name else f"{message['role']}"


def _shown(message: Message) -> str:
    texts = [text if (text := text_of(part)) is not None else f"[{part.get('type')}]" for part in parts_of(message)]
    return "\n".join(texts) or message.get("refusal") or ""


_RENDERERS: Final[Mapping[str, Renderer]] = {"json": _json, "markdown": _markdown, "text": _text}
