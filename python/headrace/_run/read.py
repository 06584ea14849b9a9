"""From what a native stream gives to what the caller sees: plain tokens, or events.

A turn that nobody wants more of than its text is read as text, which is the fast way. Everything else is read as
deltas, each of which becomes an event.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from headrace.errors import StreamError
from headrace.events import Event, Reasoning, Refusal, Token, ToolCallDelta

from .speech import SpokenCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace import _native

__all__ = ["Delta", "EventReader", "Item", "Reader", "TextReader"]

Item: TypeAlias = str | Event
"""What a stream yields."""

Delta: TypeAlias = (
    tuple[Literal["text", "reasoning", "refusal", "logprobs"], int, str]
    | tuple[Literal["tool_call_start"], int, int, str | None, str]
    | tuple[Literal["tool_call_arguments"], int, int, str]
)
"""What a native stream gives: kind, arrival in nanoseconds, and a piece of text (of logprobs: JSON); or, of a tool
call, its index, and either id and name or a fragment of its arguments."""


class TextReader:
    """Reads a turn as text.

    Args:
        stream: The turn's stream.
    """

    def __init__(self, stream: _native.Stream) -> None:
        self.stream = stream
        self.wait = stream.next_batch
        self.take = stream.take

    @property
    def text(self) -> str:
        """The text that was taken so far, and the refusal."""
        response = self.stream.response()
        return response["text"] + response["refusal"]


class EventReader:
    """Reads a turn as events.

    Args:
        stream: The turn's stream.
        agent: Whose turn it is.
        spoken: Which argument of which tool is text for the user.
        show: Numbers the events, and picks those that the caller wants.
    """

    def __init__(
        self,
        stream: _native.Stream,
        agent: str,
        spoken: Mapping[str, str],
        show: Callable[[list[Event]], list[Item]],
    ) -> None:
        self.stream = stream
        self._agent = agent
        self._spoken = spoken
        self._show = show
        self._said: list[str] = []
        self._logprobs: Any = None  # those of the text that follows
        self._calls: dict[int, tuple[str | None, str]] = {}
        self._speech = SpokenCalls()

    @property
    def text(self) -> str:
        """The text that was taken so far, what was spoken inside tool calls and refusals included."""
        return "".join(self._said)

    def wait(self) -> list[Item] | None:
        """The next items, as soon as there are any; None is the end."""
        return self._read(self.stream.next_deltas)

    def take(self) -> list[Item] | None:
        """The items that are there; None is the end."""
        return self._read(self.stream.take_deltas)

    def _read(self, take: Callable[[], list[Delta] | None]) -> list[Item] | None:
        try:
            deltas = take()
        except StreamError:
            # What was said before it comes first. The stream raises it again.
            if rest := self._speak(self._speech.rest()):
                return self._show(rest)
            raise
        if deltas is None:
            return self._show(self._speak(self._speech.rest())) or None
        return self._items(deltas)

    def _items(self, deltas: list[Delta]) -> list[Item]:
        events: list[Event] = []
        for delta in deltas:
            if delta[0] == "text":
                events.append(self._say(Token, delta[2], delta[1]))
            elif delta[0] == "refusal":
                events.append(self._say(Refusal, delta[2], delta[1]))
            elif delta[0] == "logprobs":
                self._logprobs = json.loads(delta[2])
            elif delta[0] == "reasoning":
                events.append(Reasoning(delta[2], agent=self._agent, at_ns=delta[1]))
            elif delta[0] == "tool_call_start":
                self._begin_call(delta[2], delta[3], delta[4])
                events.append(ToolCallDelta(delta[2], delta[3], delta[4], "", agent=self._agent, at_ns=delta[1]))
            elif delta[0] == "tool_call_arguments":
                events += self._continue_call(delta[2], delta[3], delta[1])
        return self._show(events)

    def _say(self, kind: type[Token | Refusal], text: str, at_ns: int) -> Event:
        self._said.append(text)
        logprobs, self._logprobs = self._logprobs, None
        return kind(text, logprobs, agent=self._agent, at_ns=at_ns)

    def _begin_call(self, index: int, call_id: str | None, name: str) -> None:
        # A call begins twice where the provider told its id late.
        if index not in self._calls and name in self._spoken:
            self._speech.begin(index, self._spoken[name])
        self._calls[index] = (call_id, name)

    def _continue_call(self, index: int, fragment: str, at_ns: int) -> list[Event]:
        call_id, name = self._calls[index]
        piece = ToolCallDelta(index, call_id, name, fragment, agent=self._agent, at_ns=at_ns)
        return [piece, *self._speak(self._speech.feed(index, fragment, at_ns))]

    def _speak(self, pieces: list[tuple[str, int]]) -> list[Event]:
        return [self._say(Token, text, at_ns) for text, at_ns in pieces]


Reader: TypeAlias = TextReader | EventReader
