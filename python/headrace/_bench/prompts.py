"""What to ask."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PROMPTS", "Messages", "Prompt", "conversations", "read_prompts", "task_of"]

Messages = tuple[dict[str, Any], ...]
"""A conversation, in OpenAI's form."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one request asks.

    Attributes:
        messages: The conversation, in OpenAI's form; parts such as pictures included.
        tools: The tools, in OpenAI's form.
        parameters: Members of this request's body alone, such as ``max_tokens``.
    """

    messages: Messages
    tools: tuple[Mapping[str, Any], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


_TASKS: Final = (
    "Explain how a water wheel turns the flow of a river into work.",
    "Write a short story about a lighthouse keeper who finds a letter.",
    "List ten uses of an old bicycle, with a sentence about each.",
    "Compare tea and coffee for somebody who has to choose one.",
    "Describe how a letter travels from one country to another.",
    "Give advice to a friend who moves to a city for the first time.",
    "Explain to a child why the sky is blue and the sunset red.",
    "Plan a week of simple meals for two people.",
)

PROMPTS: Final = tuple(Prompt(({"role": "user", "content": task},)) for task in _TASKS)
"""Our own prompts: each asks for an answer of some hundred tokens."""

_ROLES: Final = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


def task_of(prompt: Prompt) -> str:
    """The last question of a prompt as a text, for an agent."""
    content: str | list[dict[str, Any]] | None = prompt.messages[-1].get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if "text" in part)
    return content or ""


def conversations(prompts: Sequence[Prompt], turns: int) -> list[Prompt]:
    """The requests of conversations, in order: each has the questions before it, and places for their answers.

    Args:
        prompts: One for each turn; each conversation begins at another one.
        turns: How many turns a conversation has.
    """
    requests = list[Prompt]()
    for first in range(len(prompts)):
        messages: Messages = ()
        for turn in range(turns):
            prompt = prompts[(first + turn) % len(prompts)]
            answer = ({"role": "assistant", "content": f"@@headrace:answer:{turn - 1}@@"},) if turn else ()
            messages = (*messages, *answer, *(prompt.messages if not turn else prompt.messages[-1:]))
            requests.append(Prompt(messages, prompt.tools, prompt.parameters))
    return requests


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Reads prompts from a file.

    Args:
        path: JSON lines, or a JSON list. Each is a string, or an object with ``prompt``, ``messages`` (OpenAI's form,
            with ``tools`` and ``max_tokens`` if it has them) or ``conversations`` (ShareGPT's form: up to its last
            question).

    Returns:
        The prompts.

    Raises:
        ConfigurationError: The file cannot be read, is empty, or an entry has another form; the message says which.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the prompts in {path} cannot be read: {error}") from None
    try:
        entries = json.loads(text) if text.lstrip().startswith("[") else _lines(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"the prompts in {path} are not JSON: {error}") from None
    if not entries:
        raise ConfigurationError(f"there are no prompts in {path}")
    return tuple(_prompt(entry, f"entry {number} of {path}") for number, entry in enumerate(entries, start=1))


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _prompt(entry: Any, where: str) -> Prompt:
    messages = _messages(entry, where)
    given: dict[str, Any] = {} if isinstance(entry, str) else entry
    parameters = {"max_tokens": given["max_tokens"]} if "max_tokens" in given else {}
    return Prompt(messages, tuple(given.get("tools") or ()), parameters)


def _messages(entry: Any, where: str) -> Messages:
    match entry:
        case str(prompt) | {"prompt": str(prompt)}:
            return ({"role": "user", "content": prompt},)
        case {"messages": [*messages]} if messages and all(isinstance(each, dict) for each in messages):
            return tuple(messages)
        case {"conversations": [*turns]}:
            return _of_sharegpt(turns, where)
        case _:
            raise ConfigurationError(f"{where} has neither a 'prompt' nor 'messages' nor 'conversations'")


def _of_sharegpt(turns: list[Mapping[str, Any]], where: str) -> Messages:
    try:
        messages = [{"role": _ROLES[turn["from"]], "content": str(turn["value"])} for turn in turns]
    except (KeyError, TypeError):
        raise ConfigurationError(f"{where}: a turn needs 'from' (human, gpt, system) and 'value'") from None
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    if not messages:
        raise ConfigurationError(f"{where} has no question")
    return tuple(messages)
