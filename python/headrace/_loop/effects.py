"""Effects: what a loop can ask its driver to do.

A loop is a generator: it yields an effect, and the driver sends the effect's result back or raises its error at the
``yield``. The loop makes all decisions and does no I/O, so the sync and the async driver run the same loop.

Effects and specs are named tuples: as immutable as frozen dataclasses, and seven times faster to define. That matters
because ``import headrace`` defines them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

if TYPE_CHECKING:
    from headrace.events import Event
    from headrace.mcp import MCPTools
    from headrace.memory import Memory
    from headrace.tools import Tool, Toolbox, ToolResult
    from headrace.types import Message, ModelCall, ToolCall, Turn

__all__ = [
    "Connect",
    "Effect",
    "Emit",
    "Loop",
    "OpenTurn",
    "Recall",
    "Remember",
    "RunTools",
    "Sleep",
    "ask",
    "connect",
    "emit",
    "recall",
    "run_tools",
]


class OpenTurn(NamedTuple):
    """Ask a model, and give the caller each token as it arrives. The result is the whole ``Turn``.

    Attributes:
        agent: Whose turn it is.
        call: What to ask.
        spoken: Which argument of which tool is text for the user: the name of the argument, by the name of the tool.
        resumed: Whether the turn was begun before, and failed after the caller had seen tokens of it.
        continues: Whether the answer is the rest of one that the provider paused.
    """

    agent: str
    call: ModelCall
    spoken: Mapping[str, str]
    resumed: bool = False
    continues: bool = False


class RunTools(NamedTuple):
    """Run tool calls. The result is a tuple of ``ToolResult``, in the order of the calls.

    Attributes:
        agent: Whose calls they are.
        toolbox: The agent's tools.
        calls: The calls.
        offered: The names of all tools that the model was offered, the loop's own included.
    """

    agent: str
    toolbox: Toolbox
    calls: tuple[ToolCall, ...]
    offered: tuple[str, ...]


class Emit(NamedTuple):
    """Give the caller an event, if it reads events. Made by :func:`emit`.

    Attributes:
        make: Makes the event from ``seq`` and ``at_ns``, which the driver knows and a loop does not.
    """

    make: Callable[..., Event]


class Sleep(NamedTuple):
    """Wait for some seconds."""

    seconds: float


class Remember(NamedTuple):
    """Add messages to an agent's memory."""

    memory: Memory
    messages: tuple[Message, ...]


class Recall(NamedTuple):
    """Read an agent's memory. The result is the list of its messages."""

    memory: Memory


class Connect(NamedTuple):
    """Connect to MCP servers. The result is a tuple of their tools."""

    servers: MCPTools


Effect: TypeAlias = OpenTurn | RunTools | Emit | Sleep | Remember | Recall | Connect

_Result = TypeVar("_Result")
_Fields = ParamSpec("_Fields")
Loop: TypeAlias = Generator[Effect, Any, _Result]


def emit(event: Callable[_Fields, Event], *args: _Fields.args, **kwargs: _Fields.kwargs) -> Emit:
    """Makes an ``Emit``, type-checked against the fields of the event.

    Example::

        yield emit(PhaseStart, "plan", agent=spec.name)
    """
    return Emit(partial(event, *args, **kwargs))


def ask(effect: OpenTurn) -> Loop[Turn]:
    """Yields an ``OpenTurn``, and returns its result with the right type."""
    turn: Turn = yield effect
    return turn


def run_tools(effect: RunTools) -> Loop[tuple[ToolResult, ...]]:
    """Yields a ``RunTools``, and returns its result with the right type."""
    results: tuple[ToolResult, ...] = yield effect
    return results


def connect(servers: MCPTools) -> Loop[tuple[Tool, ...]]:
    """Yields a ``Connect``, and returns its result with the right type."""
    tools: tuple[Tool, ...] = yield Connect(servers)
    return tools


def recall(memory: Memory) -> Loop[Sequence[Message]]:
    """Yields a ``Recall``, and returns its result with the right type."""
    messages: Sequence[Message] = yield Recall(memory)
    return messages
