"""Reading a turn's native stream.

If only text is wanted, the stream is read as strings (fast path). Otherwise it is read as deltas, and events are made
of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from headrace.errors import StreamError
from headrace.events import Event, Reasoning, Refusal, Token, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace import _native

    from .partial_json import SpokenCalls

__all__ = ["Delta", "EventReader", "Item", "Reader", "TextReader", "View"]

Item: TypeAlias = str | Event
"""What a stream yields: a token or an event."""

Delta: TypeAlias = (
    tuple[Literal["text", "reasoning", "refusal", "logprobs"], int, str]
    | tuple[Literal["tool_call_start"], int, int, str | None, str]
    | tuple[Literal["tool_call_arguments"], int, int, str]
)
"""A delta of a native stream: kind, arrival in nanoseconds, then a piece of text (for logprobs: JSON). A delta of a
tool call has the call's index, and then either its id and name or a piece of its arguments."""


class View(NamedTuple):
    """What the caller wants to see of a run.

    Attributes:
        events: All events, instead of tokens.
        reasoning: The reasoning too, as tokens.
        callback: Called with each token before it is yielded.
        detailed: Called with a dict about each token before it is yielded.
        separator: The token between the texts of two turns; empty for none. Events need none.
    """

    events: bool = False
    reasoning: bool = False
    callback: Callable[[str], object] | None = None
    detailed: Callable[[dict[str, Any]], object] | None = None
    separator: str = ""

    @property
    def text_only(self) -> bool:
        """Whether only text is wanted, so that the fast path can be used."""
        return not (self.events or self.reasoning) and self.detailed is None

    @property
    def text_events(self) -> tuple[type[Token | Refusal | Reasoning], ...]:
        """The events whose text is a token: it goes to the callback, and is yielded if events are not wanted."""
        return (Token, Refusal, Reasoning) if self.reasoning and not self.events else (Token, Refusal)


def _token_maker() -> Callable[[str, Any, str, int, int], Token]:
    # A frozen dataclass sets each field through a method of `object` that looks the field up by its name.
    new: Callable[[type[Token]], Token] = object.__new__
    cls: Any = Token
    set_text, set_logprobs = cls.text.__set__, cls.logprobs.__set__
    set_agent, set_seq, set_at_ns = cls.agent.__set__, cls.seq.__set__, cls.at_ns.__set__

    def make(text: str, logprobs: Any, agent: str, seq: int, at_ns: int) -> Token:
        """Makes a ``Token`` in half the time of the class itself: there are very many.

        Args:
            text: The text.
            logprobs: Its log probabilities; None if there are none.
            agent: The name of the agent.
            seq: The event's number within the run.
            at_ns: When it arrived.

        Returns:
            The event.
        """
        token = new(Token)
        set_text(token, text)
        set_logprobs(token, logprobs)
        set_agent(token, agent)
        set_seq(token, seq)
        set_at_ns(token, at_ns)
        return token

    return make


_make_token = _token_maker()


class TextReader:
    """Reads a turn as strings (fast path).

    Args:
        stream: The turn's stream.
        separator: A token to yield before the first one; empty for none.
    """

    def __init__(self, stream: _native.Stream, separator: str = "") -> None:
        self.stream = stream
        if separator:
            stream.separate(separator)

    def wait(self) -> list[str] | None:
        """Blocks until there are tokens. None at the end."""
        return self.stream.next_batch()

    def take(self) -> list[str] | None:
        """The tokens that are there now, without waiting. None at the end."""
        return self.stream.take()

    @property
    def text(self) -> str:
        """The text that was read so far, refusal included."""
        response = self.stream.response()
        return response["text"] + response["refusal"]


class EventReader:
    """Reads a turn as events. Each event gets its number, and the time when its delta arrived.

    Args:
        stream: The turn's stream.
        agent: The name of the agent whose turn it is.
        spoken: Maps a tool's name to its argument that is text for the user.
        numbers: The numbers for the events.
        show: Selects what the caller wants to see of a list of events.
    """

    def __init__(
        self,
        stream: _native.Stream,
        agent: str,
        spoken: Mapping[str, str],
        numbers: Iterator[int],
        show: Callable[[list[Event]], list[Item]],
    ) -> None:
        self.stream = stream
        self._agent = agent
        self._spoken = spoken
        self._numbers = numbers
        self._show = show
        self._said: list[str] = []
        self._logprobs: Any = None  # of the text delta that follows
        self._calls: dict[int, tuple[str | None, str]] = {}
        self._speech: SpokenCalls | None = None

    @property
    def text(self) -> str:
        """The text that was read so far: with refusals, and with the arguments of tool calls that are text."""
        return "".join(self._said)

    def wait(self) -> list[Item] | None:
        """Blocks until there are items. None at the end."""
        return self._read(self.stream.next_deltas)

    def take(self) -> list[Item] | None:
        """The items that are there now, without waiting. None at the end."""
        return self._read(self.stream.take_deltas)

    def _read(self, take: Callable[[], list[Delta] | None]) -> list[Item] | None:
        try:
            deltas = take()
        except StreamError:
            # Yield what arrived before the error first. The stream raises the error again at the next call.
            if rest := self._rest():
                return self._show(rest)
            raise
        if deltas is None:
            return self._show(self._rest()) or None
        return self._show(self._events(deltas))

    def _events(self, deltas: list[Delta]) -> list[Event]:
        events: list[Event] = []
        agent, numbers, said = self._agent, self._numbers, self._said.append
        for delta in deltas:
            if delta[0] == "text" and self._logprobs is None:  # nearly all of them
                said(delta[2])
                events.append(_make_token(delta[2], None, agent, next(numbers), delta[1]))
            elif delta[0] == "text":
                events.append(self._say(Token, delta[2], delta[1]))
            elif delta[0] == "refusal":
                events.append(self._say(Refusal, delta[2], delta[1]))
            elif delta[0] == "logprobs":
                self._logprobs = json.loads(delta[2])
            elif delta[0] == "reasoning":
                events.append(Reasoning(delta[2], agent=agent, seq=next(numbers), at_ns=delta[1]))
            elif delta[0] == "tool_call_start":
                self._begin_call(delta[2], delta[3], delta[4])
                events.append(self._piece(delta[2], "", delta[1]))
            elif delta[0] == "tool_call_arguments":
                events.append(self._piece(delta[2], delta[3], delta[1]))
                if self._speech is not None:
                    events += self._speak(self._speech.feed(delta[2], delta[3], delta[1]))
        return events

    def _say(self, kind: type[Token | Refusal], text: str, at_ns: int) -> Event:
        self._said.append(text)
        logprobs, self._logprobs = self._logprobs, None
        return kind(text, logprobs, agent=self._agent, seq=next(self._numbers), at_ns=at_ns)

    def _begin_call(self, index: int, call_id: str | None, name: str) -> None:
        # A provider that sends the call's id late makes a call begin twice.
        if index not in self._calls and name in self._spoken:
            if self._speech is None:
                from .partial_json import SpokenCalls  # here, because only autonomous runs need it

                self._speech = SpokenCalls()
            self._speech.begin(index, self._spoken[name])
        self._calls[index] = (call_id, name)

    def _piece(self, index: int, fragment: str, at_ns: int) -> Event:
        call_id, name = self._calls[index]
        return ToolCallDelta(index, call_id, name, fragment, agent=self._agent, seq=next(self._numbers), at_ns=at_ns)

    def _rest(self) -> list[Event]:
        """The text of tool calls that was still held back, after the last delta."""
        return [] if self._speech is None else self._speak(self._speech.rest())

    def _speak(self, pieces: list[tuple[str, int]]) -> list[Event]:
        return [self._say(Token, text, at_ns) for text, at_ns in pieces]


Reader: TypeAlias = TextReader | EventReader
