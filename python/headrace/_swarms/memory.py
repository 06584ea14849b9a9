"""What a compat agent remembers from one run to the next: its ``short_memory``, and the messages of the model."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.memory import Memory
    from headrace.types import Message

    from .conversation import Conversation

__all__ = ["ShortMemory"]


class ShortMemory:
    """The messages of earlier runs, kept in step with a :class:`Conversation`.

    What is added to the conversation by hand is read by the model too, as words of whoever is named.

    Args:
        conversation: The conversation.
        agent_name: The agent's name in it.
        user_name: The user's name in it.
        kept: A memory on disk; None to remember only in this process.
    """

    def __init__(self, conversation: Conversation, agent_name: str, user_name: str, kept: Memory | None = None) -> None:
        self._conversation, self._agent, self._user, self._kept = conversation, agent_name, user_name, kept
        self._lock = threading.Lock()
        self._sent: dict[int, Message] = {}  # by the identity of the entry of the conversation
        self._static = len(conversation.conversation_history)
        for message in kept.read() if kept is not None else ():
            self._add(message)

    def read(self, limit: int | None = None, *, run_id: str | None = None) -> list[Message]:
        """The messages of earlier runs, for the next request."""
        del run_id
        with self._lock:
            entries = self._conversation.conversation_history[self._static :]
            messages = [self._sent.get(id(entry)) or self._by_hand(entry) for entry in entries]
        return messages if limit is None else messages[-limit:]

    def append(self, messages: Iterable[Message], *, run_id: str | None = None) -> None:
        """Adds messages of a run."""
        messages = tuple(messages)
        if self._kept is not None:
            self._kept.append(messages, run_id=run_id)
        with self._lock:
            for message in messages:
                self._add(message)

    def _add(self, message: Message) -> None:
        role = {"assistant": self._agent, "tool": "Tool Executor", "user": self._user}.get(
            str(message.get("role")), str(message.get("role"))
        )
        entry = self._conversation.add(role, _content(message))
        self._sent[id(entry)] = message

    def _by_hand(self, entry: dict[str, Any]) -> Message:
        content = str(entry["content"])
        if entry["role"] == self._agent:
            return {"role": "assistant", "content": content}
        return {"role": "user", "content": content if entry["role"] == self._user else f"{entry['role']}: {content}"}


def _content(message: Message) -> Any:
    calls = message.get("tool_calls")
    if calls:
        return calls if not message.get("content") else f"{message['content']}\n{json.dumps(calls)}"
    content: str | list[dict[str, Any]] | None = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "[image]")) for part in content)
    return content or ""
