"""Many tasks for one agent: what ``Agent.map`` and ``Agent.amap`` yield, and how they run.

Example:
    >>> for result in agent.map(["Greet me.", "Again."], concurrency=2):
    ...     print(result.index, result.output, result.state)
    0 Hello, world. complete
    1 Hello, world. complete
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .types import Value

if TYPE_CHECKING:
    from .types import Timing, Usage

__all__ = ["TaskResult"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TaskResult(Value):
    """What came of one task.

    Attributes:
        index: The number of the task, from 0.
        task: The task, as it was given.
        output: What ``Agent.run`` returns for it; None if it failed.
        text: The text of all its turns, also if it failed.
        state: How it ended; see ``RunStream.state``.
        usage: The token counts; None if they are not known.
        cost: The cost in USD; None if it is not known.
        ttft: Seconds from its first request to its first token; None if there was none.
        duration: Seconds that it took, waiting for a provider's limits not included.
        attempts: How many times it was begun: more than once only because of a provider's rate limit.
        error: Why it failed; None if it did not.
        timings: The timing of each turn; empty for a result that was read from a file.
    """

    index: int
    task: Any
    output: Any = None
    text: str = field(default="", repr=False)
    state: str = "complete"
    usage: Usage | None = None
    cost: float | None = None
    ttft: float | None = None
    duration: float = 0.0
    attempts: int = 1
    error: Exception | None = None
    timings: tuple[Timing, ...] = field(default=(), repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the task was done."""
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values, ready for JSON; the error as its type and its message."""
        from pydantic_core import to_jsonable_python

        error = None if self.error is None else {"type": type(self.error).__name__, "message": str(self.error)}
        return {
            "index": self.index,
            "task": to_jsonable_python(self.task, fallback=str),
            "output": to_jsonable_python(self.output, fallback=str),
            "text": self.text,
            "state": self.state,
            "usage": None if self.usage is None else self.usage.to_dict(),
            "cost": self.cost,
            "ttft": self.ttft,
            "duration": self.duration,
            "attempts": self.attempts,
            "error": error,
        }
