"""What the caller of a run gets: events or their text, each after its callback."""

from __future__ import annotations

import dataclasses
import itertools
import time
from typing import TYPE_CHECKING, Any

from headrace.events import Event, Refusal, Token

from .read import EventReader, Item, Reader, TextReader, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from headrace import _native
    from headrace._loop.effects import OpenTurn
    from headrace.types import Turn

__all__ = ["Output"]


class Output:
    """Makes a run's events, and gives the caller what it wants of them.

    Args:
        view: What the caller wants to see.

    Attributes:
        calls_back: Whether somebody wants to be called with each token.
    """

    def __init__(self, view: View) -> None:
        self.calls_back = view.callback is not None or view.detailed is not None
        self._view = view
        self._text_events = view.text_events
        self._numbers = itertools.count()
        self._tokens = 0
        self._batch: list[str] | list[Item] = []
        self._stream: _native.Stream | None = None
        self._response: _native.ResponseDict | None = None

    @property
    def wants_events(self) -> bool:
        """Whether the caller wants events, and not text alone."""
        return self._view.events

    def event(self, make: Callable[..., Event]) -> list[Item]:
        """An event that happens now, if the caller wants events.

        Args:
            make: Makes it, given ``seq`` and ``at_ns``.
        """
        return [make(seq=next(self._numbers), at_ns=time.monotonic_ns())] if self._view.events else []

    def renumbered(self, event: Event) -> Event:
        """An event of a run within this one, with its number in this one.

        It is numbered in place, as nobody else has seen it: agents that run together are read in turns, so only here
        it is known which event comes when.
        """
        object.__setattr__(event, "seq", next(self._numbers))
        return event

    def reader(self, stream: _native.Stream, effect: OpenTurn) -> Reader:
        """What reads a turn in the way that gives the caller what it wants.

        Args:
            stream: The turn's stream.
            effect: What was asked.
        """
        self._stream, self._response = stream, None
        if self._view.text_only and not effect.spoken:
            return TextReader(stream)
        return EventReader(stream, effect.agent, effect.spoken, self._numbers, self._shown)

    def _shown(self, events: list[Event]) -> list[Item]:
        if self._view.events:
            return [*events]
        wanted = [event for event in events if isinstance(event, self._text_events)]
        # Where a dict about each token is wanted, they stay events until it was made; see `call_back`.
        return [*wanted] if self._view.detailed is not None else [event.text for event in wanted]

    def hold(self, batch: list[str] | list[Item]) -> None:
        """Keeps hold of what is about to be yielded, so that :meth:`drop` can take it back."""
        self._batch = batch

    def drop(self) -> None:
        """Takes back what was not yielded yet."""
        self._batch.clear()

    def call_back(self, item: Item) -> Item:
        """Calls the caller's callback with a token, and gives what of the token the caller wants."""
        if isinstance(item, str):
            token = item
        elif isinstance(item, self._text_events):
            token = item.text
        else:
            return item
        if self._view.callback is not None:
            self._view.callback(token)
        if self._view.detailed is not None:
            self._view.detailed(self._details(token, item.logprobs if isinstance(item, Token | Refusal) else None))
            self._tokens += 1
        return item if self._view.events else token

    def called_back(self, batch: Sequence[Item]) -> Iterator[Item]:
        """The items of a batch, each after its callback."""
        for item in batch:
            yield self.call_back(item)

    def turn_ended(self, turn: Turn) -> None:
        """Calls back with what is known of a turn once it has ended: a dict with an empty token."""
        if self._view.detailed is not None:
            usage = None if turn.usage is None else dataclasses.asdict(turn.usage)
            self._view.detailed({**self._details(""), "finish_reason": turn.finish_reason, "usage": usage})

    def _details(self, token: str, logprobs: Any = None) -> dict[str, Any]:
        if self._response is None and self._stream is not None:
            # Once a turn: it holds the whole text so far.
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
