"""Answers of a wanted type: asks for it in the way that the model knows, checks, and asks again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from headrace._tools.structured import ANSWER_TOOL, InvalidAnswerError, Structured
from headrace.errors import InvalidOutputError, ProviderError, RunLimitError, StreamError
from headrace.tools import Toolbox
from headrace.types import Message, Outcome, Turn

from .client_tools import calls_for_client
from .effects import Effect, Loop, Remember, recall
from .turns import agent_turns

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from headrace.types import ModelSettings

    from .spec import AgentSpec

__all__ = ["structured_turns"]

Mode: TypeAlias = Literal["schema", "tool", "prompt"]

_MODES: Final[tuple[Mode, ...]] = ("schema", "tool", "prompt")
_REFUSED: Final = (400, 404, 415, 422, 501)
_BLAMED: Final[dict[Mode, tuple[str, ...]]] = {
    "schema": ("response_format", "json_schema", "output_format", "structured output", "schema", "grammar"),
    "tool": ("tool", "function"),
    "prompt": (),
}
_FOR_SUMMARY: Final = "Give the result of this task."

_learned: dict[tuple[str, str | None], Mode] = {}
"""The mode that a model takes, where the first one was refused."""


def structured_turns(
    spec: AgentSpec, opening: Sequence[Message], history: Sequence[Message] | None = None
) -> Loop[Outcome]:
    """The loop of an agent whose answer must have a type.

    The model is asked by its provider's schema mode; if that is refused, by a tool, and if there are none, by words. An
    answer that does not fit is sent back with what is wrong, ``output_retries`` times.

    Args:
        spec: The agent, with the type of its answer.
        opening: The messages that the run begins with: the task.
        history: Earlier messages; None for those in the agent's memory.

    Yields:
        The effects that the driver carries out.

    Returns:
        The messages of the run, its answer as JSON, and as a value.

    Raises:
        InvalidOutputError: The answer does not fit, was refused, was cut off, or there is none.
    """
    memory = spec.memory
    if history is None:
        history = (yield from recall(memory)) if memory is not None else ()
    try:
        outcome = yield from _answered(spec._replace(memory=None), tuple(opening), tuple(history))
    except (StreamError, RunLimitError):
        if memory is not None:
            # What the user said is remembered, so that the next run can answer it.
            yield Remember(memory, tuple(opening))
        raise
    if memory is not None:
        yield Remember(memory, outcome.messages)
    return outcome


def _answered(spec: AgentSpec, opening: tuple[Message, ...], history: tuple[Message, ...]) -> Loop[Outcome]:
    answer = _wanted(spec)
    earlier: tuple[Message, ...] = ()
    if spec.max_loops is None:
        whole = yield from spec.loop(spec, opening, history)
        earlier, opening = whole.messages, ({"role": "user", "content": _FOR_SUMMARY},)
        spec = spec._replace(max_loops=1, toolbox=Toolbox(()), handoffs=[], loop=agent_turns)
    problem = text = ""
    for _attempt in range(spec.output_retries + 1):
        mode, outcome, turn = yield from _asked(spec, opening, (*history, *earlier))
        text = _text_of(mode, outcome, turn)
        messages = _with_answer(outcome.messages, mode, text)
        earlier = (*earlier, *messages)
        if turn is not None and any(call.name != ANSWER_TOOL for call in calls_for_client(spec, turn)):
            return outcome  # the caller runs these calls, and goes on with another run
        if turn is not None and (error := _unusable(turn)) is not None:
            raise error
        try:
            return Outcome(text, earlier, answer.parse(text))
        except InvalidAnswerError as error:
            problem = str(error)
        correction = f"This answer cannot be used: {problem}. Give the whole answer again. {answer.instructions}"
        opening = ({"role": "user", "content": correction},)
    raise InvalidOutputError(f"the answer is not of the wanted type ({answer.name}): {problem}", "invalid", text)


def _wanted(spec: AgentSpec) -> Structured:
    return cast("Structured", spec.answer)


def _asked(
    spec: AgentSpec, opening: Sequence[Message], history: Sequence[Message]
) -> Loop[tuple[Mode, Outcome, Turn | None]]:
    """Asks in the first mode that is not refused."""
    key = (spec.settings.model, spec.settings.base_url)
    first = _learned.get(key) or ("prompt" if spec.settings.llm is not None else "schema")
    for mode in _MODES[_MODES.index(first) :]:
        try:
            outcome, turn = yield from _watched(spec.loop(_in_mode(spec, mode), opening, history))
        except ProviderError as error:
            if error.delivered or not _is_refused(error, mode):
                raise
        else:
            if mode != first:
                _learned[key] = mode
            return mode, outcome, turn
    raise AssertionError  # the last mode is never refused for itself


def _is_refused(error: ProviderError, mode: Mode) -> bool:
    """Whether a provider refused the mode, rather than the request."""
    said = f"{error} {error.body or ''}".lower()
    return error.status in _REFUSED and any(word in said for word in _BLAMED[mode])


def _in_mode(spec: AgentSpec, mode: Mode) -> AgentSpec:
    answer = _wanted(spec)
    if mode == "schema":

        def changed(settings: ModelSettings) -> ModelSettings:
            if "response_format" in settings.parameters:
                return settings
            return replace(settings, parameters={**settings.parameters, "response_format": answer.response_format})

        fallbacks = tuple(map(changed, spec.retries.fallbacks))
        return spec._replace(settings=changed(spec.settings), retries=spec.retries._replace(fallbacks=fallbacks))
    if mode == "tool":
        alone = not (spec.toolbox.schemas or spec.handoffs or spec.client_tools)
        choice = {"type": "function", "function": {"name": ANSWER_TOOL}} if alone else spec.tool_choice
        return spec._replace(client_tools=(*spec.client_tools, answer.tool), tool_choice=choice)
    return spec._replace(system_prompt="\n\n".join(filter(None, (spec.system_prompt, answer.instructions))))


def _watched(loop: Loop[Outcome]) -> Generator[Effect, Any, tuple[Outcome, Turn | None]]:
    """Runs a loop, and returns its last turn besides its outcome."""
    turn: Turn | None = None
    try:
        effect = next(loop)
        while True:
            try:
                given = yield effect
            except Exception as error:  # noqa: BLE001 - the inner loop decides
                effect = loop.throw(error)
            else:
                turn = given if isinstance(given, Turn) else turn
                effect = loop.send(given)
    except StopIteration as stop:
        return stop.value, turn
    finally:
        loop.close()


def _text_of(mode: Mode, outcome: Outcome, turn: Turn | None) -> str:
    if turn is not None:
        for call in turn.tool_calls:
            if call.name == ANSWER_TOOL:
                return call.arguments
    # A model that was given the tool may still answer with text.
    return "" if mode == "tool" and turn is not None and turn.tool_calls else outcome.final


def _with_answer(messages: Sequence[Message], mode: Mode, text: str) -> tuple[Message, ...]:
    """The messages with the answer as text, also if it came as a call: nobody will answer that call."""
    *before, last = messages
    if mode != "tool" or not last.get("tool_calls"):
        return tuple(messages)
    return (*before, {"role": "assistant", "content": text})


def _unusable(turn: Turn) -> InvalidOutputError | None:
    """The error of an answer that asking again would not help."""
    text = turn.text
    if turn.refusal:
        return InvalidOutputError(f"the model refused: {turn.refusal}", "refused", turn.refusal)
    if turn.finish_reason == "length":
        why = "the answer was cut off at the limit of tokens (max_tokens, or the model's own)"
        return InvalidOutputError(why, "cut", text)
    if turn.finish_reason == "content_filter":
        return InvalidOutputError("the answer was cut off by the provider's filter", "cut", text)
    if turn.tool_calls and not text.strip() and all(call.name != ANSWER_TOOL for call in turn.tool_calls):
        return InvalidOutputError("the run ended with tool calls, before an answer: more max_loops", "missing")
    return None
