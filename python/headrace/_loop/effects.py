"""Effects: what a loop may ask its driver to do.

A loop is a generator: it yields an effect, and is sent the effect's result or has its error raised at the ``yield``. It
decides everything and does no I/O, so one loop serves the sync and the async driver.

Effects and specifications are named tuples: as immutable as frozen dataclasses, and seven times faster to define, which
counts because ``import headrace`` defines them.
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
    """Ask a model, and give the caller each token as it comes. The result is the whole ``Turn``.

    Attributes:
        agent: Whose turn it is.
        call: What to ask.
        spoken: Which argument of which tool is text for the user: the tool's name, and the argument's.
        resumed: The turn was begun before, and failed after tokens of it had been seen.
    """

    agent: str
    call: ModelCall
    spoken: Mapping[str, str]
    resumed: bool = False


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
    """Show the caller an event, if it wants events. :func:`emit` makes one.

    Attributes:
        make: Makes the event, given ``seq`` and ``at_ns``: the driver knows them, a loop does not.
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
    """``Emit``, with the types of the event's fields.

    Example::

        yield emit(PhaseStart, "plan", agent=spec.name)
    """
    return Emit(partial(event, *args, **kwargs))


def ask(effect: OpenTurn) -> Loop[Turn]:
    """``OpenTurn``, with the type of its result."""
    turn: Turn = yield effect
    return turn


def run_tools(effect: RunTools) -> Loop[tuple[ToolResult, ...]]:
    """``RunTools``, with the type of its result."""
    results: tuple[ToolResult, ...] = yield effect
    return results


def connect(servers: MCPTools) -> Loop[tuple[Tool, ...]]:
    """``Connect``, with the type of its result."""
    tools: tuple[Tool, ...] = yield Connect(servers)
    return tools


def recall(memory: Memory) -> Loop[Sequence[Message]]:
    """``Recall``, with the type of its result."""
    messages: Sequence[Message] = yield Recall(memory)
    return messages
