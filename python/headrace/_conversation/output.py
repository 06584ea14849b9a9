"""The forms in which ``run`` returns a conversation (``output_type``). Their names come from the library swarms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.types import Message

__all__ = ["OUTPUT_TYPES", "check_output_type", "format_output"]


def _line(message: Message) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = " ".join(part.get("text", "[image]") for part in content)
    return f"{message.get('role')}: {content}"


def _text(messages: Sequence[Message]) -> str:
    return "\n\n".join(map(_line, messages))


def _dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [dict(message) for message in messages]


_FORMS: Final[Mapping[str, Callable[[Sequence[Message], str], Any]]] = {
    "final": lambda _messages, final: final,
    "last": lambda _messages, final: final,
    "str": lambda messages, _final: _text(messages),
    "string": lambda messages, _final: _text(messages),
    "all": lambda messages, _final: _text(messages),
    "str-all-except-first": lambda messages, _final: _text(messages[1:]),
    "list": lambda messages, _final: [_line(message) for message in messages],
    "list-final": lambda _messages, final: [final],
    "dict": lambda messages, _final: _dicts(messages),
    "dictionary": lambda messages, _final: _dicts(messages),
    "dict-all-except-first": lambda messages, _final: _dicts(messages[1:]),
    "dict-final": lambda _messages, final: {"role": "assistant", "content": final},
    "json": lambda messages, _final: json.dumps(_dicts(messages), ensure_ascii=False, indent=2, default=str),
}

OUTPUT_TYPES: Final = tuple(_FORMS)
"""The names of all forms."""


def check_output_type(name: str) -> None:
    """Raises ``ConfigurationError`` if the form is unknown."""
    if name not in _FORMS:
        raise ConfigurationError(f"there is no output_type {name!r}; known: {', '.join(_FORMS)}")


def format_output(name: str, messages: Sequence[Message], final: str) -> Any:
    """Converts the messages of a run to a form.

    Args:
        name: The form, one of ``OUTPUT_TYPES``.
        messages: The run's messages, beginning with the task.
        final: The answer.

    Returns:
        Text, a list or a dict, depending on the form.
    """
    return _FORMS[name](messages, final)
