"""Repairing what a model wrote, so that the next provider accepts the conversation.

A model may name a tool that does not exist, in letters that no provider accepts; it may use one id for two calls; its
arguments may not be JSON. Providers refuse a conversation with any of these, and with it every later request. So tool
calls and their results are repaired in each request, also those that were read from a memory.

The rules, and who demands them:

- names match ``[A-Za-z0-9_-]{1,64}``: OpenAI (https://platform.openai.com/docs/api-reference/chat/create, ``tools``),
  Anthropic (https://docs.anthropic.com/en/api/messages, ``tools.name``), Bedrock (``ToolSpecification.name``);
- ids match ``[A-Za-z0-9_-]{1,40}``: OpenAI refuses longer ones, Anthropic and Bedrock other characters. Mistral wants
  exactly nine letters or digits ("must be a-z, A-Z, 0-9, with a length of 9"), and so does vLLM for Mistral's models;
- an id stands for one call of the conversation: Anthropic ("tool_use ids must be unique");
- arguments are one JSON object, without NaN or infinity, which JSON does not have, and without half surrogate pairs,
  which UTF-8 does not have.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.types import Message

__all__ = ["legal_arguments", "legal_messages"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SHORT_ID: Final = re.compile(r"[A-Za-z0-9]{9}")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def legal_messages(messages: Sequence[Message], *, short_ids: bool = False) -> list[Message]:
    """A conversation whose tool calls and results every provider accepts.

    Args:
        messages: The conversation.
        short_ids: Ids are nine letters or digits, as Mistral demands.

    Returns:
        The messages; those with nothing to repair are the same objects.
    """
    if not any(message.get("tool_calls") or message.get("role") == "tool" for message in messages):
        return list(messages)
    ids = _Ids(_SHORT_ID if short_ids else _ID)
    return [_legal(message, ids) for message in messages]


def legal_arguments(arguments: object) -> str:
    """A call's arguments as JSON text that providers accept.

    Args:
        arguments: The text as the model sent it.

    Returns:
        The same text; ``"{}"`` where it is not one JSON object.
    """
    if not isinstance(arguments, str):
        return "{}"
    try:
        arguments.encode()
        value: object = json.loads(arguments, parse_constant=_refuse, parse_float=_finite)
        _check_text(value)
    except (ValueError, RecursionError):
        return "{}"
    return arguments if isinstance(value, dict) else "{}"


class _Ids:
    """The ids of a conversation's calls: each is legal and unique, and the same in the next request.

    A call's results follow it, so an id that occurs again means the newest call that has it and no result yet.
    """

    def __init__(self, rule: re.Pattern[str]) -> None:
        self._rule = rule
        self._used: set[str] = set()
        self._open: dict[object, list[str]] = {}

    def of_call(self, given: object) -> str:
        """The id of a call that the model made with this id."""
        legal = given if isinstance(given, str) and self._rule.fullmatch(given) else _short(given, 0)
        attempt = 0
        while legal in self._used:
            attempt += 1
            legal = _short(given, attempt)
        self._used.add(legal)
        self._open.setdefault(given, []).append(legal)
        return legal

    def of_result(self, given: object) -> str | None:
        """The id of the call that this is the result of; None if there is no such call."""
        waiting = self._open.get(given)
        if not waiting:
            return None
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def next_turn(self) -> None:
        """Results of earlier turns do not come any more."""
        self._open.clear()


def _legal(message: Message, ids: _Ids) -> Message:
    calls: Sequence[dict[str, Any]] = message.get("tool_calls") or ()
    if calls:
        ids.next_turn()
        legal = [_legal_call(call, ids) for call in calls]
        return message if legal == list(calls) else {**message, "tool_calls": legal}
    if message.get("role") != "tool":
        return message
    repaired: dict[str, Any] = {}
    call_id = ids.of_result(message.get("tool_call_id"))
    if call_id is not None and call_id != message.get("tool_call_id"):
        repaired["tool_call_id"] = call_id
    if "name" in message and not _is_legal_name(message["name"]):
        repaired["name"] = _legal_name(message["name"])
    return {**message, **repaired} if repaired else message


def _legal_call(call: dict[str, Any], ids: _Ids) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or {}
    name, arguments = function.get("name"), function.get("arguments")
    return {
        **call,
        "id": ids.of_call(call.get("id")),
        "function": {
            **function,
            "name": name if _is_legal_name(name) else _legal_name(name),
            "arguments": legal_arguments(arguments),
        },
    }


def _is_legal_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _legal_name(name: object) -> str:
    return _NOT_IN_NAME.sub("_", name if isinstance(name, str) else "")[:64] or "unknown_tool"


def _short(given: object, attempt: int) -> str:
    """Nine letters or digits, the same ones whenever it is asked: prompt caches want the same text again."""
    digest = hashlib.sha256(f"{attempt} {given!r}".encode(errors="backslashreplace")).digest()
    number = int.from_bytes(digest[:8], "big")
    return "".join(_DIGITS[number // 36**place % 36] for place in range(9))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is larger than any number")
    return value


def _check_text(value: object) -> None:
    """Raises ``UnicodeEncodeError`` for half a surrogate pair, which an escape may have made."""
    json.dumps(value, ensure_ascii=False).encode()
