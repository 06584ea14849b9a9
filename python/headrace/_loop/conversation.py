"""The messages of one run: all of them, those of a request, and those that are not in the memory yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace._conversation.legal import legal_arguments
from headrace._conversation.reasoning import kept_reasoning

from .effects import Loop, Remember

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.tools import ToolResult
    from headrace.types import Message, ToolCall, Turn

    from .spec import AgentSpec

__all__ = ["Conversation"]


class Conversation:
    """The messages of one run, and which of them are not in the memory yet.

    Args:
        spec: The agent.
        history: Messages of earlier runs.
        opening: The messages that this run begins with.

    Attributes:
        forced: Whether a request was made that demands a tool call.
    """

    def __init__(self, spec: AgentSpec, history: Sequence[Message], opening: Sequence[Message]) -> None:
        self._spec = spec
        self._system: list[Message] = []
        if spec.system_prompt:
            self._system = [{"role": "system", "content": spec.system_prompt}]
        self._messages: list[Message] = list(history)
        self._earlier = len(self._messages)
        self._new: list[Message] = []
        self._opening = tuple(opening)
        self.forced = False
        for message in opening:
            self.add(message)

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages except the system prompt, including those of earlier runs."""
        return tuple(self._messages)

    @property
    def run_messages(self) -> tuple[Message, ...]:
        """The messages of this run."""
        return tuple(self._messages[self._earlier :])

    def add(self, message: Message) -> None:
        """Adds a message."""
        self._messages.append(message)
        self._new.append(message)

    def add_user(self, text: str) -> None:
        """Adds a message in the user's role."""
        self.add({"role": "user", "content": text})

    def add_turn(self, turn: Turn) -> None:
        """Adds the model's answer."""
        self.add(_assistant_message(turn))

    def add_results(self, results: Sequence[ToolResult]) -> None:
        """Adds the results of tool calls."""
        limit = self._spec.result_limit.tokens(len(results))
        for result in results:
            self.add(_tool_message(result.call, _cut(result.content, limit)))

    def add_steering(self) -> None:
        """Adds the steering messages: those that the user has sent during the run."""
        while self._spec.inbox:
            self.add_user(self._spec.inbox.pop(0))

    def to_send(self) -> tuple[Message, ...]:
        """The messages of the next request."""
        messages = [*self._system, *self._messages]
        if self._spec.transform is None:
            return tuple(messages)
        sent = tuple(self._spec.transform(messages))
        if not self._spec.keeps_task:
            return sent
        # The task stays in the request, however long the conversation gets.
        missing = [message for message in self._opening if message not in sent]
        start = len(self._system)
        return (*sent[:start], *missing, *sent[start:])

    def remember(self) -> Loop[None]:
        """Adds the messages that are not in the memory yet."""
        if self._spec.memory is not None and self._new:
            yield Remember(self._spec.memory, tuple(self._new))
        self._new.clear()


def _assistant_message(turn: Turn) -> Message:
    """A turn as the message that the next request contains."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or turn.refusal or None}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": legal_arguments(call.arguments)},
            }
            for call in turn.tool_calls
        ]
    elif message["content"] is None:
        # Some providers refuse a message without content and tool calls if the content is null.
        message["content"] = ""
    reasoning = kept_reasoning(turn)
    return message if reasoning is None else {**message, "reasoning": reasoning}


def _cut(content: str, limit: int | None) -> str:
    # A token is at least one character's first byte, so most results need no closer look.
    if limit is None or len(content) <= limit:
        return content
    from headrace._conversation.trimming import without_middle  # here, because few results are long

    return without_middle(content, limit)


def _tool_message(call: ToolCall, content: str) -> Message:
    """A tool call's result as a message."""
    return {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": content}
