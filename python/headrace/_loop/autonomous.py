"""The autonomous loop, in three phases (plan, execute, summary): policy only, no I/O.

The model makes a plan with ``create_plan``, reports the end of each subtask with ``subtask_done``, and ends the run
with ``complete_task`` or a plain answer. The names and parameters of these tools are the same as in swarms. Arguments
that the model writes for the user (a summary, a message) stream as text while they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace._tools.arguments import InvalidArgumentsError, parse_object
from headrace.errors import EmptyAnswerError
from headrace.events import PhaseEnd, PhaseStart
from headrace.tools import ToolResult
from headrace.types import Message, Outcome, ToolCall, Turn

from .calls import handoff_schemas, run_calls
from .effects import Loop, Sleep, emit
from .plan import PRIORITIES, Subtask, read_plan
from .turns import agent_turns, begin, take_turn, with_mcp_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .conversation import Conversation
    from .spec import AgentSpec

__all__ = ["AUTO_TOOLS", "autonomous_turns"]

SPOKEN: Final = {"complete_task": "summary", "respond_to_user": "message"}
"""The argument that is text for the user, by the name of the tool."""


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
"""The names of the loop's own tools."""


@dataclass(slots=True)
class _Progress:
    """The state of an autonomous run.

    Attributes:
        spec: The agent.
        conversation: The messages.
        reasons: Whether the model reasons without a tool.
        plan: The subtasks, in order; empty before there is a plan.
        outcome: What was reported of each subtask, by its id.
        given_up: Why a subtask was given up, by its id.
        done: Whether each subtask that has ended succeeded, by its id.
        final: The answer of the run; None while it goes on.
        last_text: What the model last wrote for the user.
        turns: How many turns there were.
        empty: The last empty answer, if there was any.
    """

    spec: AgentSpec
    conversation: Conversation
    reasons: bool
    plan: list[Subtask] = field(default_factory=list[Subtask])
    outcome: dict[str, str] = field(default_factory=dict[str, str])
    given_up: dict[str, str] = field(default_factory=dict[str, str])
    done: dict[str, bool] = field(default_factory=dict[str, bool])
    final: str | None = None
    last_text: str = ""
    turns: int = 0
    empty: EmptyAnswerError | None = None

    @property
    def answer(self) -> str:
        """The answer of the run. Without a summary: what was last said to the user, or reported of a subtask."""
        return self.final or self.last_text or next(filter(None, reversed(self.outcome.values())), "")

    def schemas(self, *names: str) -> list[Mapping[str, Any]]:
        """The schemas of the tools with these names, if they are selected. A model that reasons needs no ``think``."""
        selected = self.spec.auto.tools
        wanted = [name for name in names if selected is None or name in selected]
        return [_SCHEMAS[name] for name in wanted if not (name == "think" and self.reasons)]

    def turn(self, schemas: Sequence[Mapping[str, Any]], subtask: Subtask | None = None) -> Loop[Turn]:
        """One turn, with its tool calls. Arguments that are text for the user stream.

        It ends the run if a stop condition is met, or if the model refuses and does nothing else. An empty answer is a
        turn without tool calls, after which the loop asks again in its own words; it is not added to the conversation.
        """
        if self.turns and self.spec.loop_interval > 0:
            yield Sleep(self.spec.loop_interval)
        self.turns += 1
        try:
            turn = yield from take_turn(self.spec, self.conversation, schemas, SPOKEN)
        except EmptyAnswerError as error:
            self.empty = error.with_traceback(None)  # which would refer to this frame
            return Turn()
        if any(stop(turn.text) for stop in self.spec.stops):
            self.final = turn.text
        elif turn.refusal and not (turn.text or turn.tool_calls):
            # A model that has refused would only refuse again.
            self.final = turn.refusal
        self.last_text = turn.text or self.last_text
        self.reasons = self.reasons or bool(turn.reasoning)
        results = yield from run_calls(self.spec, turn, schemas, _OwnTools(self, subtask))
        self.conversation.add_results(results)
        yield from self.conversation.remember()
        return turn


def autonomous_turns(
    spec: AgentSpec, opening: Sequence[Message], history: Sequence[Message] | None = None
) -> Loop[Outcome]:
    """Lets the model make a plan, carry it out, and write a summary.

    If the model makes no plan within ``AutoSpec.plan_attempts`` turns, it goes on as in :func:`agent_turns`.

    Args:
        spec: The agent.
        opening: The messages that the run begins with: the task.
        history: Earlier messages; None for those in the agent's memory.

    Yields:
        The effects that the driver carries out.

    Returns:
        The messages of the run, and its answer: the summary; without one, what the model last wrote for the user, or
        reported of a subtask.

    Raises:
        EmptyAnswerError: The model never said anything, and the agent does not allow that.
    """
    spec = yield from with_mcp_tools(spec)
    progress = _Progress(spec, (yield from begin(spec, opening, history)), reasons=_reasons_natively(spec))
    yield emit(PhaseStart, "plan", agent=spec.name)
    yield from _plan(progress)
    yield emit(PhaseEnd, "plan", agent=spec.name)
    if not progress.plan and progress.final is None:
        return (yield from _without_plan(progress))
    for subtask in progress.plan:
        if progress.final is not None:
            break
        if subtask.id in progress.done:  # The model did it together with another one.
            continue
        yield emit(PhaseStart, "execute", subtask.id, agent=spec.name)
        yield from _execute(progress, subtask)
        yield emit(PhaseEnd, "execute", subtask.id, agent=spec.name)
    if progress.final is None:
        yield emit(PhaseStart, "summary", agent=spec.name)
        yield from _summarize(progress)
        yield emit(PhaseEnd, "summary", agent=spec.name)
    yield from progress.conversation.remember()
    if not progress.answer and progress.empty is not None:
        raise progress.empty
    return Outcome(progress.answer, progress.conversation.run_messages)


def _reasons_natively(spec: AgentSpec) -> bool:
    return bool({"reasoning_effort", "thinking"} & set(spec.settings.parameters))


def _plan(progress: _Progress) -> Loop[None]:
    if not progress.schemas("create_plan"):
        return
    progress.conversation.add_user("First make a plan: call create_plan with the steps that the task needs.")
    schemas = progress.schemas("create_plan", "think", "respond_to_user")
    for _attempt in range(progress.spec.auto.plan_attempts):
        turn = yield from progress.turn(schemas)
        if progress.plan or progress.final is not None:
            return
        if not turn.tool_calls:
            progress.conversation.add_user("There is no plan yet: call create_plan.")


def _without_plan(progress: _Progress) -> Loop[Outcome]:
    """The model made no plan: it works on the same conversation in a loop without phases."""
    spec = yield from with_mcp_tools(progress.spec)
    progress.conversation.add_user("Then work on the task without a plan, and answer when it is done.")
    yield from progress.conversation.remember()
    earlier = progress.conversation.run_messages
    if progress.conversation.forced and not spec.tool_choice_every_turn:
        spec = spec._replace(tool_choice=None)
    try:
        rest = yield from agent_turns(spec.with_loops(spec.auto.subtask_turns), [], progress.conversation.messages)
    except EmptyAnswerError:
        if not progress.answer:
            raise
        return Outcome(progress.answer, earlier)
    return Outcome(rest.final or progress.answer, earlier + rest.messages)


def _execute(progress: _Progress, subtask: Subtask) -> Loop[None]:
    progress.spec = yield from with_mcp_tools(progress.spec)  # a server may have changed them
    progress.conversation.add_user(
        f"Now do subtask {subtask.id}: {subtask.description}\n"
        f"When it is done, or cannot be done, call subtask_done with task_id {subtask.id!r}."
    )
    schemas = [
        *progress.spec.toolbox.schemas,
        *handoff_schemas(progress.spec),
        *progress.schemas("subtask_done", "complete_task", "think", "respond_to_user"),
    ]
    was_asked = False
    for _turn in range(progress.spec.auto.subtask_turns):
        turn = yield from progress.turn(schemas, subtask)
        if subtask.id in progress.done or progress.final is not None:
            return
        if not turn.tool_calls:
            # We ask once whether the subtask is done. A second answer without a tool call is its result.
            if was_asked:
                said = turn.text or turn.refusal
                progress.outcome[subtask.id], progress.done[subtask.id] = said, bool(said)
                if not said:
                    progress.given_up[subtask.id] = "given up: nothing was said about it"
                return
            was_asked = True
            progress.conversation.add_user(f"If subtask {subtask.id} is done, call subtask_done; else go on with it.")
    progress.given_up[subtask.id], progress.done[subtask.id] = "given up: it took too many turns", False


def _summarize(progress: _Progress) -> Loop[None]:
    done, outcome = progress.done, progress.outcome
    lines = [
        f"- {subtask.id} ({'done' if done.get(subtask.id) else 'failed'}): "
        + (outcome.get(subtask.id) or progress.given_up.get(subtask.id, ""))
        for subtask in progress.plan
    ]
    progress.conversation.add_user(
        "All subtasks have been worked on:\n" + "\n".join(lines) + "\nNow call complete_task: its summary is the "
        "answer that the user reads."
    )
    schemas = progress.schemas("complete_task", "respond_to_user")
    for _attempt in range(progress.spec.auto.summary_attempts):
        turn = yield from progress.turn(schemas)
        if progress.spec.inbox:
            # The user has sent a steering message meanwhile, so the model has to answer that first.
            progress.final = None
        elif progress.final is not None or not turn.tool_calls:
            return


@dataclass(frozen=True, slots=True)
class _OwnTools:
    """The loop's own tools, as ``run_calls`` needs them."""

    progress: _Progress
    subtask: Subtask | None

    def has(self, name: str) -> bool:
        """Whether this is the name of one of the loop's own tools, and it is selected."""
        selected = self.progress.spec.auto.tools
        return name in _SCHEMAS and (selected is None or name in selected)

    def call(self, call: ToolCall) -> ToolResult:
        """Runs a call."""
        try:
            return ToolResult(call, _run_own(self.progress, call, self.subtask))
        except InvalidArgumentsError as error:
            return ToolResult(call, f"error: {error}", error="invalid_arguments")


def _run_own(progress: _Progress, call: ToolCall, subtask: Subtask | None) -> str:
    arguments = parse_object(call.arguments, _SCHEMAS[call.name]["function"]["parameters"])
    if call.name == "create_plan":
        return _accept_plan(progress, arguments)
    if call.name == "subtask_done":
        return _accept_done(progress, arguments, subtask)
    if call.name == "complete_task":
        progress.final = progress.last_text = _summary(arguments)
        return "the task is complete"
    if call.name == "respond_to_user":
        progress.last_text = str(arguments.get("message") or progress.last_text)
    return "ok"


def _summary(arguments: Mapping[str, Any]) -> str:
    summary = arguments.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        raise InvalidArgumentsError("the summary must be a text: it is the answer that the user reads")
    return summary


def _accept_plan(progress: _Progress, arguments: Mapping[str, Any]) -> str:
    if progress.plan:
        raise InvalidArgumentsError("there is a plan already; go on with it")
    progress.plan = read_plan(arguments)
    return f"the plan is accepted; the order is {', '.join(subtask.id for subtask in progress.plan)}"


def _accept_done(progress: _Progress, arguments: Mapping[str, Any], subtask: Subtask | None) -> str:
    if subtask is None:
        raise InvalidArgumentsError("no subtask is being worked on")
    name = str(arguments.get("task_id") or subtask.id)
    if all(name != known.id for known in progress.plan):
        raise InvalidArgumentsError(f"there is no subtask {name!r}; the current one is {subtask.id!r}")
    success = arguments.get("success", True) is not False
    progress.outcome[name], progress.done[name] = str(arguments.get("summary", "")), success
    return f"subtask {name} is noted as {'done' if success else 'failed'}"
