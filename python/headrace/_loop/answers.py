"""What an answer is: one that says nothing is an error, and one that was paused goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.errors import EmptyAnswerError

if TYPE_CHECKING:
    from headrace.types import Turn

__all__ = ["empty_answer", "is_empty", "is_paused", "joined"]


def is_empty(turn: Turn) -> bool:
    """Whether a turn says nothing to the user and calls no tool. A paused one may: it goes on."""
    return not (turn.text.strip() or turn.refusal or turn.tool_calls or is_paused(turn))


def is_paused(turn: Turn) -> bool:
    """Whether the provider paused the answer, and goes on with it when it is asked again.

    Anthropic does so where its own tools take long:
    https://docs.anthropic.com/en/api/handling-stop-reasons#pause-turn.
    """
    return turn.finish_reason_raw == "pause_turn"


def joined(paused: Turn, turn: Turn) -> Turn:
    """A paused answer and its continuation, as one answer."""
    return replace(
        turn,
        text=paused.text + turn.text,
        reasoning=paused.reasoning + turn.reasoning,
        tool_calls=paused.tool_calls + turn.tool_calls,
        thoughts=paused.thoughts + turn.thoughts,
    )


def empty_answer(turn: Turn, model: str, limit: object = None) -> EmptyAnswerError:
    """The error for an answer that is empty.

    Args:
        turn: The answer.
        model: The model that was asked.
        limit: The agent's ``max_tokens``, if it is set.
    """
    reasoned = " It has only reasoned." if turn.reasoning else ""
    if turn.finish_reason == "length":
        most = f" of {limit} tokens" if limit else ""
        why = f"it reached its output limit{most} before it said anything.{reasoned} Raise max_tokens, or reason less"
    else:
        why = (
            f"no text and no tool call (finish reason {turn.finish_reason_raw!r}).{reasoned} Ask again (retry_attempts)"
        )
    message = f"{model} gave an empty answer: {why}. Agent(allow_empty=True) takes an empty answer for an answer."
    error = EmptyAnswerError(message, model=model)
    error.delivered = bool(turn.text)
    return error
