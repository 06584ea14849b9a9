"""Workflows: several agents on one task, one after the other or at the same time.

What an agent is told is the task, and below it what the agents have said so far, each under its name: of an agent that
has spoken more than once, the newest. So it knows who said what, and what it is told does not grow with the loops.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Literal, overload

from ._agent.config import check_task
from ._conversation.output import check_output_type, format_output
from ._workflow.run import Flow
from ._workflow.streams import AsyncWorkflowStream, WorkflowStream
from .agent import Agent
from .errors import ConfigurationError
from .events import AgentFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._workflow.run import Step
    from .events import Event

__all__ = [
    "AgentFailed",
    "AgentRearrange",
    "AsyncWorkflowStream",
    "ConcurrentWorkflow",
    "SequentialWorkflow",
    "WorkflowStream",
]


class _Workflow(ABC):
    """What all workflows can do. They differ in their steps alone.

    A workflow may serve any number of runs at once, as its agents may: a run reads the configuration when it starts,
    and shares nothing else.
    """

    def __init__(
        self,
        agents: Iterable[Agent],
        name: str,
        description: str | None,
        max_loops: int,
        on_error: Literal["cancel", "continue"],
        output_type: str,
    ) -> None:
        self.agents = list(agents)
        self.name = name
        self.description = description
        self.max_loops = max_loops
        self.on_error = on_error
        self.output_type = output_type

    def run(self, task: str) -> Any:
        """Runs a task and waits for the end. Prints nothing.

        Args:
            task: What the user wants.

        Returns:
            What was said, in the form that ``output_type`` names.

        Raises:
            StreamError: An agent's run did not end complete. With ``on_error="continue"``: no agent's did.
            ConfigurationError: The task, an agent or the workflow's configuration cannot work.
        """
        with self.run_stream(task) as stream:
            deque(stream, maxlen=0)
        return self._output(stream)

    async def arun(self, task: str) -> Any:
        """Runs a task and awaits the end; see :meth:`run`."""
        async with self.arun_stream(task) as stream:
            async for _token in stream:
                pass
        return self._output(stream)

    @overload
    def run_stream(self, task: str, *, with_events: Literal[False] = ...) -> WorkflowStream[str]: ...
    @overload
    def run_stream(self, task: str, *, with_events: Literal[True]) -> WorkflowStream[Event]: ...
    @overload
    def run_stream(self, task: str, *, with_events: bool) -> WorkflowStream[str] | WorkflowStream[Event]: ...
    def run_stream(self, task: str, *, with_events: bool = False) -> WorkflowStream[Any]:
        """Runs a task and streams the agents' tokens.

        Args:
            task: What the user wants.
            with_events: Yields everything that happens, as ``headrace.events``: all that the agents' own streams tell,
                with one numbering, an ``AgentStart`` and an ``AgentEnd`` (or ``AgentFailed``) around each agent's run
                instead of its ``RunStart`` and ``RunEnd``, and one of these around the whole.

        Returns:
            An iterator of tokens that also tells ``outputs``, ``errors``, ``text``, ``usage`` and ``state``, and can
            be closed.

        Raises:
            ConfigurationError: The task or the workflow's configuration cannot work.
        """
        return WorkflowStream(self._flow(task, events=with_events))

    @overload
    def arun_stream(self, task: str, *, with_events: Literal[False] = ...) -> AsyncWorkflowStream[str]: ...
    @overload
    def arun_stream(self, task: str, *, with_events: Literal[True]) -> AsyncWorkflowStream[Event]: ...
    @overload
    def arun_stream(self, task: str, *, with_events: bool) -> AsyncWorkflowStream[str] | AsyncWorkflowStream[Event]: ...
    def arun_stream(self, task: str, *, with_events: bool = False) -> AsyncWorkflowStream[Any]:
        """Runs a task and streams the agents' tokens to ``async for``; see :meth:`run_stream`."""
        return AsyncWorkflowStream(self._flow(task, events=with_events))

    def __repr__(self) -> str:
        agents = ", ".join(agent.agent_name for agent in self.agents)
        return f"{type(self).__name__}(name={self.name!r}, agents=[{agents}], max_loops={self.max_loops!r})"

    @abstractmethod
    def _steps(self) -> tuple[Step, ...]:
        """Who runs, in which order."""

    def _checked_steps(self) -> tuple[Step, ...]:
        """The steps, once everything that they hang on was found to be right."""
        _check_agents(self.agents)
        _check_loops(self.max_loops)
        if self.on_error not in {"cancel", "continue"}:
            raise ConfigurationError(f"on_error must be 'cancel' or 'continue', not {self.on_error!r}")
        if self.output_type != "outputs":
            check_output_type(self.output_type)
        return self._steps()

    def _flow(self, task: str, *, events: bool) -> Flow:
        check_task(task)
        steps = self._checked_steps()
        stop = self.on_error == "cancel"
        return Flow(self.name, task, steps, max_loops=self.max_loops, stop_on_error=stop, events=events)

    def _output(self, stream: WorkflowStream[Any] | AsyncWorkflowStream[Any]) -> Any:
        if self.output_type == "outputs":
            return stream.outputs
        return format_output(self.output_type, stream.messages, stream.final)


class SequentialWorkflow(_Workflow):
    """Agents one after the other, each of which is told the task and what those before it have said.

    Args:
        agents: The agents, in their order. Their names must differ.
        name: The workflow's name.
        description: What the workflow is for.
        max_loops: How many times all agents run. The first of a later loop is told what the last loop came to.
        on_error: What an agent that fails does: ``"cancel"`` ends the run with its error; with ``"continue"`` those
            after it go on without its answer, and the run fails only if no agent has answered.
        output_type: The form in which ``run`` returns what was said: ``"final"`` is the last agent's answer,
            ``"outputs"`` the dict of all agents' newest answers by name, and the others are those of ``Agent``, with
            the agents' names as roles.

    Raises:
        ConfigurationError: A value cannot work.
    """

    def __init__(
        self,
        *,
        agents: Iterable[Agent],
        name: str = "SequentialWorkflow",
        description: str | None = None,
        max_loops: int = 1,
        on_error: Literal["cancel", "continue"] = "cancel",
        output_type: str = "final",
    ) -> None:
        super().__init__(agents, name, description, max_loops, on_error, output_type)
        self._checked_steps()

    def _steps(self) -> tuple[Step, ...]:
        return tuple((agent,) for agent in self.agents)


class ConcurrentWorkflow(_Workflow):
    """Agents at the same time, each of which is told the task.

    Args:
        agents: The agents. Their names must differ.
        name: The workflow's name.
        description: What the workflow is for.
        max_loops: How many times all agents run. In a later loop each is told what all said in the last.
        on_error: What an agent that fails does: ``"cancel"`` cancels the others and ends the run with its error; with
            ``"continue"`` the others go on, and the run fails only if no agent has answered.
        output_type: The form in which ``run`` returns what was said: ``"outputs"`` is the dict of the agents' answers
            by name, in the agents' order; ``"final"`` the same as one text, and the others are those of ``Agent``,
            with the agents' names as roles.

    Raises:
        ConfigurationError: A value cannot work.
    """

    def __init__(
        self,
        *,
        agents: Iterable[Agent],
        name: str = "ConcurrentWorkflow",
        description: str | None = None,
        max_loops: int = 1,
        on_error: Literal["cancel", "continue"] = "cancel",
        output_type: str = "outputs",
    ) -> None:
        super().__init__(agents, name, description, max_loops, on_error, output_type)
        self._checked_steps()

    def _steps(self) -> tuple[Step, ...]:
        return (tuple(self.agents),)


class AgentRearrange(_Workflow):
    """Agents in the order that a flow says: ``"A, B -> C"`` is A and B at the same time, and then C.

    Each is told the task and what those of the steps before it have said. An agent may stand in several steps; one
    that stands in none does not run.

    Args:
        agents: The agents. Their names must differ.
        flow: Steps with arrows between them; a step is names with commas between them.
        name: The workflow's name.
        description: What the workflow is for.
        max_loops: How many times the flow is gone through. The first step of a later loop is told what the last loop
            came to.
        on_error: What an agent that fails does: ``"cancel"`` cancels the others of its step and ends the run with its
            error; with ``"continue"`` the flow goes on without its answer, and the run fails only if no agent has
            answered.
        output_type: The form in which ``run`` returns what was said: ``"final"`` is what the last step came to, the
            answers of several agents under their names; ``"outputs"`` the dict of all agents' newest answers by name,
            and the others are those of ``Agent``, with the agents' names as roles.

    Raises:
        ConfigurationError: A value cannot work. For a name that is no agent's, the message tells the nearest.
    """

    def __init__(
        self,
        *,
        agents: Iterable[Agent],
        flow: str,
        name: str = "AgentRearrange",
        description: str | None = None,
        max_loops: int = 1,
        on_error: Literal["cancel", "continue"] = "cancel",
        output_type: str = "final",
    ) -> None:
        super().__init__(agents, name, description, max_loops, on_error, output_type)
        self.flow = flow
        self._checked_steps()

    def _steps(self) -> tuple[Step, ...]:
        return _parse_flow(self.flow, self.agents)


def _check_agents(agents: list[Agent]) -> None:
    """Raises ``ConfigurationError`` for agents that cannot work together."""
    if not agents:
        raise ConfigurationError("a workflow needs agents, but agents is empty")
    given: list[object] = [*agents]
    for agent in given:
        if not isinstance(agent, Agent):
            raise ConfigurationError(f"agents must be headrace.Agent objects, not {type(agent).__name__}")
    name, count = Counter(agent.agent_name for agent in agents).most_common(1)[0]
    if count > 1:
        raise ConfigurationError(f"{count} agents have the name {name!r}: give each its own agent_name")


def _check_loops(loops: object) -> None:
    if isinstance(loops, bool) or not isinstance(loops, int) or loops < 1:
        raise ConfigurationError(f"max_loops must be a whole number from 1, not {loops!r}")


def _parse_flow(flow: str, agents: list[Agent]) -> tuple[Step, ...]:
    """Reads ``"A, B -> C"``: the steps stand between arrows, the names of a step's agents between commas.

    Raises:
        ConfigurationError: A step is empty, or names an agent that there is not, or one twice.
    """
    if not flow.strip():
        raise ConfigurationError("the flow is empty: name agents, as in 'A, B -> C'")
    by_name = {agent.agent_name: agent for agent in agents}
    return tuple(
        _parse_step(step, f"step {n} of the flow {flow!r}", by_name) for n, step in enumerate(flow.split("->"), 1)
    )


def _parse_step(step: str, where: str, by_name: Mapping[str, Agent]) -> Step:
    names = [name.strip() for name in step.split(",")]
    if not all(names):
        raise ConfigurationError(f"{where} is empty" if len(names) == 1 else f"{where} has a comma without a name")
    for name in names:
        if name not in by_name:
            nearest = difflib.get_close_matches(name, by_name, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"the agents are {', '.join(by_name)}"
            raise ConfigurationError(f"{where} names {name!r}, which is no agent: {hint}")
        if names.count(name) > 1:
            raise ConfigurationError(f"{where} names {name!r} twice: an agent has one answer in a step")
    return tuple(by_name[name] for name in names)
