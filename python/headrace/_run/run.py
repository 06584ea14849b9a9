"""What happens, and has happened, in one run: the state that a driver and the caller's stream both hold."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.errors import StreamClosedError, StreamError
from headrace.events import (
    Event,
    Refusal,
    RunEnd,
    RunStart,
    Token,
    ToolCallRequested,
    ToolResultReturned,
    TurnEnd,
    TurnStart,
)
from headrace.types import Outcome, Timing, Turn, Usage

from .complete import completed
from .read import EventReader, Item, Reader, TextReader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from headrace import _native
    from headrace._concurrency.threads import PrivateLoop
    from headrace._loop.effects import Effect, Emit, Loop, OpenTurn, RunTools
    from headrace.tools import ToolResult
    from headrace.types import Message

    from .view import View

__all__ = ["Run"]

T = TypeVar("T")

_NS = 1e-9


class Run:
    """One run.

    Args:
        agent: The agent's name.
        task: What the user wants.
        loop: What to do.
        view: What of it the caller wants to see.
        inbox: Where messages go that the user adds while it runs.
        note: Is told, in a line, what is asked and how it went; None for nobody.

    Attributes:
        state: How the run stands; see ``RunStream.state``.
        closed: The reader has closed the stream.
        tool_time: Seconds spent waiting for tools.
    """

    def __init__(
        self,
        agent: str,
        task: str,
        loop: Loop[Outcome],
        view: View,
        inbox: list[str],
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.state = "pending"
        self.closed = False
        self.view = view
        self.inbox = inbox
        self._note = note
        self._told = view.told
        self._outcome = Outcome()
        self._agent = agent
        self._task = task
        self._loop = loop
        self._readers: list[Reader] = []
        self._turns: list[Turn] = []
        self._woken: threading.Event | None = None
        self._stop_work: Callable[[], object] | None = None
        self._private_loop: PrivateLoop | None = None
        self._batch: list[str] | list[Item] = []
        self._error: Exception | None = None
        self._events = 0
        self._tokens = 0
        self._provider: str | None = None
        self._priced: dict[int, tuple[str, str | None]] = {}
        self._stop_feeding: Callable[[], None] | None = None
        self._identity: dict[Reader, _native.ResponseDict] = {}
        self._began_ns = 0
        self.tool_time = 0.0

    # --- what has happened -------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text that was taken so far, of all turns, refusals included."""
        return "".join(reader.text for reader in self._readers)

    @property
    def final(self) -> str:
        """The answer, once the run has ended."""
        return self._outcome.final

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said in the run, once it has ended."""
        return self._outcome.messages

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the model said in each turn, the current one as far as it was taken."""
        current = self._readers[len(self._turns) :]
        return (*self._turns, *(Turn.from_native(reader.stream.response()) for reader in current))

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What the stamps of each turn say."""
        return tuple(_timing(reader) for reader in self._readers)

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns together."""
        told = [turn.usage for turn in self.turns if turn.usage is not None]
        return sum(told[1:], told[0]) if told else None

    @property
    def cost(self) -> float | None:
        """What all turns together cost, in USD; None where that is not known of one of them."""
        from headrace.models import cost

        total = 0.0
        for number, turn in enumerate(self.turns):
            model, provider = self._priced.get(number, ("", None))
            # At an endpoint that is known by its URL alone, the name tells no price; the provider itself may.
            paid = None if turn.usage is None else cost(model if provider else "", turn.usage)
            if paid is None:
                return None
            total += paid
        return total if self._turns else None

    def close(self) -> None:
        """Closes the stream and its connection. May be called from any thread, and again."""
        if self.state in {"pending", "streaming"}:
            self.closed = True
            self.state = "cancelled"
            self._batch.clear()
            if self._woken is not None:
                self._woken.set()
            if self._stop_work is not None:
                self._stop_work()
        self._let_go()

    async def wait_closed(self) -> None:
        """Waits until the connection of the closed stream is gone."""
        from headrace._concurrency.wakeups import notifier_of_running_loop

        for reader in self._readers[-1:]:
            await notifier_of_running_loop().gone(reader.stream)

    # --- for the drivers ---------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.check_open()
        self.state = "streaming"
        self._began_ns = time.monotonic_ns()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._settle(error)
        self._loop.close()
        self._let_go()

    def _settle(self, error: BaseException | None) -> None:
        """Notes how the run ended."""
        if error is None:
            self.state = "complete"
        elif isinstance(error, StreamError):
            self.state = error.state
        elif isinstance(error, Exception) and not isinstance(error, StreamClosedError):
            self.state = "failed"
        else:
            # The reader left: by closing, by breaking out of its loop, by Ctrl-C, or because its task was cancelled.
            self.state = "cancelled"

    def check_open(self) -> None:
        """Raises ``StreamClosedError`` if the stream was closed."""
        if self.closed:
            raise StreamClosedError("the stream was closed by its reader: start a new run to read more")

    def start(self) -> Effect | None:
        """The loop's first effect; None if it has none."""
        return self._next(lambda: next(self._loop))

    def send(self, result: object) -> Effect | None:
        """The loop's next effect, given the result of the last; None if there is no more."""
        self.check_open()
        return self._next(lambda: self._loop.send(result))

    def throw(self, error: Exception) -> Effect | None:
        """What the loop does about an error. None if it does nothing: ``raise_error`` raises it."""
        failed = len(self._readers) > len(self._turns)
        if isinstance(error, StreamError) and failed:
            response = self._readers[-1].stream.response()
            error.provider = error.provider or self._provider
            error.delivered = any(response[kind] for kind in ("text", "refusal", "reasoning", "tool_calls"))
        try:
            effect = self._next(lambda: self._loop.throw(error))
        except Exception as passed:  # noqa: BLE001 — raised by `raise_error`, once the caller has seen the last event
            self._error = passed
            return None
        if failed and isinstance(error, StreamError) and error.delivered:
            # The loop asks anew. What the caller has seen of this turn stays a turn of its own.
            self._turns.append(Turn.from_native(self._readers[-1].stream.response()))
        elif failed:
            # The loop tries again, and the caller has seen nothing of this attempt: it was no turn.
            self._readers.pop()
        return effect

    def raise_error(self) -> None:
        """Raises the error that the run ended with, if it did."""
        if self._error is not None:
            raise self._error

    def _next(self, step: Callable[[], Effect]) -> Effect | None:
        try:
            return step()
        except StopIteration as stop:
            self._outcome = stop.value
            return None

    def read(
        self,
        stream: _native.Stream,
        effect: OpenTurn,
        provider: str | None,
        stop: Callable[[], None] | None = None,
    ) -> Reader:
        """Reads a turn, in the way that shows the caller what it wants.

        Args:
            stream: The turn's stream.
            effect: What was asked.
            provider: Who answers.
            stop: Stops what feeds the stream, where something does.
        """
        self._provider = provider
        if self._stop_feeding is not None:
            # What feeds an attempt that was given up.
            self._stop_feeding()
        self._stop_feeding = stop
        fast = self.view.text_only and not effect.spoken
        reader = TextReader(stream) if fast else EventReader(stream, effect.agent, effect.spoken, self.show)
        self._readers.append(reader)
        return reader

    def hold(self, batch: list[str] | list[Item]) -> Sequence[Item]:
        """Keeps hold of what is about to be yielded, so that ``close`` can take it back."""
        self.check_open()
        self._batch = batch
        return batch

    @property
    def calls_back(self) -> bool:
        """Whether somebody wants to be called with each token."""
        return self.view.callback is not None or self.view.detailed is not None

    def call_back(self, item: Item) -> Item:
        """Tells the caller's callback of a token, and gives what of it the caller wants."""
        if isinstance(item, str):
            token = item
        elif isinstance(item, self._told):
            token = item.text
        else:
            return item
        if self.view.callback is not None:
            self.view.callback(token)
        if self.view.detailed is not None:
            self.view.detailed(self._details(token, item.logprobs if isinstance(item, Token | Refusal) else None))
            self._tokens += 1
        return item if self.view.events else token

    def called_back(self, batch: Sequence[Item]) -> Iterator[Item]:
        """The items of a batch, each after the callback was told of it."""
        for item in batch:
            yield self.call_back(item)

    def _details(self, token: str, logprobs: Any = None) -> dict[str, Any]:
        reader = self._readers[-1]
        if reader not in self._identity:
            # Once: it holds the whole text so far.
            self._identity[reader] = reader.stream.response()
        response = self._identity[reader]
        return {
            "token": token,
            "index": self._tokens,
            "model": response["model"],
            "id": response["id"],
            "finish_reason": None,
            "usage": None,
            "logprobs": logprobs,
            "timestamp": time.time(),
        }

    def _detail_turn(self, detailed: Callable[[dict[str, Any]], object], turn: Turn) -> None:
        """What is known of a turn once it has ended: a dict with an empty token."""
        usage = None if turn.usage is None else dataclasses.asdict(turn.usage)
        detailed({**self._details(""), "finish_reason": turn.finish_reason, "usage": usage})

    def on_close(self, stop: Callable[[], object] | None) -> None:
        """Notes what stops the work that is under way, for ``close``; None when there is none any more."""
        self._stop_work = stop
        if stop is not None and self.closed:
            stop()

    def on_private_loop(self, main: Callable[[], Awaitable[T]]) -> T:
        """Runs a coroutine on the event loop that this run has for its async tools, and waits for it in this thread."""
        import asyncio

        from headrace._concurrency.threads import PrivateLoop

        self._private_loop = self._private_loop or PrivateLoop()
        try:
            return self._private_loop.run(main)
        except asyncio.CancelledError:
            self.check_open()
            raise

    def sleep(self, seconds: float) -> None:
        """Waits in this thread, but not on when the stream is closed."""
        # Made here, since few runs ever wait and it is large; before the look, so that no `close` is missed.
        self._woken = threading.Event()
        if not self.closed:
            # A provider may ask for any time, but no clock counts further than this: some months, or centuries.
            self._woken.wait(min(seconds, threading.TIMEOUT_MAX))

    # --- events ------------------------------------------------------------------------------------------------

    def show(self, events: list[Event]) -> list[Item]:
        """Numbers events, and gives of them what the caller wants."""
        if self.view.events:
            return [self._stamped(event) for event in events]
        wanted = [event for event in events if isinstance(event, self._told)]
        # Where a dict tells of each token, they stay events until it was told; see `call_back`.
        return [*wanted] if self.view.detailed is not None else [event.text for event in wanted]

    def _stamped(self, event: Event) -> Event:
        number, self._events = self._events, self._events + 1
        return dataclasses.replace(
            event, agent=event.agent or self._agent, seq=number, at_ns=event.at_ns or time.monotonic_ns()
        )

    def emit(self, effect: Emit) -> list[Item]:
        """An event of the loop's own."""
        return self.show([dataclasses.replace(effect.event, agent=effect.agent)])

    def begun(self) -> list[Item]:
        """The run begins."""
        return self.show([RunStart(self._task)])

    def ended(self) -> list[Item]:
        """The run has ended."""
        self._settle(self._error)
        if not self.view.events:
            return []
        duration = (time.monotonic_ns() - self._began_ns) * _NS
        turns = len(self._readers)
        return self.show([RunEnd(self.state, self.text, self.usage, self.cost, turns, duration, self.tool_time)])

    def turn_begun(self, effect: OpenTurn) -> list[Item]:
        """A model is asked."""
        if self._note is not None:
            self._note(f"{effect.agent} asks {effect.call.settings.model} ({len(effect.call.messages)} messages)")
        return self.show(
            [TurnStart(len(self._readers) + 1, effect.call.settings.model, effect.resumed, agent=effect.agent)]
        )

    def turn_ended(self, effect: OpenTurn) -> tuple[Turn, list[Item]]:
        """A model has answered: what it said, and what the caller is shown of that."""
        self.check_open()
        reader = self._readers[-1]
        turn = completed(Turn.from_native(reader.stream.response()), effect.call.messages)
        self._turns.append(turn)
        self._priced[len(self._turns) - 1] = (effect.call.settings.model, self._provider)
        if self._note is not None:
            self._note(_how_it_went(effect.agent, turn, _timing(reader)))
        if self.view.detailed is not None:
            self._detail_turn(self.view.detailed, turn)
        if not self.view.events:
            return turn, []
        calls: list[Event] = [ToolCallRequested(call, agent=effect.agent) for call in turn.tool_calls]
        number, timing = len(self._readers), _timing(reader)
        end = TurnEnd(number, reader.text, turn.finish_reason, turn.usage, timing, agent=effect.agent)
        return turn, self.show([*calls, end])

    def tool_ended(self, effect: RunTools, result: ToolResult) -> list[Item]:
        """A tool has returned."""
        told = ToolResultReturned(result.call, result.content, result.error, result.duration, agent=effect.agent)
        return self.show([told])

    def _let_go(self) -> None:
        for reader in self._readers[-1:]:
            reader.stream.close()
        if self._stop_feeding is not None:
            self._stop_feeding()
        if self._private_loop is not None:
            self._private_loop.close()


def _timing(reader: Reader) -> Timing:
    return Timing.from_native(reader.stream.timing(), reader.stream.arrivals())


def _how_it_went(agent: str, turn: Turn, timing: Timing) -> str:
    ttft = "no token" if timing.ttft is None else f"TTFT {timing.ttft * 1e3:.1f} ms"
    calls = f", calls {', '.join(call.name for call in turn.tool_calls)}" if turn.tool_calls else ""
    duration = timing.duration or 0.0
    return f"{agent} was answered: {ttft}, {timing.chunks} chunks in {duration:.3f} s, {turn.finish_reason}{calls}"
