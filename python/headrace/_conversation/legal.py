"""Repairing what a model wrote, so that the next provider accepts the conversation.

A model may name a tool that does not exist, in letters that no provider accepts; it may use one id for two calls; its
arguments may not be JSON. Providers refuse a conversation with any of these, and with it every later request. So tool
calls and their results are repaired in each request, also those that were read from a memory.

The rules, and who demands them:

- names match ``[A-Za-z0-9_-]{1,64}``: OpenAI (https://platform.openai.com/docs/api-reference/chat/create, ``tools``),
  Anthropic (https://docs.anthropic.com/en/api/messages, ``tools.name``), Bedrock (``ToolSpecification.name``);
- ids match ``[A-Za-z0-9_-]{1,40}``: OpenAI refuses longer ones, Anthropic and Bedrock other characters;
- an id stands for one call of the conversation: Anthropic ("tool_use ids must be unique");
- a call's results follow it at once, one for each call, and there are no others: OpenAI ("An assistant message with
  'tool_calls' must be followed by tool messages responding to each 'tool_call_id'"), Mistral ("Not the same number of
  function calls and responses"). A result without a call is left out, and a call without a result gets one that says
  so: the program ended before the tool did, or somebody cut the memory;
- no answer is empty: Mistral ("Assistant message must have either content or tool_calls, but not none."), Gemini ("must
  have a text parameter"), Anthropic ("all messages must have non-empty content");
- arguments are one JSON object, without NaN or infinity, which JSON does not have, and without half surrogate pairs,
  which UTF-8 does not have.

Mistral, and others for Mistral's models, also demand:

- ids that are exactly nine letters or digits ("Tool call id was call_98660886 but must be a-z, A-Z, 0-9, with a length
  of 9.");
- an answer between a tool's result and what the user says next ("Unexpected role 'user' after role 'tool'"): a run may
  have ended with its tools, or the user may have spoken during the run.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.types import Message

__all__ = ["BRIDGE", "NO_RESULT", "legal_arguments", "legal_messages"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SHORT_ID: Final = re.compile(r"[A-Za-z0-9]{9}")
_ALWAYS: Final = ("role", "name")
"""The members of a message that say nothing by themselves."""

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

NO_RESULT: Final = "There is no result: the run ended before this call was done."
"""The result of a call that has none."""

BRIDGE: Final = "I have the results."
"""What Mistral's models are told to have said where results are followed by the user's words."""


def legal_messages(messages: Sequence[Message], *, mistral: bool = False) -> list[Message]:
    """A conversation whose tool calls and results every provider accepts.

    Args:
        messages: The conversation.
        mistral: Mistral's stricter rules hold too.

    Returns:
        The messages; those with nothing to repair are the same objects.
    """
    if not any("tool_calls" in message or message.get("role") == "tool" for message in messages):
        return [message for message in messages if not _says_nothing(message)]
    ids = _Ids(_SHORT_ID if mistral else _ID)
    turns: list[_Turn] = []
    waiting: dict[str, list[_Slot]] = {}
    for message in messages:
        if message.get("role") == "tool":
            # An id that occurs again means the newest call that has it and no result yet.
            slots = waiting.get(_key(message.get("tool_call_id")))
            if slots:
                slots.pop(0).result = message
            continue
        turn = _Turn.of(message, ids)
        turns.append(turn)
        for slot in turn.slots:
            # The results of an earlier turn with this id do not come any more.
            waiting[slot.key] = [other for other in turn.slots if other.key == slot.key]
    legal = [message for turn in turns for message in turn.messages() if not _says_nothing(message)]
    return _answered(legal) if mistral else legal


def _answered(messages: Sequence[Message]) -> list[Message]:
    """The messages with an answer between results and what the user says next."""
    answered: list[Message] = []
    for message in messages:
        if message.get("role") == "user" and answered and answered[-1].get("role") == "tool":
            answered.append({"role": "assistant", "content": BRIDGE})
        answered.append(message)
    return answered


def _says_nothing(message: Message) -> bool:
    """Whether this is an answer without content, calls, or anything else."""
    return message.get("role") == "assistant" and not any(message[name] for name in message if name not in _ALWAYS)


def legal_arguments(arguments: object) -> str:
    """A call's arguments as JSON text that providers accept.

    Args:
        arguments: The text as the model sent it; or the object, as some programs keep it in a memory.

    Returns:
        The same text; the object in it, if the text is a JSON string of an object; ``"{}"`` where there is no object.
    """
    try:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        text.encode()
        value: object = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        _check_text(value)
    except (TypeError, ValueError, RecursionError):
        return "{}"
    if isinstance(value, str) and value != text:
        return legal_arguments(value)
    return text if isinstance(value, dict) else "{}"


class _Ids:
    """The ids of a conversation's calls: each is legal and unique, and the same in the next request."""

    def __init__(self, rule: re.Pattern[str]) -> None:
        self._rule = rule
        self._used: set[str] = set()

    def of_call(self, given: object) -> str:
        """The id of a call that the model made with this id."""
        legal = given if isinstance(given, str) and self._rule.fullmatch(given) else _short(given, 0)
        attempt = 0
        while legal in self._used:
            attempt += 1
            legal = _short(given, attempt)
        self._used.add(legal)
        return legal


class _Slot:
    """A call, and its result as soon as it is found.

    Attributes:
        key: What the result has to name.
        call: The repaired call.
        result: The result as it was; None if there is none.
    """

    __slots__ = ("call", "key", "result")

    def __init__(self, key: str, call: dict[str, Any]) -> None:
        self.key = key
        self.call = call
        self.result: Message | None = None

    def message(self) -> Message:
        """The repaired result."""
        call_id, name = self.call["id"], self.call["function"]["name"]
        if self.result is None:
            return {"role": "tool", "tool_call_id": call_id, "name": name, "content": NO_RESULT}
        repaired: dict[str, Any] = {}
        if self.result.get("tool_call_id") != call_id:
            repaired["tool_call_id"] = call_id
        if "name" in self.result and not _is_legal_name(self.result["name"]):
            repaired["name"] = name
        if not isinstance(self.result.get("content"), (str, list)):
            content = self.result.get("content")
            repaired["content"] = "" if content is None else json.dumps(content, ensure_ascii=False, default=repr)
        return {**self.result, **repaired} if repaired else self.result


class _Turn(NamedTuple):
    """A message that is no result, and the calls in it."""

    message: Message
    slots: list[_Slot]

    @classmethod
    def of(cls, message: Message, ids: _Ids) -> _Turn:
        """The turn of a message, repaired."""
        if "tool_calls" not in message:
            return cls(message, [])
        given: object = message["tool_calls"]
        calls = list(cast("Sequence[Any]", given)) if isinstance(given, (list, tuple)) else []
        objects = [cast("dict[str, Any]", call) for call in calls if isinstance(call, dict)]
        slots = [_Slot(_key(call.get("id")), _legal_call(call, ids)) for call in objects]
        legal = [slot.call for slot in slots]
        if not slots:
            # An empty list is refused ("[] is too short"), and so is a message with nothing in it.
            plain = {name: value for name, value in message.items() if name != "tool_calls"}
            return cls(plain if plain.get("content") is not None else {**plain, "content": ""}, [])
        return cls(message if legal == calls else {**message, "tool_calls": legal}, slots)

    def messages(self) -> list[Message]:
        """The message and the results that have to follow it."""
        return [self.message, *(slot.message() for slot in self.slots)]


def _legal_call(call: dict[str, Any], ids: _Ids) -> dict[str, Any]:
    given: object = call.get("function")
    function = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    name, arguments = function.get("name"), function.get("arguments")
    return {
        **call,
        "id": ids.of_call(call.get("id")),
        "type": "function",
        "function": {
            **function,
            "name": name if _is_legal_name(name) else _legal_name(name),
            "arguments": legal_arguments(arguments),
        },
    }


def _key(call_id: object) -> str:
    return repr(call_id)


def _is_legal_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _legal_name(name: object) -> str:
    return _NOT_IN_NAME.sub("_", name if isinstance(name, str) else "")[:64] or "unknown_tool"


def _short(given: object, attempt: int) -> str:
    """Nine letters or digits, the same ones whenever it is asked: prompt caches want the same text again."""
    import hashlib  # Imported here, because it loads OpenSSL, and few conversations need it.

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
