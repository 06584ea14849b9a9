"""An agent's configuration for one run: copied when the run starts, and never changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.types import Message, ModelSettings

if TYPE_CHECKING:
    from headrace._tools.structured import Structured
    from headrace.mcp import MCPTools
    from headrace.memory import Memory
    from headrace.tools import Toolbox
    from headrace.types import Outcome

    from .effects import Loop

__all__ = ["AgentSpec", "AutoSpec", "ResultLimit", "RetryPolicy", "RunLoop", "Stop", "Transform"]

Stop = Callable[[str], bool]
"""A stop condition: gets the text of a turn, and returns whether the run ends with this turn."""

RunLoop = Callable[["AgentSpec", Sequence[Message], "Sequence[Message] | None"], "Loop[Outcome]"]
"""Makes the loop of a run, from the agent, the messages that the run begins with, and earlier messages; None for those
in the agent's memory."""

Transform = Callable[[Sequence[Message]], Sequence[Message]]
"""Makes the messages of a request from those of the conversation."""


class AutoSpec(NamedTuple):
    """The limits of an autonomous run.

    Attributes:
        tools: Which of the loop's own tools the model is offered; None for all.
        plan_attempts: How many turns the model has to make a plan, before it works without one.
        subtask_turns: How many turns one subtask may take.
        summary_attempts: How many turns the summary may take.
    """

    tools: frozenset[str] | None = None
    plan_attempts: int = 3
    subtask_turns: int = 20
    summary_attempts: int = 3


class RetryPolicy(NamedTuple):
    """What to do after a turn has failed.

    Attributes:
        attempts: How often to ask the same model again.
        interval: Seconds before the first retry; doubled each time.
        budget: Seconds from the turn's first request after which no retry begins; None for no limit.
        fallbacks: The fallback models, in order.
        resumes: Whether to ask again even if the caller has seen tokens of the turn.
        clock: The time in seconds.
    """

    attempts: int = 0
    interval: float = 1.0
    budget: float | None = None
    fallbacks: tuple[ModelSettings, ...] = ()
    resumes: bool = False
    clock: Callable[[], float] = time.monotonic


class ResultLimit(NamedTuple):
    """How much of tool results the model gets.

    Attributes:
        each: How many tokens of one result; None for no limit.
        turn: How many tokens of all results of one turn together; None for no limit.
    """

    each: int | None = None
    turn: int | None = None

    def tokens(self, results: int) -> int | None:
        """How many tokens each of this many results of a turn may have; None for no limit."""
        shares = [self.each, None if self.turn is None else self.turn // max(1, results)]
        return min((share for share in shares if share is not None), default=None)


class AgentSpec(NamedTuple):
    """What a loop must know about an agent; most attributes are those of ``Agent``.

    Do not compare two specs: their ``handoffs`` may refer to each other. ``agent_id`` stands for the agent that this is
    made from, and ``waiting`` holds those of the agents that wait for this one's answer, because they handed it a task.
    ``own_toolbox`` is the toolbox without the tools of MCP servers, once these are in ``toolbox``. ``client_tools`` are
    the schemas of tools that the caller runs itself.
    """

    name: str
    settings: ModelSettings
    toolbox: Toolbox
    loop: RunLoop
    inbox: list[str]
    handoffs: list[AgentSpec]
    description: str | None = None
    system_prompt: str | None = None
    max_loops: int | None = 1
    allow_empty: bool = False
    tool_choice: object = None
    tool_choice_every_turn: bool = False
    result_limit: ResultLimit = ResultLimit()
    stops: tuple[Stop, ...] = ()
    loop_interval: float = 0.0
    retries: RetryPolicy = RetryPolicy()
    agent_id: int = 0
    waiting: tuple[int, ...] = ()
    servers: MCPTools | None = None
    own_toolbox: Toolbox | None = None
    client_tools: tuple[Mapping[str, Any], ...] = ()
    memory: Memory | None = None
    transform: Transform | None = None
    keeps_task: bool = True
    auto: AutoSpec = AutoSpec()
    answer: Structured | None = None
    output_retries: int = 1
    strict_end: bool = False

    def with_loops(self, max_loops: int) -> AgentSpec:
        """The same agent with another limit on its turns."""
        return self._replace(max_loops=max_loops)
