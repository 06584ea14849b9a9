"""The turns of a run: what the model said in each, when it arrived, how many tokens it took and what it cost."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from headrace._conversation.trimming import estimate_tokens
from headrace.types import Timing, Turn, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.types import Message, ModelCall

    from .read import Reader

__all__ = ["LoggedTurn", "TurnLog", "total_cost", "total_usage"]


class LoggedTurn:
    """One turn, while the model answers and after.

    Args:
        reader: What reads the answer.
        model: The model that was asked.
        provider: Who serves it; None for an endpoint that is known by its URL alone.
    """

    __slots__ = ("_ended", "_is_priced", "model", "provider", "reader")

    def __init__(self, reader: Reader, model: str, provider: str | None) -> None:
        self.reader = reader
        self.model = model
        self.provider = provider
        self._ended: Turn | None = None
        self._is_priced = False

    @property
    def is_running(self) -> bool:
        """Whether the model has not answered to the end."""
        return self._ended is None

    @property
    def turn(self) -> Turn:
        """What the model said, as far as it was taken."""
        return self._ended or Turn.from_native(self.reader.stream.response())

    @property
    def timing(self) -> Timing:
        """When the answer arrived."""
        return Timing.from_native(self.reader.stream.timing(), self.reader.stream.arrivals())

    @property
    def cost(self) -> float | None:
        """What the turn cost, in USD; None where that is not known."""
        from headrace.models import cost

        usage = self.turn.usage
        # At an endpoint that is known by its URL alone, the name says nothing of the price; the usage itself may.
        named = self.model if self.provider and self._is_priced else ""
        return None if usage is None else cost(named, usage)

    def end(self, call: ModelCall) -> Turn:
        """The model has answered, and what its provider left out is filled in.

        Args:
            call: What was asked.
        """
        self._is_priced = True
        self._ended = _with_usage(_with_call_ids(self.turn), call.messages)
        return self._ended

    def break_off(self) -> None:
        """The answer has failed, and what came of it before stays a turn."""
        self._ended = self.turn


class TurnLog:
    """The turns of one run, the current one last."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: list[LoggedTurn] = []

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def last(self) -> LoggedTurn | None:
        """The current turn, or the last one; None before the first."""
        return self._turns[-1] if self._turns else None

    def begin(self, turn: LoggedTurn) -> None:
        """Another turn begins."""
        self._turns.append(turn)

    def drop(self) -> None:
        """The last turn is forgotten: it failed, and the caller has seen nothing of it."""
        self._turns.pop()

    @property
    def text(self) -> str:
        """The text that was taken so far, of all turns, refusals included."""
        return "".join(logged.reader.text for logged in self._turns)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the model said in each turn, the current one as far as it was taken."""
        return tuple(logged.turn for logged in self._turns)

    @property
    def timings(self) -> tuple[Timing, ...]:
        """When the answer of each turn arrived."""
        return tuple(logged.timing for logged in self._turns)

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns together; None where none are known."""
        return total_usage(turn.usage for turn in self.turns)

    @property
    def cost(self) -> float | None:
        """What all turns together cost, in USD; None where that is not known of one of them."""
        return total_cost(logged.cost for logged in self._turns)


def total_usage(usages: Iterable[Usage | None]) -> Usage | None:
    """The sum of those token counts that are known; None where none are."""
    known = [usage for usage in usages if usage is not None]
    return sum(known[1:], known[0]) if known else None


def total_cost(costs: Iterable[float | None]) -> float | None:
    """The sum of costs; None where one of them is not known, or there are none."""
    listed = list(costs)
    known = [cost for cost in listed if cost is not None]
    return sum(known) if known and len(known) == len(listed) else None


def _with_call_ids(turn: Turn) -> Turn:
    """Tool results name the call that they answer, so a call without an id gets one, in the form of OpenAI's."""
    if all(call.id for call in turn.tool_calls):
        return turn
    calls = (
        call if call.id else dataclasses.replace(call, id=f"call_{os.urandom(12).hex()}") for call in turn.tool_calls
    )
    return turn.with_calls(tuple(calls))


def _with_usage(turn: Turn, asked: Sequence[Message]) -> Turn:
    """Where the provider sent no usage, it is estimated and marked so."""
    if turn.usage is not None:
        return turn
    said = [turn.text, turn.refusal, turn.reasoning, *(call.name + call.arguments for call in turn.tool_calls)]
    came_in, came_out = sum(map(estimate_tokens, asked)), estimate_tokens({"content": "".join(said)})
    return dataclasses.replace(turn, usage=Usage(came_in, came_out, came_in + came_out, estimated=True))
