"""What a run yields to its caller: events or tokens, each after the callback was called with it."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from headrace.events import Event, Reasoning, Refusal, Token

from .read import EventReader, Item, Reader, TextReader, View

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from headrace import _native
    from headrace._loop.effects import OpenTurn
    from headrace.types import Turn

__all__ = ["Output", "Wait"]

Wait: TypeAlias = "Callable[[Callable[[], Awaitable[Any]]], object]"
"""Waits for what a function returns to be done. The function is called where that can be awaited."""


class Output:
    """Makes a run's events, calls the callbacks, and selects what the caller wants to see.

    Args:
        view: What the caller wants to see.

    Attributes:
        calls_back: Whether there is a callback for tokens.
        tells: Whether events other than tokens are made, although the caller wants tokens.
        reasons: Whether reasoning is yielded among the tokens, as events.
        held: The batch that is being yielded.
        awaited: What async callbacks returned, until the driver has awaited it.
    """

    def __init__(self, view: View) -> None:
        self.calls_back = view.callback is not None or view.detailed is not None
        self.tells = False
        self.reasons = False
        self._view = view
        self._text_events = view.text_events
        self._numbers = itertools.count()
        self._tokens = 0
        self.held: list[str] | list[Item] = []
        self.awaited: deque[Awaitable[Any]] = deque()
        self._stream: _native.Stream | None = None
        self._response: _native.ResponseDict | None = None
        self._separator = ""

    @property
    def separator(self) -> str:
        """The token between the texts of two turns; empty for none."""
        return "" if self._view.events else self._view.separator

    @property
    def yields_events(self) -> bool:
        """Whether the caller wants events instead of tokens."""
        return self._view.events

    @property
    def wants_events(self) -> bool:
        """Whether the caller wants events, instead of tokens or among them."""
        return self._view.events or self.tells

    def event(self, make: Callable[..., Event]) -> list[Item]:
        """Makes an event with the next number and the current time.

        Args:
            make: Makes the event, given ``seq`` and ``at_ns``.

        Returns:
            The event in a list; an empty list if the caller does not want events.
        """
        return [make(seq=next(self._numbers), at_ns=time.monotonic_ns())] if self.wants_events else []

    def renumbered(self, event: Event) -> Event:
        """Gives an event of a member's run its number in the workflow's run.

        The events of parallel members are merged, so their order is known only here. The event is changed in place,
        which is safe because nobody else has seen it.
        """
        object.__setattr__(event, "seq", next(self._numbers))
        return event

    def reader(self, stream: _native.Stream, effect: OpenTurn, separator: str = "") -> Reader:
        """Makes the reader for a turn: of strings if only text is wanted, else of events.

        Args:
            stream: The turn's stream.
            effect: The turn.
            separator: A token to yield before the turn's first one; empty for none.
        """
        self._stream, self._response, self._separator = stream, None, separator
        if self._view.text_only and not effect.spoken and not self.reasons:
            return TextReader(stream, separator)
        return EventReader(stream, effect.agent, effect.spoken, self._numbers, self._shown)

    def _shown(self, events: list[Event]) -> list[Item]:
        if self._view.events:
            return [*events]
        if self.reasons:
            return self._shown_with_reasoning(events)
        wanted = [event for event in events if isinstance(event, self._text_events)]
        # `call_back` turns events into text later, if the callback wants a dict: it needs the event for that.
        shown: list[Item] = [*wanted] if self._view.detailed is not None else [event.text for event in wanted]
        if shown and self._separator:
            shown.insert(0, self._separator)
            self._separator = ""
        return shown

    def _shown_with_reasoning(self, events: list[Event]) -> list[Item]:
        """The same, with reasoning as events. It has a place of its own, so the separator is for the text after it."""
        shown: list[Item] = []
        for event in events:
            if isinstance(event, Reasoning):
                shown.append(event)
            elif isinstance(event, self._text_events):
                if self._separator:
                    shown.append(self._separator)
                    self._separator = ""
                shown.append(event if self._view.detailed is not None else event.text)
        return shown

    def drop(self) -> None:
        """Drops what was not yielded yet."""
        self.held.clear()

    def call_back(self, item: Item) -> Item:
        """Calls the callbacks with a token.

        Returns:
            What to yield: the event, or its text.
        """
        if isinstance(item, str):
            token = item
        elif isinstance(item, self._text_events):
            token = item.text
        else:
            return item
        if self._view.callback is not None:
            self._called(self._view.callback(token))
        if self._view.detailed is not None:
            logprobs = item.logprobs if isinstance(item, Token | Refusal) else None
            self._called(self._view.detailed(self._details(token, logprobs)))
            self._tokens += 1
        return item if self._view.events else token

    def called_back(self, batch: Sequence[Item], wait: Wait) -> Iterator[Item]:
        """Yields the items of a batch, each after the callback was called with it.

        Args:
            batch: The items.
            wait: Runs a coroutine to its end: for async callbacks.
        """
        for item in batch:
            shown = self.call_back(item)
            self.wait_for_callbacks(wait)
            yield shown

    def wait_for_callbacks(self, wait: Wait) -> None:
        """Waits until async callbacks that were called have ended."""
        while self.awaited:
            wait(self.awaited.popleft)

    async def await_callbacks(self) -> None:
        """Awaits async callbacks that were called."""
        while self.awaited:
            await self.awaited.popleft()

    def turn_ended(self, turn: Turn) -> None:
        """Calls the detailed callback at the end of a turn: a dict with an empty token, finish reason and usage."""
        if self._view.detailed is not None:
            usage = None if turn.usage is None else dataclasses.asdict(turn.usage)
            ending = {**self._details(""), "finish_reason": turn.finish_reason, "usage": usage}
            self._called(self._view.detailed(ending))

    def _called(self, result: object) -> None:
        """A callback has returned. What an async one returned is awaited by the driver, before it goes on."""
        if hasattr(result, "__await__"):
            self.awaited.append(cast("Awaitable[Any]", result))

    def _details(self, token: str, logprobs: Any = None) -> dict[str, Any]:
        if self._response is None and self._stream is not None:
            # Only once per turn, since it copies the whole text so far.
            self._response = self._stream.response()
        response = self._response
        return {
            "token": token,
            "index": self._tokens,
            "model": response and response["model"],
            "id": response and response["id"],
            "finish_reason": None,
            "usage": None,
            "logprobs": logprobs,
            "timestamp": time.time(),
        }
