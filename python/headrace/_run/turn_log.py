"""The turns of a run: the answer of each, when it arrived, its usage and its cost."""

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
    """One turn of a run, while the model answers and afterwards.

    Args:
        reader: The reader of the answer.
        model: The model's name.
        provider: The provider's name; None for an endpoint of which only the URL is known.
        separator: The token that is yielded before its text; empty for none.
    """

    __slots__ = ("_ended", "_is_priced", "model", "provider", "reader", "separator")

    def __init__(self, reader: Reader, model: str, provider: str | None, separator: str) -> None:
        self.reader = reader
        self.model = model
        self.provider = provider
        self.separator = separator
        self._ended: Turn | None = None
        self._is_priced = False

    @property
    def is_running(self) -> bool:
        """Whether the answer is not complete yet."""
        return self._ended is None

    @property
    def turn(self) -> Turn:
        """The answer, as far as it was read."""
        stream = self.reader.stream
        return self._ended or Turn.from_native(stream.response(), stream.head())

    @property
    def timing(self) -> Timing:
        """When the answer arrived."""
        return Timing.from_native(self.reader.stream.timing(), self.reader.stream.arrivals())

    @property
    def cost(self) -> float | None:
        """The cost of the turn in USD; None if it is not known."""
        from headrace.models import cost

        usage = self.turn.usage
        # Without a provider, the model's name does not determine a price. The usage may still contain the cost.
        model = self.model if self.provider and self._is_priced else ""
        return None if usage is None else cost(model, usage)

    def end(self, call: ModelCall) -> Turn:
        """The answer is complete. Adds the ids of tool calls and the usage, if the provider did not send them.

        Args:
            call: The request.
        """
        self._is_priced = True
        self._ended = _with_usage(_with_call_ids(self.turn), call.messages)
        return self._ended

    def break_off(self) -> None:
        """The answer failed. What arrived before the error is kept as a turn."""
        self._ended = self.turn


class TurnLog:
    """The turns of one run, in order."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: list[LoggedTurn] = []

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def last(self) -> LoggedTurn | None:
        """The current turn, or the last one if none is running; None before the first."""
        return self._turns[-1] if self._turns else None

    def begin(self, turn: LoggedTurn) -> None:
        """Adds a turn that begins."""
        self._turns.append(turn)

    def drop(self) -> None:
        """Removes the last turn. For a failed attempt of which the caller has seen nothing."""
        self._turns.pop()

    @property
    def has_text(self) -> bool:
        """Whether any turn has text that was read."""
        return any(logged.reader.text for logged in reversed(self._turns))

    @property
    def text(self) -> str:
        """The text of all turns that was read so far, as it was yielded: refusals and separators included."""
        texts = ((logged.separator, logged.reader.text) for logged in self._turns)
        return "".join(separator + text for separator, text in texts if text)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, the current one as far as it was read."""
        return tuple(logged.turn for logged in self._turns)

    @property
    def timings(self) -> tuple[Timing, ...]:
        """The timing of each turn."""
        return tuple(logged.timing for logged in self._turns)

    @property
    def usage(self) -> Usage | None:
        """The usage of all turns together; None if none is known."""
        return total_usage(turn.usage for turn in self.turns)

    @property
    def known_tokens(self) -> int:
        """The total tokens of all turns whose usage is known."""
        usage = self.usage
        if usage is None:
            return 0
        return usage.total_tokens or (usage.input_tokens or 0) + (usage.output_tokens or 0)

    @property
    def known_cost(self) -> float:
        """The cost in USD of all turns whose cost is known."""
        return sum(cost for cost in (logged.cost for logged in self._turns) if cost is not None)

    @property
    def cost(self) -> float | None:
        """The cost of all turns together in USD; None if the cost of any turn is not known."""
        return total_cost(logged.cost for logged in self._turns)


def total_usage(usages: Iterable[Usage | None]) -> Usage | None:
    """The sum of the usages that are known; None if none is."""
    known = [usage for usage in usages if usage is not None]
    return sum(known[1:], known[0]) if known else None


def total_cost(costs: Iterable[float | None]) -> float | None:
    """The sum of costs in USD; None if one of them is not known, or if there are none."""
    listed = list(costs)
    known = [cost for cost in listed if cost is not None]
    return sum(known) if known and len(known) == len(listed) else None


def _with_call_ids(turn: Turn) -> Turn:
    """Gives an id to each tool call without one, in OpenAI's form, because a tool result must name its call."""
    if all(call.id for call in turn.tool_calls):
        return turn
    calls = (
        call if call.id else dataclasses.replace(call, id=f"call_{os.urandom(12).hex()}") for call in turn.tool_calls
    )
    return turn.with_calls(tuple(calls))


def _with_usage(turn: Turn, messages: Sequence[Message]) -> Turn:
    """Estimates the usage if the provider sent none, and marks it as estimated."""
    if turn.usage is not None:
        return turn
    answer = [turn.text, turn.refusal, turn.reasoning, *(call.name + call.arguments for call in turn.tool_calls)]
    tokens_in, tokens_out = sum(map(estimate_tokens, messages)), estimate_tokens({"content": "".join(answer)})
    return dataclasses.replace(turn, usage=Usage(tokens_in, tokens_out, tokens_in + tokens_out, estimated=True))
