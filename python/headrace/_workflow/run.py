"""One run of a workflow: the object that the driver and the caller's stream share.

A workflow is a sequence of steps, and a step is one agent or several that run at the same time. The kinds of workflow
differ only in their steps.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from headrace._run.output import Output
from headrace._run.read import View
from headrace._run.state import RunState, end_state
from headrace._run.turn_log import total_cost, total_usage
from headrace.events import AgentEnd, AgentFailed, AgentStart, RunEnd, RunStart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from headrace._run.read import Item
    from headrace.agent import Agent
    from headrace.streams import AsyncRunStream, RunStream
    from headrace.types import Message, Timing, Turn, Usage

__all__ = ["Batch", "Ended", "Member", "Step", "WorkflowRun"]

Step: TypeAlias = "tuple[Agent, ...]"
"""The agents of a step, which run at the same time."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a member's run. It is the last item that a reader returns for the member.

    Attributes:
        state: The end state; see ``RunStream.state``.
        error: The error, if there was one.
    """

    state: str
    error: BaseException | None = None

    @classmethod
    def with_error(cls, error: BaseException) -> Ended:
        """The end of a run that raised an error."""
        return cls(end_state(error), error)


class Member:
    """One agent in a step of a workflow's run.

    Args:
        agent: The agent.
        task: Its task.

    Attributes:
        stream: The stream of its run; None before it starts.
        ended: How its run ended; None until the caller has seen everything that came before.
    """

    def __init__(self, agent: Agent, task: str) -> None:
        self.agent = agent
        # A copy, because an agent's attributes may change while it runs.
        self.name = agent.agent_name
        self.task = task
        self.stream: RunStream[Any] | AsyncRunStream[Any] | None = None
        self.ended: Ended | None = None

    @property
    def answer(self) -> str | None:
        """Its answer; None if it failed or has not ended yet."""
        if self.stream is None or self.ended is None or self.ended.state != "complete":
            return None
        return self.stream.final


Batch: TypeAlias = "Sequence[tuple[Member, Item | Ended]]"
"""What a reader returns: items, each with its member. The items of a member are in order, its end is the last one."""


class StepReader(Protocol):
    """Reads the members of a step."""

    def close(self) -> None:
        """Closes the streams of all members, and ends the wait of ``take``."""


class WorkflowRun:
    """One run of a workflow.

    Args:
        name: The workflow's name.
        task: What the user wants.
        steps: The steps, in order.
        max_loops: How many times the steps are repeated.
        stop_on_error: Whether an agent that fails ends the run.
        events: Whether the caller wants events instead of tokens.
        separator: The token between the texts of two steps; empty for none.

    Attributes:
        status: The run's state.
        output: What it yields to the caller.
        reader: The reader of the current step.
        errors: The errors of the agents that failed, by name.
    """

    def __init__(
        self,
        name: str,
        task: str,
        steps: Sequence[Step],
        *,
        max_loops: int,
        stop_on_error: bool,
        events: bool,
        separator: str,
    ) -> None:
        self.status = RunState()
        self.reader: StepReader | None = None
        self.errors: dict[str, BaseException] = {}
        self.stop_on_error = stop_on_error
        self.output = Output(View(events=events, separator=separator))
        self._name = name
        self._task = task
        self._plan = steps
        self._max_loops = max_loops
        self._begun_steps: list[list[Member]] = []
        self._last_step_said = 0  # the number of the step whose text was yielded last; 0 before the first
        self._error: BaseException | None = None
        self._tool_time = 0.0

    # --- for the caller's stream -------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The state; see ``WorkflowStream.state``."""
        return self.status.name

    @property
    def text(self) -> str:
        """The text of all agents, sorted by agent, with separators."""
        return self.output.separator.join(filter(None, (stream.text for stream in self._streams)))

    @property
    def outputs(self) -> dict[str, str]:
        """The latest answer of each agent by name, the latest last; within a step in the order of its agents."""
        outputs: dict[str, str] = {}
        for member in self._members:
            if member.ended is not None:
                # Removed even if the agent failed this time: the old answer belongs to an older task.
                outputs.pop(member.name, None)
            if member.answer is not None:
                outputs[member.name] = member.answer
        return outputs

    @property
    def final(self) -> str:
        """The answer of the last step: of its agent, or of its agents, each under its name."""
        for step in reversed(self._begun_steps):
            answers = {member.name: member.answer for member in step if member.answer is not None}
            if answers:
                return attributed(answers) if len(step) > 1 else next(iter(answers.values()))
        return ""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The task and all answers, with the agents' names as roles."""
        answers = [(member.name, member.answer) for member in self._members if member.answer is not None]
        return tuple({"role": role, "content": content} for role, content in [("user", self._task), *answers])

    @property
    def usage(self) -> Usage | None:
        """The usage of all agents together; None if none is known."""
        return total_usage(stream.usage for stream in self._streams)

    @property
    def cost(self) -> float | None:
        """The cost of all agents together in USD; None if the cost of any agent is not known."""
        return total_cost(stream.cost for stream in self._streams)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, agent after agent."""
        return tuple(turn for stream in self._streams for turn in stream.turns)

    @property
    def timings(self) -> tuple[Timing, ...]:
        """The timing of each turn, agent after agent."""
        return tuple(timing for stream in self._streams for timing in stream.timings)

    @property
    def _members(self) -> list[Member]:
        return [member for step in self._begun_steps for member in step]

    @property
    def _streams(self) -> list[RunStream[Any] | AsyncRunStream[Any]]:
        return [member.stream for member in self._members if member.stream is not None]

    def read_cancelled(self) -> None:
        """Nothing to do: its driver is what a read awaits, and that has ended the run."""

    def read_again(self) -> None:
        """Nothing to do; see :meth:`read_cancelled`."""

    def check_open(self) -> None:
        """Raises ``StreamClosedError`` if the stream was closed."""
        self.status.check_open()

    def close(self) -> None:
        """Closes the streams of all agents. Does nothing to a run that has ended."""
        self.status.close()
        # `begin_reading` sets the reader before it checks for this, so either it raises, or we close the reader here.
        if self.reader is not None:
            self.reader.close()

    # --- for the drivers ---------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.status.begin()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.status.end(error)

    def steps(self) -> Iterator[list[Member]]:
        """Yields the members of each step. A step must have ended before the next one is taken."""
        for _ in range(self._max_loops):
            for agents in self._plan:
                if self._error is not None and self.stop_on_error:
                    return
                task = prompt(self._task, self.outputs)
                members = [Member(agent, task) for agent in agents]
                self._begun_steps.append(members)
                yield members

    def begin_reading(self, reader: StepReader) -> None:
        """Sets the reader of the current step, so that :meth:`close` can close it."""
        self.reader = reader
        self.status.check_open()

    def items_of(self, batch: Batch) -> Iterator[Item]:
        """Yields what the caller wants to see of a batch."""
        for member, item in batch:
            # For each item, because the caller may close the stream between two of them.
            self.status.check_open()
            if isinstance(item, str):
                if self._last_step_said != len(self._begun_steps):
                    yield from self._separator()
                yield item
            elif isinstance(item, Ended):
                yield from self._member_ended(member, item)
            elif isinstance(item, RunEnd):
                self._tool_time += item.tool_time
            elif not isinstance(item, RunStart):
                yield self.output.renumbered(item)

    def _separator(self) -> list[Item]:
        """A step says its first token. Agents of one step speak at the same time, so nothing separates these."""
        is_first, self._last_step_said = not self._last_step_said, len(self._begun_steps)
        return [] if is_first or not self.output.separator else [self.output.separator]

    @property
    def _final_error(self) -> BaseException | None:
        """The error that the run ends with: the first one, if errors end the run or if no agent has answered."""
        return self._error if self.stop_on_error or not self.outputs else None

    # --- events ------------------------------------------------------------------------------------------------

    def begun(self) -> list[Item]:
        """The run begins. Returns the items to yield, as the methods below do."""
        return self.output.event(partial(RunStart, self._task, agent=self._name))

    def step_begun(self, members: Sequence[Member]) -> list[Item]:
        """The members of a step begin."""
        return [item for member in members for item in self.output.event(partial(AgentStart, agent=member.name))]

    def ended(self) -> list[Item]:
        """The run has ended."""
        self.status.error = self._final_error
        self.status.end(self._final_error)
        if not self.output.wants_events:
            return []
        counts = (self.text, self.usage, self.cost, len(self.turns), self.status.seconds, self._tool_time)
        return self.output.event(partial(RunEnd, self.state, *counts, agent=self._name))

    def _member_ended(self, member: Member, ended: Ended) -> list[Item]:
        member.ended = ended
        if ended.error is not None:
            self.errors[member.name] = ended.error
            if isinstance(ended.error, (SystemExit, KeyboardInterrupt)):
                raise ended.error  # whatever the workflow does with errors
            self._error = self._error or ended.error
            if sys.version_info >= (3, 11):
                ended.error.add_note(f"This is from the agent {member.name!r} of the workflow {self._name!r}.")
        if member.answer is not None:
            return self.output.event(partial(AgentEnd, member.answer, agent=member.name))
        return self.output.event(partial(AgentFailed, ended.state, str(ended.error or ""), agent=member.name))


def prompt(task: str, outputs: Mapping[str, str]) -> str:
    """The task of an agent: the workflow's task, and the answers so far, each under its agent's name."""
    return f"{task}\n\nWhat the agents have said so far:\n\n{attributed(outputs)}" if outputs else task


def attributed(outputs: Mapping[str, str]) -> str:
    """Several answers as one text, each under its agent's name."""
    return "\n\n".join(f"[{name}]\n{output}" for name, output in outputs.items())
