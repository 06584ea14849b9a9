"""Answers one request with an agent or a workflow."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from headrace._concurrency.wakeups import Listener, notifier_of_running_loop
from headrace._run.observer import is_observed
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
    UnsupportedRequestError,
)
from headrace.events import Event, Reasoning
from headrace.streams import AsyncRunStream

from .notices import Exposed, notices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace import _native
    from headrace.types import ToolCall, Turn
    from headrace.workflow import AgentRearrange, AsyncWorkflowStream, ConcurrentWorkflow, SequentialWorkflow

__all__ = ["Answering", "Served"]

Served: TypeAlias = "Agent | SequentialWorkflow | ConcurrentWorkflow | AgentRearrange"
"""What can be served."""

Kind: TypeAlias = Literal["invalid", "rate_limit", "upstream", "timeout", "unavailable", "internal"]

_logger = logging.getLogger("headrace.serve")


class Answering:
    """The answer to one request.

    Args:
        served: Who answers.
        exchange: The request and its response.
        exposed: What the client is told besides text.
    """

    def __init__(self, served: Served, exchange: _native.Exchange, exposed: Exposed) -> None:
        self._served = served
        self._exchange = exchange
        self._exposed: Exposed = exposed
        self._asked: dict[str, Any] = json.loads(exchange.asked())
        self._client_tools = frozenset(str(tool["function"]["name"]) for tool in self._asked["tools"])
        self._stream: AsyncRunStream[str] | AsyncWorkflowStream[str] | None = None

    async def run(self) -> None:
        """Answers, whatever happens."""
        if not is_observed():
            await self._run()
            return
        from headrace.otel import caller_of

        with caller_of(self._exchange.trace()):
            await self._run()

    async def _run(self) -> None:
        try:
            stream = self._stream = self._started()
        except ConfigurationError as error:
            self._exchange.fail("invalid", str(error))  # the conversation cannot work
            return
        try:
            async with stream:
                await self._write(stream)
            self._finish(stream)
        except StreamClosedError:
            # The client has left, and hears nothing of this; or the server is being stopped.
            self._exchange.fail("unavailable", "the run was stopped")
        except UnsupportedRequestError as error:
            self._exchange.fail("invalid" if self._wants_more() else "internal", str(error))
        except Exception as error:  # noqa: BLE001 — each error is an answer
            self._exchange.fail(*_refusal(error))
        except BaseException:
            self._exchange.fail("unavailable", "the server is being stopped")
            raise

    def steer(self, message: str) -> None:
        """Gives the agent another message of the user, before its next turn. A workflow takes none."""
        if isinstance(self._stream, AsyncRunStream):
            self._stream.steer(message)

    def _started(self) -> AsyncRunStream[str] | AsyncWorkflowStream[str]:
        asked, messages = self._asked, self._asked["messages"]
        if isinstance(self._served, Agent):
            return self._served.arun_stream(
                messages=messages,
                llm_args=asked["parameters"] or None,
                client_tools=asked["tools"] or None,
                tool_choice=asked["tool_choice"],
            )
        if asked["tools"]:
            raise ConfigurationError("tools: a workflow cannot hand calls back to its client; ask an agent")
        # A workflow has no conversation: its agents get what the user said last.
        from headrace._conversation.given import given_conversation, words_of

        given = given_conversation(messages)
        return self._served.arun_stream(words_of(given.opening[0]) if given.opening else "")

    def _wants_more(self) -> bool:
        """Whether the client gave an agent more than messages."""
        return isinstance(self._served, Agent) and bool(self._asked["parameters"] or self._asked["tools"])

    async def _write(self, stream: AsyncRunStream[str] | AsyncWorkflowStream[str]) -> None:
        if self._exposed != "text":
            stream.with_notices()
        if isinstance(stream, AsyncRunStream) and isinstance(self._served, Agent) and _is_plain(self._served):
            await stream.relay_to(self._exchange, self._tell)
            return
        stream.with_reasoning()
        with Listener(notifier_of_running_loop(), id(self._exchange), self._exchange.arm_room) as room:
            async for item in stream:
                if isinstance(item, Reasoning):
                    self._exchange.write_reasoning(item.text)
                elif isinstance(item, Event):
                    self._tell([item])
                else:
                    self._exchange.write([item])
                # At the speed of the client.
                while (full := room.listen()) is not None:
                    await full
        # In the relay they are written as they come.
        self._exchange.write_calls(
            [(call.id or "", call.name, call.arguments) for call in self._for_client(stream.turns)]
        )

    def _tell(self, items: Iterable[object]) -> None:
        for notice in notices(items, self._exposed, self._client_tools):
            self._exchange.tell(notice)

    def _finish(self, stream: AsyncRunStream[str] | AsyncWorkflowStream[str]) -> None:
        turns = stream.turns
        for_client = self._for_client(turns)
        if not stream.text and stream.final and not for_client:
            self._exchange.write([stream.final])  # the answer is what a tool returned
        if self._exchange.is_kept:
            from headrace._conversation.given import given_conversation

            history = given_conversation(self._asked["messages"]).history
            self._exchange.keep(json.dumps([*history, *stream.messages]))
        reason = (turns[-1].finish_reason if turns else None) or "stop"
        if reason == "tool_calls" and not for_client:
            reason = "stop"  # its calls were the agent's own affair
        usage = stream.usage
        counts = (None, None, None) if usage is None else (usage.input_tokens, usage.output_tokens, usage.total_tokens)
        self._exchange.finish(reason, *counts)

    def _for_client(self, turns: tuple[Turn, ...]) -> list[ToolCall]:
        """The calls that are handed back."""
        return [call for call in turns[-1].tool_calls if call.name in self._client_tools] if turns else []


def _is_plain(agent: Agent) -> bool:
    """Whether each token of the agent is a token of a turn, and nobody is called with it."""
    return agent.max_loops != "auto" and agent.streaming_callback is None


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
