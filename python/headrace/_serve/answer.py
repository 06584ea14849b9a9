"""Answers one request with an agent or a workflow."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from headrace._concurrency.wakeups import Listener, notifier_of_running_loop
from headrace.agent import Agent
from headrace.errors import (
    BadRequestError,
    ConfigurationError,
    HeadraceError,
    OverloadedError,
    RateLimitError,
    StreamClosedError,
    StreamError,
    StreamTimeoutError,
)

if TYPE_CHECKING:
    from headrace import _native
    from headrace.streams import AsyncRunStream
    from headrace.workflow import AgentRearrange, AsyncWorkflowStream, ConcurrentWorkflow, SequentialWorkflow

__all__ = ["Served", "answer"]

Served: TypeAlias = "Agent | SequentialWorkflow | ConcurrentWorkflow | AgentRearrange"
"""What can be served."""

Kind: TypeAlias = Literal["invalid", "rate_limit", "upstream", "timeout", "unavailable", "internal"]

_logger = logging.getLogger("headrace.serve")


async def answer(served: Served, exchange: _native.Exchange) -> None:
    """Answers a request, whatever happens.

    Args:
        served: Who answers.
        exchange: The request and its response.
    """
    try:
        stream = _stream(served, exchange)
    except ConfigurationError as error:
        exchange.fail("invalid", str(error))  # the conversation cannot work
        return
    try:
        async with stream:
            if isinstance(served, Agent) and _is_plain(served):
                await cast("AsyncRunStream[str]", stream).relay_to(exchange)
            else:
                await _write(stream, exchange)
        if not stream.text and stream.final:
            exchange.write([stream.final])  # the answer is what a tool returned
        usage = stream.usage
        counts = (None, None, None) if usage is None else (usage.input_tokens, usage.output_tokens, usage.total_tokens)
        turns = stream.turns
        exchange.finish((turns[-1].finish_reason if turns else None) or "stop", *counts)
    except StreamClosedError:
        # The client has left, and hears nothing of this; or the server is being stopped.
        exchange.fail("unavailable", "the run was stopped")
    except Exception as error:  # noqa: BLE001 — each error is an answer
        exchange.fail(*_refusal(error))
    except BaseException:
        exchange.fail("unavailable", "the server is being stopped")
        raise


def _is_plain(agent: Agent) -> bool:
    """Whether each token of the agent is a token of a turn, and nobody is called with it."""
    return agent.max_loops != "auto" and agent.streaming_callback is None


def _stream(served: Served, exchange: _native.Exchange) -> AsyncRunStream[str] | AsyncWorkflowStream[str]:
    messages: list[dict[str, Any]] = json.loads(exchange.messages())
    if isinstance(served, Agent):
        return served.arun_stream(messages=messages, temperature=exchange.temperature)
    # A workflow has no conversation: its agents get what the user said last.
    from headrace._conversation.given import given_conversation, words_of

    given = given_conversation(messages)
    return served.arun_stream(words_of(given.opening[0]) if given.opening else "")


async def _write(stream: AsyncRunStream[str] | AsyncWorkflowStream[str], exchange: _native.Exchange) -> None:
    """Writes the tokens of a stream, at the speed of the client."""
    with Listener(notifier_of_running_loop(), id(exchange), exchange.arm_room) as room:
        async for token in stream:
            exchange.write([token])
            while (full := room.listen()) is not None:
                await full


def _refusal(error: Exception) -> tuple[Kind, str, float | None]:
    """What the client is told about an error. Errors that are no one's fault but ours are only logged in full."""
    match error:
        case RateLimitError():
            return "rate_limit", str(error), error.retry_after
        case OverloadedError():
            return "unavailable", str(error), error.retry_after
        case BadRequestError():
            return "invalid", str(error), None
        case StreamError():
            return ("timeout" if isinstance(error, StreamTimeoutError) else "upstream"), str(error), error.retry_after
        case HeadraceError():
            return "internal", str(error), None
        case _:
            _logger.error("an agent failed", exc_info=error)
            return "internal", f"the agent failed ({type(error).__name__}); the log of the server says more", None
