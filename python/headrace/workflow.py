"""Workflows: several agents on one task, one after the other or at the same time.

Each agent gets the task, and below it the answers so far, each under its agent's name. If an agent has answered more
than once, only its latest answer is included. So the prompt does not grow with the number of loops.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Literal, overload

from ._agent.arguments import check_type, checked_list
from ._agent.config import check_task
from ._conversation.output import check_output_type, format_output
from ._workflow.run import WorkflowRun
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
    """What all workflows have in common. They differ only in their steps.

    A workflow may have any number of runs at the same time. They share only its configuration, which each run reads
    when it starts.
    """

    def __init__(
        self,
        agents: Iterable[Agent],
        name: str,
        description: str | None,
        max_loops: int,
        on_error: Literal["cancel", "continue"],
        output_type: str,
        turn_separator: str,
    ) -> None:
        self.agents: list[Agent] = list(checked_list("agents", agents, "agents"))
        self.name = name
        self.description = description
        self.max_loops = max_loops
        self.on_error = on_error
        self.output_type = output_type
        self.turn_separator = turn_separator

    def run(self, task: str) -> Any:
        """Runs a task and waits for its end. Prints nothing.

        Args:
            task: What the user wants.

        Returns:
            The answers, in the form that ``output_type`` names.

        Raises:
            StreamError: An agent's run did not end complete. With ``on_error="continue"``: no agent's run did.
            ConfigurationError: The task, an agent or the workflow is configured in a way that cannot work.
        """
        with self.run_stream(task) as stream:
            deque(stream, maxlen=0)
        return self._output(stream)

    async def arun(self, task: str) -> Any:
        """Runs a task on the running event loop and returns what :meth:`run` returns."""
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
            with_events: Yield events (``headrace.events``) instead of tokens. These are the events of the agents'
                own streams, with one numbering for all. ``AgentStart`` and ``AgentEnd`` (or ``AgentFailed``) replace
                the ``RunStart`` and ``RunEnd`` of each agent; the workflow has one ``RunStart`` and one ``RunEnd``.

        Returns:
            An iterator of tokens (or events). It has the properties ``outputs``, ``errors``, ``text``, ``usage`` and
            ``state``, and can be closed.

        Raises:
            ConfigurationError: The task or the workflow is configured in a way that cannot work.
        """
        return WorkflowStream(self._new_run(task, events=with_events))

    @overload
    def arun_stream(self, task: str, *, with_events: Literal[False] = ...) -> AsyncWorkflowStream[str]: ...
    @overload
    def arun_stream(self, task: str, *, with_events: Literal[True]) -> AsyncWorkflowStream[Event]: ...
    @overload
    def arun_stream(self, task: str, *, with_events: bool) -> AsyncWorkflowStream[str] | AsyncWorkflowStream[Event]: ...
    def arun_stream(self, task: str, *, with_events: bool = False) -> AsyncWorkflowStream[Any]:
        """Runs a task and streams the agents' tokens to ``async for``.

        Arguments and errors are those of :meth:`run_stream`.
        """
        return AsyncWorkflowStream(self._new_run(task, events=with_events))

    def __repr__(self) -> str:
        agents = ", ".join(agent.agent_name for agent in self.agents)
        return f"{type(self).__name__}(name={self.name!r}, agents=[{agents}], max_loops={self.max_loops!r})"

    @abstractmethod
    def _steps(self) -> tuple[Step, ...]:
        """The steps, in order."""

    def _checked_steps(self) -> tuple[Step, ...]:
        """Checks the configuration, and returns the steps."""
        _check_agents(self.agents)
        _check_loops(self.max_loops)
        if self.on_error not in {"cancel", "continue"}:
            raise ConfigurationError(f"on_error must be 'cancel' or 'continue', not {self.on_error!r}")
        check_type("turn_separator", self.turn_separator, str, "a string")
        if self.output_type != "outputs":
            check_output_type(self.output_type)
        return self._steps()

    def _new_run(self, task: str, *, events: bool) -> WorkflowRun:
        check_task(task)
        steps = self._checked_steps()
        stop = self.on_error == "cancel"
        return WorkflowRun(
            self.name,
            task,
            steps,
            max_loops=self.max_loops,
            stop_on_error=stop,
            events=events,
            separator=self.turn_separator,
        )

    def _output(self, stream: WorkflowStream[Any] | AsyncWorkflowStream[Any]) -> Any:
        if self.output_type == "outputs":
            return stream.outputs
        return format_output(self.output_type, stream.messages, stream.final)


class SequentialWorkflow(_Workflow):
    """Runs agents one after the other. Each gets the task and the answers of the agents before it.

    Args:
        agents: The agents, in order. Each must have its own name.
        name: The workflow's name.
        description: What the workflow is for.
        max_loops: How many times all agents run. In later loops, the agents also get the answers of the loop before.
        on_error: What happens if an agent fails. ``"cancel"``: the run ends with its error. ``"continue"``: the next
            agents run without its answer, and the run fails only if no agent has answered.
        output_type: What ``run`` returns. ``"final"``: the last agent's answer. ``"outputs"``: a dict of all agents'
            latest answers by name. The other values are those of ``Agent``, with the agents' names as roles.
        turn_separator: The token that is yielded between the texts of two steps, or ``""`` for none. Agents of one step
            speak at the same time, and are not separated.

    Raises:
        ConfigurationError: A value cannot work.

    Example:
        >>> def make(name):
        ...     return Agent(agent_name=name, model_name="openai/sim", llm_base_url=simulator.base_url)
        >>> SequentialWorkflow(agents=[make("Writer"), make("Editor")], output_type="outputs").run("Greet me.")
        {'Writer': 'Hello, world.', 'Editor': 'Hello, world.'}
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
        turn_separator: str = "\n\n",
    ) -> None:
        super().__init__(agents, name, description, max_loops, on_error, output_type, turn_separator)
        self._checked_steps()

    def _steps(self) -> tuple[Step, ...]:
        return tuple((agent,) for agent in self.agents)


class ConcurrentWorkflow(_Workflow):
    """Runs agents at the same time. Each gets the task.

    Args:
        agents: The agents. Each must have its own name.
        name: The workflow's name.
        description: What the workflow is for.
        max_loops: How many times all agents run. In later loops, each agent also gets all answers of the loop before.
        on_error: What happens if an agent fails. ``"cancel"``: the others are cancelled, and the run ends with its
            error. ``"continue"``: the others go on, and the run fails only if no agent has answered.
        output_type: What ``run`` returns. ``"outputs"``: a dict of the agents' answers by name, in the order of
            ``agents``. ``"final"``: the same as one text. The other values are those of ``Agent``, with the agents'
            names as roles.
        turn_separator: The token that is yielded between the texts of two steps, or ``""`` for none. Agents of one step
            speak at the same time, and are not separated.

    Raises:
        ConfigurationError: A value cannot work.

    Example:
        >>> def make(name):
        ...     return Agent(agent_name=name, model_name="openai/sim", llm_base_url=simulator.base_url)
        >>> stream = ConcurrentWorkflow(agents=[make("Poet"), make("Engineer")]).run_stream("Greet me.")
        >>> sorted(stream)
        [', ', ', ', 'Hello', 'Hello', 'world.', 'world.']
        >>> stream.outputs
        {'Poet': 'Hello, world.', 'Engineer': 'Hello, world.'}
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
        turn_separator: str = "\n\n",
    ) -> None:
        super().__init__(agents, name, description, max_loops, on_error, output_type, turn_separator)
        self._checked_steps()

    def _steps(self) -> tuple[Step, ...]:
        return (tuple(self.agents),)


class AgentRearrange(_Workflow):
    """Runs agents in the order of a flow: ``"A, B -> C"`` runs A and B at the same time, and then C.

    Each agent gets the task and the answers of the steps before. An agent may be in several steps; one that is in no
    step does not run.

    Args:
        agents: The agents. Each must have its own name.
        flow: The steps, separated by ``->``. A step is one or more agents' names, separated by commas.
        name: The workflow's name.
        description: What the workflow is for.
        max_loops: How many times the flow is repeated. In later loops, the agents also get the answers of the loop
            before.
        on_error: What happens if an agent fails. ``"cancel"``: the other agents of its step are cancelled, and the run
            ends with its error. ``"continue"``: the flow goes on without its answer, and the run fails only if no
            agent has answered.
        output_type: What ``run`` returns. ``"final"``: the answer of the last step; if it has several agents, their
            answers under their names. ``"outputs"``: a dict of all agents' latest answers by name. The other values
            are those of ``Agent``, with the agents' names as roles.
        turn_separator: The token that is yielded between the texts of two steps, or ``""`` for none. Agents of one step
            speak at the same time, and are not separated.

    Raises:
        ConfigurationError: A value cannot work. If the flow has an unknown name, the message suggests the nearest.

    Example:
        >>> def make(name):
        ...     return Agent(agent_name=name, model_name="openai/sim", llm_base_url=simulator.base_url)
        >>> agents = [make("Poet"), make("Engineer"), make("Editor")]
        >>> AgentRearrange(agents=agents, flow="Poet, Engineer -> Editor").run("Greet me.")
        'Hello, world.'
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
        turn_separator: str = "\n\n",
    ) -> None:
        super().__init__(agents, name, description, max_loops, on_error, output_type, turn_separator)
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
    """Parses a flow such as ``"A, B -> C"``.

    Raises:
        ConfigurationError: A step is empty, has an unknown name, or has a name twice.
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
            raise ConfigurationError(f"{where} names {name!r} twice: an agent can run only once in a step")
    return tuple(by_name[name] for name in names)
