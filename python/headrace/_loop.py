"""The loop of an agent with a fixed number of turns: policy only, no I/O."""

from __future__ import annotations

from ._effects import Loop, OpenTurn
from .types import Message, ModelCall, ModelSettings

__all__ = ["agent_turns"]


def agent_turns(settings: ModelSettings, system_prompt: str | None, task: str) -> Loop:
    """Asks the model.

    The loop ends with the first turn that asks for no tool. Until there are tools, that is the first turn.

    Args:
        settings: The model.
        system_prompt: What the model is told before the task; None for nothing.
        task: What the user wants.

    Yields:
        The effects that the driver carries out.
    """
    messages: list[Message] = []
    if system_prompt:
        messages.append({"role": "system", "content": system_prompt})
    messages.append({"role": "user", "content": task})
    yield OpenTurn(ModelCall(settings, tuple(messages)))
