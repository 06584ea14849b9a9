"""What a provider left out of a turn: the ids of its tool calls, and its token counts."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from headrace._conversation.trimming import estimate_tokens
from headrace.types import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.types import Message, Turn

__all__ = ["completed"]


def completed(turn: Turn, asked: Sequence[Message]) -> Turn:
    """A turn that has ended, with what its provider left out.

    Args:
        turn: What the model said.
        asked: The messages that it was sent.
    """
    return _with_usage(_with_call_ids(turn), asked)


def _with_call_ids(turn: Turn) -> Turn:
    """Tool results name the call that they answer, so a call without an id is given one, as OpenAI makes them."""
    if all(call.id for call in turn.tool_calls):
        return turn
    calls = (
        call if call.id else dataclasses.replace(call, id=f"call_{os.urandom(12).hex()}") for call in turn.tool_calls
    )
    return turn.with_calls(tuple(calls))


def _with_usage(turn: Turn, asked: Sequence[Message]) -> Turn:
    """Where the provider told no usage, it is estimated, and says so."""
    if turn.usage is not None:
        return turn
    said = [turn.text, turn.refusal, turn.reasoning, *(call.name + call.arguments for call in turn.tool_calls)]
    came_in, came_out = sum(map(estimate_tokens, asked)), estimate_tokens({"content": "".join(said)})
    return dataclasses.replace(turn, usage=Usage(came_in, came_out, came_in + came_out, estimated=True))
