"""What a loop may ask its driver to do.

A loop is a generator: it yields an effect, and is sent the effect's result or thrown its error. It decides everything
and does nothing, so that one loop serves the sync and the async driver alike.

Effects, like specifications, are named tuples: as immutable as frozen dataclasses, and a seventh of the
time to define, which ``import headrace`` has to wait for.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

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
    "call_tools",
    "connect",
    "recall",
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
    """Carry out tool calls. The result is a tuple of ``ToolResult``, in the order of the calls."""

    agent: str
    toolbox: Toolbox
    calls: tuple[ToolCall, ...]


class Emit(NamedTuple):
    """Tell the caller of an event, if it wants to know. The driver adds number and time."""

    agent: str
    event: Event


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
Loop: TypeAlias = Generator[Effect, Any, _Result]


def ask(effect: OpenTurn) -> Loop[Turn]:
    """``OpenTurn``, with the type of its result."""
    turn: Turn = yield effect
    return turn


def call_tools(agent: str, toolbox: Toolbox, calls: Sequence[ToolCall]) -> Loop[tuple[ToolResult, ...]]:
    """``RunTools``, with the type of its result."""
    results: tuple[ToolResult, ...] = yield RunTools(agent, toolbox, tuple(calls))
    return results


def connect(servers: MCPTools) -> Loop[tuple[Tool, ...]]:
    """``Connect``, with the type of its result."""
    tools: tuple[Tool, ...] = yield Connect(servers)
    return tools


def recall(memory: Memory) -> Loop[Sequence[Message]]:
    """``Recall``, with the type of its result."""
    messages: Sequence[Message] = yield Recall(memory)
    return messages
