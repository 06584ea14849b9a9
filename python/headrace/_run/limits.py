"""What one run may cost: the most turns, tokens and USD, over all its loops, subtasks and handoffs together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import RunLimitError

if TYPE_CHECKING:
    from .turn_log import TurnLog

__all__ = ["RunLimits"]


class RunLimits(NamedTuple):
    """The limits of a run. They are checked before each request, so the last turn may exceed the last two.

    Attributes:
        turns: The most turns.
        total_tokens: The most tokens, those of the prompts included; None for no limit.
        cost: The most USD; None for no limit. Turns whose cost is not known are not counted.
    """

    turns: int = 100
    total_tokens: int | None = None
    cost: float | None = None

    def check(self, log: TurnLog) -> None:
        """Raises ``RunLimitError`` if these turns leave nothing for another one."""
        if len(log) >= self.turns:
            raise self._reached("max_turns", self.turns, "turns", log)
        if self.total_tokens is not None and log.known_tokens >= self.total_tokens:
            raise self._reached("max_total_tokens", self.total_tokens, "tokens", log)
        if self.cost is not None and log.known_cost >= self.cost:
            raise self._reached("max_cost", self.cost, "USD", log)

    @staticmethod
    def _reached(name: str, limit: float, unit: str, log: TurnLog) -> RunLimitError:
        message = (
            f"the run has reached its limit of {limit:g} {unit} ({name}) after {len(log)} turns, without an answer: "
            f"raise the limit with Agent({name}=…) if the task needs more"
        )
        return RunLimitError(message, limit=name, text=log.text)
