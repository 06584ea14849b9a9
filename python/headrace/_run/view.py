"""What of a run the caller wants to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from headrace.events import Reasoning, Refusal, Token

__all__ = ["TokenCallback", "View"]

TokenCallback: TypeAlias = Callable[[str], object]


class View(NamedTuple):
    """What of a run the caller wants to see.

    Attributes:
        events: All events, and not the text alone.
        reasoning: The reasoning among the text.
        callback: Called with each token before it is yielded.
        detailed: Called with a dict about each token.
    """

    events: bool = False
    reasoning: bool = False
    callback: TokenCallback | None = None
    detailed: Callable[[dict[str, Any]], object] | None = None

    @property
    def text_only(self) -> bool:
        """The text is all that is wanted of a turn."""
        return not (self.events or self.reasoning) and self.detailed is None

    @property
    def told(self) -> tuple[type[Token | Refusal | Reasoning], ...]:
        """The events whose text is told to the callback, and is what is yielded where events are not wanted."""
        return (Token, Refusal, Reasoning) if self.reasoning and not self.events else (Token, Refusal)
