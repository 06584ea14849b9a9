"""What happens, and has happened, in one run of a workflow: the state that a driver and the caller's stream both hold.

Every workflow is a sequence of steps, each of which is one agent or several at once; the kinds of workflow differ in
nothing but the steps.
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

__all__ = ["Batch", "Ended", "Flow", "Member", "Step"]

Step: TypeAlias = "tuple[Agent, ...]"
"""Agents that run at the same time."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an agent's run, as the last of what a reader gives of it.

    Attributes:
        state: How; see ``RunStream.state``.
        error: The error that it ended with.
    """

    state: str
    error: BaseException | None = None

    @classmethod
    def by(cls, error: BaseException) -> Ended:
        """The end by an error."""
        return cls(end_state(error), error)


class Member:
    """One agent's run in a workflow.

    Args:
        agent: The agent.
        task: What it is told.

    Attributes:
        stream: What it says, once it was started.
        ended: How it ended, once the caller has been shown all that came before.
    """

    def __init__(self, agent: Agent, task: str) -> None:
        self.agent = agent
        # The name as it is now: an agent's attributes may change while it runs.
        self.name = agent.agent_name
        self.task = task
        self.stream: RunStream[Any] | AsyncRunStream[Any] | None = None
        self.ended: Ended | None = None

    @property
    def answer(self) -> str | None:
        """What it came to; None if it came to nothing, or has not yet."""
        if self.stream is None or self.ended is None or self.ended.state != "complete":
            return None
        return self.stream.final


Batch: TypeAlias = "Sequence[tuple[Member, Item | Ended]]"
"""What a reader gives: items with whose they are, each agent's in order, its end as the last of them."""


class FlowReader(Protocol):
    """What reads the agents of a step."""

    def close(self) -> None:
        """Closes the streams of all of them, and ends the reader's wait."""


class Flow:
    """One run of a workflow.

    Args:
        name: The workflow's name.
        task: What the user wants.
        steps: Who runs, in which order.
        max_loops: How many times all steps are gone through.
        stop_on_error: An agent that fails ends the run.
        events: The caller wants to see all events, and not the text alone.

    Attributes:
        status: How the run stands.
        output: What the caller gets of it.
        reader: What reads the current step.
        errors: The errors of the agents that failed, by name.
    """

    def __init__(
        self, name: str, task: str, steps: Sequence[Step], *, max_loops: int, stop_on_error: bool, events: bool
    ) -> None:
        self.status = RunState()
        self.reader: FlowReader | None = None
        self.errors: dict[str, BaseException] = {}
        self.stop_on_error = stop_on_error
        self.output = Output(View(events=events))
        self._name = name
        self._task = task
        self._plan = steps
        self._max_loops = max_loops
        self._begun: list[list[Member]] = []
        self._error: BaseException | None = None
        self._tool_time = 0.0

    # --- for the caller's stream -------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """How the run stands; see ``WorkflowStream.state``."""
        return self.status.name

    @property
    def text(self) -> str:
        """What all agents said, each agent's as a whole."""
        return "".join(stream.text for stream in self._streams)

    @property
    def outputs(self) -> dict[str, str]:
        """The newest answer of each agent, the newest last; those of one step in the order of the flow."""
        outputs: dict[str, str] = {}
        for member in self._members:
            if member.ended is not None:
                # Removed even if no new one comes: the old answer is no answer to what it was asked now.
                outputs.pop(member.name, None)
            if member.answer is not None:
                outputs[member.name] = member.answer
        return outputs

    @property
    def final(self) -> str:
        """What the last step came to: an agent's answer, or several under their names."""
        for step in reversed(self._begun):
            answers = {member.name: member.answer for member in step if member.answer is not None}
            if answers:
                return attributed(answers) if len(step) > 1 else next(iter(answers.values()))
        return ""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The task and all answers, the agents' names as roles."""
        answers = [(member.name, member.answer) for member in self._members if member.answer is not None]
        return tuple({"role": role, "content": content} for role, content in [("user", self._task), *answers])

    @property
    def usage(self) -> Usage | None:
        """The token counts of all agents together."""
        return total_usage(stream.usage for stream in self._streams)

    @property
    def cost(self) -> float | None:
        """What all agents together cost, in USD; None where that is not known of one of them."""
        return total_cost(stream.cost for stream in self._streams)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the models said in each turn, agent after agent."""
        return tuple(turn for stream in self._streams for turn in stream.turns)

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What the stamps of each turn say, agent after agent."""
        return tuple(timing for stream in self._streams for timing in stream.timings)

    @property
    def _members(self) -> list[Member]:
        return [member for step in self._begun for member in step]

    @property
    def _streams(self) -> list[RunStream[Any] | AsyncRunStream[Any]]:
        return [member.stream for member in self._members if member.stream is not None]

    def check_open(self) -> None:
        """Raises ``StreamClosedError`` if the stream was closed."""
        self.status.check_open()

    def close(self) -> None:
        """Closes the streams of all agents. Does nothing to a run that has ended."""
        self.status.close()
        # A driver sets its reader and then looks whether it was closed, so one of the two sees the other.
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
        """The steps that remain, each with what its agents are told. One is over before the next is asked for."""
        for _ in range(self._max_loops):
            for agents in self._plan:
                if self._error is not None and self.stop_on_error:
                    return
                task = prompt(self._task, self.outputs)
                members = [Member(agent, task) for agent in agents]
                self._begun.append(members)
                yield members

    def read_by(self, reader: FlowReader) -> None:
        """Notes what reads the current step, so that ``close`` reaches it."""
        self.reader = reader
        self.status.check_open()

    def shown(self, batch: Batch) -> Iterator[Item]:
        """What the caller is shown of a batch."""
        for member, item in batch:
            # For each item, since the caller may close the stream between two of them.
            self.status.check_open()
            if isinstance(item, str):
                yield item
            elif isinstance(item, Ended):
                yield from self._member_ended(member, item)
            elif isinstance(item, RunEnd):
                self._tool_time += item.tool_time
            elif not isinstance(item, RunStart):
                yield self.output.renumbered(item)

    @property
    def _fatal(self) -> BaseException | None:
        """The error that the run ends with: the first, if the others are not to go on, or if nobody has answered."""
        return self._error if self.stop_on_error or not self.outputs else None

    # --- events ------------------------------------------------------------------------------------------------

    def begun(self) -> list[Item]:
        """The run begins."""
        return self.output.event(partial(RunStart, self._task, agent=self._name))

    def step_begun(self, members: Sequence[Member]) -> list[Item]:
        """The agents of a step begin."""
        return [item for member in members for item in self.output.event(partial(AgentStart, agent=member.name))]

    def ended(self) -> list[Item]:
        """The run has ended."""
        self.status.error = self._fatal
        self.status.end(self._fatal)
        if not self.output.wants_events:
            return []
        counts = (self.text, self.usage, self.cost, len(self.turns), self.status.seconds, self._tool_time)
        return self.output.event(partial(RunEnd, self.state, *counts, agent=self._name))

    def _member_ended(self, member: Member, ended: Ended) -> list[Item]:
        member.ended = ended
        if ended.error is not None:
            self.errors[member.name] = ended.error
            self._error = self._error or ended.error
            if sys.version_info >= (3, 11):
                ended.error.add_note(f"This is from the agent {member.name!r} of the workflow {self._name!r}.")
        if member.answer is not None:
            return self.output.event(partial(AgentEnd, member.answer, agent=member.name))
        return self.output.event(partial(AgentFailed, ended.state, str(ended.error or ""), agent=member.name))


def prompt(task: str, outputs: Mapping[str, str]) -> str:
    """What an agent is told: the task, and what the agents have said so far, each under its name."""
    return f"{task}\n\nWhat the agents have said so far:\n\n{attributed(outputs)}" if outputs else task


def attributed(outputs: Mapping[str, str]) -> str:
    """Several agents' answers as one text."""
    return "\n\n".join(f"[{name}]\n{output}" for name, output in outputs.items())
