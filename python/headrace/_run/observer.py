"""Who is told what a run does, for traces and metrics; nobody, unless the application says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace._loop.effects import OpenTurn
    from headrace.tools import ToolResult
    from headrace.types import Timing, Turn

__all__ = ["Observer", "is_observed", "observe_with", "observer_of"]


class Observer(Protocol):
    """Is told what one run does, in order."""

    def turn_begun(self, effect: OpenTurn) -> Sequence[tuple[str, str]]:
        """A request is about to be sent. Returns headers to send with it."""
        ...

    def turn_ended(self, turn: Turn, timing: Timing, provider: str | None) -> None:
        """The model has answered."""

    def turn_failed(self, error: BaseException) -> None:
        """The request, or its answer, has failed. Without a turn that has begun, it does nothing."""

    def tool_ended(self, agent: str, result: ToolResult) -> None:
        """A tool call has returned."""

    def ended(self, state: str, error: BaseException | None) -> None:
        """The run has ended."""


Observe: TypeAlias = "Callable[[str], Observer]"
"""Begins to observe a run, given the agent's name."""

_observe: list[Observe] = []


def observe_with(observe: Observe | None) -> None:
    """Sets who observes the runs that begin from now on; None for nobody."""
    _observe[:] = [] if observe is None else [observe]


def is_observed() -> bool:
    """Whether runs that begin are observed."""
    return bool(_observe)


def observer_of(agent: str) -> Observer | None:
    """The observer of a run that begins; None if nobody observes."""
    return _observe[0](agent) if _observe else None
