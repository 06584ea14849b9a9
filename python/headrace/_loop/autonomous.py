"""The autonomous cycle, plan → execute → summary: policy only, no I/O.

The model plans with ``create_plan``, says of each subtask when it is done with ``subtask_done``, and ends with
``complete_task`` or a plain answer. The names and fields of these tools are those of swarms. What the model writes for
the user inside of them (a summary, a message) streams as text while the arguments arrive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace._tools.arguments import InvalidArgumentsError, parse_object
from headrace.events import PhaseEnd, PhaseStart
from headrace.tools import ToolResult
from headrace.types import Message, Outcome, ToolCall, Turn

from .calls import handoff_schemas, run_calls
from .effects import Loop, Sleep, emit
from .plan import PRIORITIES, Subtask, read_plan
from .turns import agent_turns, begin, connected, take_turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .conversation import Conversation
    from .spec import AgentSpec

__all__ = ["AUTO_TOOLS", "autonomous_turns"]

SPOKEN: Final = {"complete_task": "summary", "respond_to_user": "message"}
"""What is text for the user inside a tool call."""


def _schema(name: str, description: str, required: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {**required, **optional}, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


_TEXT: Final = {"type": "string"}
_STEP: Final = {
    "type": "object",
    "properties": {
        "step_id": {"type": "string", "description": "A short unique name."},
        "description": {"type": "string", "description": "What is to be done."},
        "priority": {"type": "string", "enum": list(reversed(PRIORITIES))},
        "dependencies": {"type": "array", "items": _TEXT, "description": "step_ids that must be done before."},
    },
    "required": ["step_id", "description", "priority", "dependencies"],
}
_SCHEMAS: Final = {
    "create_plan": _schema(
        "create_plan",
        "Break the task into steps. Call this once, before anything else.",
        {"task_description": _TEXT, "steps": {"type": "array", "items": _STEP}},
        {},
    ),
    "subtask_done": _schema(
        "subtask_done",
        "Say that the current subtask is done, or that it failed.",
        {"task_id": _TEXT, "summary": _TEXT, "success": {"type": "boolean"}},
        {},
    ),
    "complete_task": _schema(
        "complete_task",
        "End the whole task. The summary is what the user reads: complete, and by itself understandable.",
        {"task_id": _TEXT, "summary": _TEXT, "success": {"type": "boolean"}},
        {"results": _TEXT, "lessons_learned": _TEXT},
    ),
    "respond_to_user": _schema(
        "respond_to_user",
        "Say something to the user while the work goes on.",
        {"message": _TEXT},
        {"message_type": {"type": "string", "enum": ["info", "question", "warning", "error", "success"]}},
    ),
    "think": _schema(
        "think",
        "Think aloud before acting. The user does not see it.",
        {"current_state": _TEXT, "analysis": _TEXT, "next_actions": {"type": "array", "items": _TEXT}},
        {"confidence": {"type": "number"}},
    ),
}
AUTO_TOOLS: Final = tuple(_SCHEMAS)
"""The names of the cycle's own tools."""


@dataclass(slots=True)
class _Cycle:
    """Where an autonomous run stands."""

    spec: AgentSpec
    conversation: Conversation
    reasons: bool
    plan: list[Subtask] = field(default_factory=list[Subtask])
    outcome: dict[str, str] = field(default_factory=dict[str, str])
    done: dict[str, bool] = field(default_factory=dict[str, bool])
    final: str | None = None
    last_said: str = ""
    turns: int = 0

    @property
    def answer(self) -> str:
        """What the run comes to: where no summary could be read, what was last said to the user, or of a subtask."""
        return self.final or self.last_said or next(filter(None, reversed(self.outcome.values())), "")

    def schemas(self, *names: str) -> list[Mapping[str, Any]]:
        """The cycle's tools of those names that are selected. A model that reasons by itself needs no ``think``."""
        selected = self.spec.auto.tools
        wanted = [name for name in names if selected is None or name in selected]
        return [_SCHEMAS[name] for name in wanted if not (name == "think" and self.reasons)]

    def turn(self, schemas: Sequence[Mapping[str, Any]], subtask: Subtask | None = None) -> Loop[Turn]:
        """A turn whose spoken arguments stream, and what it calls.

        It is the last if a stop condition is met, or if all it says is a refusal.
        """
        if self.turns and self.spec.loop_interval > 0:
            yield Sleep(self.spec.loop_interval)
        self.turns += 1
        turn = yield from take_turn(self.spec, self.conversation, schemas, SPOKEN)
        if any(stop(turn.text) for stop in self.spec.stops):
            self.final = turn.text
        elif turn.refusal and not (turn.text or turn.tool_calls):
            # To ask a model again that has refused only makes it refuse again.
            self.final = turn.refusal
        self.last_said = turn.text or self.last_said
        self.reasons = self.reasons or bool(turn.reasoning)
        results = yield from run_calls(self.spec, turn, schemas, _OwnTools(self, subtask))
        self.conversation.add_results(results)
        yield from self.conversation.remember()
        return turn


def autonomous_turns(spec: AgentSpec, opening: Sequence[Message]) -> Loop[Outcome]:
    """Lets the model plan, do what it planned, and sum up.

    A model that makes no plan within ``AutoSpec.plan_attempts`` turns is let go on in a plain loop.

    Args:
        spec: The agent.
        opening: The messages that the run begins with: the task.

    Yields:
        The effects that the driver carries out.

    Returns:
        What was said, and the summary; where none could be read, what was last said, or noted of a subtask.
    """
    spec = yield from connected(spec)
    cycle = _Cycle(spec, (yield from begin(spec, opening)), reasons=_reasons_natively(spec))
    yield emit(PhaseStart, "plan", agent=spec.name)
    yield from _plan(cycle)
    yield emit(PhaseEnd, "plan", agent=spec.name)
    if not cycle.plan and cycle.final is None:
        return (yield from _without_plan(cycle))
    for subtask in cycle.plan:
        if cycle.final is not None:
            break
        if subtask.id in cycle.done:  # the model did it along with another
            continue
        yield emit(PhaseStart, "execute", subtask.id, agent=spec.name)
        yield from _execute(cycle, subtask)
        yield emit(PhaseEnd, "execute", subtask.id, agent=spec.name)
    if cycle.final is None:
        yield emit(PhaseStart, "summary", agent=spec.name)
        yield from _sum_up(cycle)
        yield emit(PhaseEnd, "summary", agent=spec.name)
    yield from cycle.conversation.remember()
    return Outcome(cycle.answer, cycle.conversation.said)


def _reasons_natively(spec: AgentSpec) -> bool:
    return bool({"reasoning_effort", "thinking"} & set(spec.settings.parameters))


def _plan(cycle: _Cycle) -> Loop[None]:
    if not cycle.schemas("create_plan"):
        return
    cycle.conversation.add_user("First make a plan: call create_plan with the steps that the task needs.")
    schemas = cycle.schemas("create_plan", "think", "respond_to_user")
    for _attempt in range(cycle.spec.auto.plan_attempts):
        turn = yield from cycle.turn(schemas)
        if cycle.plan or cycle.final is not None:
            return
        if not turn.tool_calls:
            cycle.conversation.add_user("There is no plan yet: call create_plan.")


def _without_plan(cycle: _Cycle) -> Loop[Outcome]:
    """The model will not plan. It has the conversation, so it is let work on the task as it likes."""
    spec = cycle.spec
    cycle.conversation.add_user("Then work on the task without a plan, and answer when it is done.")
    yield from cycle.conversation.remember()
    said = cycle.conversation.said
    rest = yield from agent_turns(spec.with_loops(spec.auto.subtask_turns), [], cycle.conversation.messages)
    return Outcome(rest.final or cycle.answer, said + rest.messages)


def _execute(cycle: _Cycle, subtask: Subtask) -> Loop[None]:
    cycle.conversation.add_user(
        f"Now do subtask {subtask.id}: {subtask.description}\n"
        f"When it is done, or cannot be done, call subtask_done with task_id {subtask.id!r}."
    )
    schemas = [
        *cycle.spec.toolbox.schemas,
        *handoff_schemas(cycle.spec),
        *cycle.schemas("subtask_done", "complete_task", "think", "respond_to_user"),
    ]
    silent = False
    for _turn in range(cycle.spec.auto.subtask_turns):
        turn = yield from cycle.turn(schemas, subtask)
        if subtask.id in cycle.done or cycle.final is not None:
            return
        if not turn.tool_calls:
            # An answer without a call is the subtask's result, if the model says nothing else when asked once.
            if silent:
                cycle.outcome[subtask.id], cycle.done[subtask.id] = turn.text, True
                return
            silent = True
            cycle.conversation.add_user(f"If subtask {subtask.id} is done, call subtask_done; else go on with it.")
    cycle.outcome[subtask.id], cycle.done[subtask.id] = "given up: it took too many turns", False


def _sum_up(cycle: _Cycle) -> Loop[None]:
    lines = [
        f"- {subtask.id} ({'done' if cycle.done.get(subtask.id) else 'failed'}): {cycle.outcome.get(subtask.id, '')}"
        for subtask in cycle.plan
    ]
    cycle.conversation.add_user(
        "All subtasks have been worked on:\n" + "\n".join(lines) + "\nNow call complete_task: its summary is the "
        "answer that the user reads."
    )
    schemas = cycle.schemas("complete_task", "respond_to_user")
    for _attempt in range(cycle.spec.auto.summary_attempts):
        turn = yield from cycle.turn(schemas)
        if cycle.spec.inbox:
            # The user has said something meanwhile, and wants it heard.
            cycle.final = None
        elif cycle.final is not None or not turn.tool_calls:
            return


@dataclass(frozen=True, slots=True)
class _OwnTools:
    """The cycle's own tools, as ``run_calls`` wants them."""

    cycle: _Cycle
    subtask: Subtask | None

    def has(self, name: str) -> bool:
        """Whether a tool of that name is the cycle's, and selected."""
        selected = self.cycle.spec.auto.tools
        return name in _SCHEMAS and (selected is None or name in selected)

    def call(self, call: ToolCall) -> ToolResult:
        """Carries a call out."""
        try:
            return ToolResult(call, _answer_own(self.cycle, call, self.subtask))
        except InvalidArgumentsError as error:
            return ToolResult(call, f"error: {error}", error="invalid_arguments")


def _answer_own(cycle: _Cycle, call: ToolCall, subtask: Subtask | None) -> str:
    if call.name == "create_plan":
        return _accept_plan(cycle, call.arguments)
    arguments = parse_object(call.arguments)
    if call.name == "subtask_done":
        return _accept_done(cycle, arguments, subtask)
    if call.name == "complete_task":
        cycle.final = cycle.last_said = _summary(arguments)
        return "the task is complete"
    if call.name == "respond_to_user":
        cycle.last_said = str(arguments.get("message") or cycle.last_said)
    return "ok"


def _summary(arguments: Mapping[str, Any]) -> str:
    summary = arguments.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        raise InvalidArgumentsError("the summary must be a text: it is the answer that the user reads")
    return summary


def _accept_plan(cycle: _Cycle, arguments: str) -> str:
    if cycle.plan:
        raise InvalidArgumentsError("there is a plan already; go on with it")
    cycle.plan = read_plan(arguments)
    return f"the plan is accepted; the order is {', '.join(subtask.id for subtask in cycle.plan)}"


def _accept_done(cycle: _Cycle, arguments: Mapping[str, Any], subtask: Subtask | None) -> str:
    if subtask is None:
        raise InvalidArgumentsError("no subtask is being worked on")
    name = str(arguments.get("task_id") or subtask.id)
    if all(name != known.id for known in cycle.plan):
        raise InvalidArgumentsError(f"there is no subtask {name!r}; the current one is {subtask.id!r}")
    success = arguments.get("success", True) is not False
    cycle.outcome[name], cycle.done[name] = str(arguments.get("summary", "")), success
    return f"subtask {name} is noted as {'done' if success else 'failed'}"
