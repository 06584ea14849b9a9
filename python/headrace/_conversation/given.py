"""A conversation that the caller gives to a run: checked, and divided into history and opening."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from headrace.errors import ConfigurationError

from .parts import parts_of, text_of

if TYPE_CHECKING:
    from headrace.types import Message

__all__ = ["Given", "given_conversation", "words_of"]

_SYSTEM: Final = ("system", "developer")
_ROLES: Final = (*_SYSTEM, "user", "assistant", "tool")


class Given(NamedTuple):
    """A conversation, divided.

    Attributes:
        system: What its first messages tell the model about its part; empty if there are none of them.
        history: What was said before.
        opening: What the run begins with: the last message of the user, and what follows it.
    """

    system: str
    history: tuple[Message, ...]
    opening: tuple[Message, ...]


def given_conversation(messages: object) -> Given:
    """Checks and divides a conversation.

    Args:
        messages: Messages in OpenAI's format.

    Returns:
        The conversation. Its messages are copies, but what is in them is not.

    Raises:
        ConfigurationError: These are no messages; the error says which one is wrong.
    """
    kind = type(messages).__name__
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise ConfigurationError(f"messages must be a list of messages in OpenAI's format, not {kind}")
    checked = [_checked(number, message) for number, message in enumerate(cast("Sequence[object]", messages))]
    leading = next((at for at, message in enumerate(checked) if message["role"] not in _SYSTEM), len(checked))
    rest = checked[leading:]
    users = [at for at, message in enumerate(rest) if message["role"] == "user"]
    begins = users[-1] if users else 0
    system = "\n\n".join(filter(None, map(words_of, checked[:leading])))
    return Given(system, tuple(rest[:begins]), tuple(rest[begins:]))


def words_of(message: Message) -> str:
    """The text of a message; that of its parts, if it has several."""
    return "\n".join(text for text in map(text_of, parts_of(message)) if text)


def _checked(number: int, given: object) -> Message:
    where = f"messages[{number}]"
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{where} must be a dict with a role and a content, not {type(given).__name__}")
    message: dict[str, Any] = dict(cast("Mapping[str, Any]", given))
    role = message.get("role")
    if role not in _ROLES:
        raise ConfigurationError(f"{where} has the role {role!r}; there are {', '.join(_ROLES)}")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise ConfigurationError(f"{where} is a tool's result without a tool_call_id, which tells whose result it is")
    _check_calls(where, role, message.get("tool_calls"))
    _check_content(where, message)
    return message


def _check_calls(where: str, role: object, calls: object) -> None:
    if calls is None:
        return
    if role != "assistant":
        raise ConfigurationError(f"{where} has tool_calls, which only messages of the assistant have")
    listed = cast("Sequence[object]", calls) if isinstance(calls, list | tuple) else [None]
    for call in listed:
        function = cast("Mapping[str, object]", call).get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(cast("Mapping[str, object]", function).get("name"), str):
            raise ConfigurationError(f"{where}: tool_calls must be a list of calls, each with a function and its name")


def _check_content(where: str, message: Mapping[str, Any]) -> None:
    content: object = message.get("content")
    if isinstance(content, str):
        return
    if content is None:
        if message["role"] == "assistant" and (message.get("tool_calls") or message.get("refusal")):
            return
        raise ConfigurationError(f"{where} has no content")
    if not isinstance(content, list | tuple):
        raise ConfigurationError(f"{where}: content must be a string or a list of parts, not {type(content).__name__}")
    for part in cast("Sequence[object]", content):
        if not isinstance(part, Mapping) or not isinstance(cast("Mapping[str, object]", part).get("type"), str):
            raise ConfigurationError(f"{where}: each part of content must be a dict with a type, such as 'text'")
