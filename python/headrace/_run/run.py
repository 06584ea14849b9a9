"""One run of an agent: the object that the driver and the caller's stream share."""

from __future__ import annotations

import os
import weakref
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from headrace import _native
from headrace.errors import StreamError
from headrace.events import RunEnd, RunStart, ToolCallRequested, ToolResultReturned, TurnEnd, TurnStart
from headrace.types import Outcome

from .limits import RunLimits
from .observer import Observer, observer_of
from .output import Output
from .state import RunState
from .turn_log import LoggedTurn, TurnLog
from .work import Work

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from headrace._loop.effects import Effect, Emit, Loop, OpenTurn, RunTools
    from headrace._tools.structured import Structured
    from headrace.tools import ToolResult
    from headrace.types import Message, Timing, Turn, Usage

    from .read import Item, Reader, View

__all__ = ["Incomplete", "Run"]

Incomplete: TypeAlias = Literal["length", "content_filter", "max_loops"]
"""Why an answer is short: the model's limit of tokens, the provider's filter, or ``max_loops``."""

T = TypeVar("T")

_DEFAULT_LIMITS = RunLimits()


class Run:
    """One run.

    Args:
        agent: The agent's name.
        task: What the user wants.
        loop: The loop, which decides what to do.
        view: What the caller wants to see.
        inbox: The list for messages that the user sends during the run.
        note: Called with a line about each request and each answer; None for no notes.
        limits: What the run may cost.
        metadata: The caller's notes about the run.
        answer: The type of the answer; None for text.

    Attributes:
        answer: See above.
        status: The run's state.
        log: Its turns.
        output: What it yields to the caller.
        work: What must be stopped when the stream is closed.
        inbox: See above.
        metadata: See above.
        tool_time: Seconds spent waiting for tools.
        turn_headers: Headers for the request of the current turn.
    """

    def __init__(
        self,
        agent: str,
        task: str,
        loop: Loop[Outcome],
        view: View,
        inbox: list[str],
        note: Callable[[str], None] | None = None,
        limits: RunLimits = _DEFAULT_LIMITS,
        metadata: Mapping[str, Any] | None = None,
        answer: Structured | None = None,
    ) -> None:
        self.answer = answer
        self.status = RunState()
        self.log = TurnLog()
        self.output = Output(view)
        self.work = Work()
        self.inbox = inbox
        self.tool_time = 0.0
        self._agent = agent
        self._task = task
        self._loop = loop
        self._note = note
        self._limits = limits
        self.metadata = metadata or {}
        self.turn_headers: Sequence[tuple[str, str]] = ()
        self._observer: Observer | None = None
        self._outcome = Outcome()
        # The task whose read was cancelled, until the stream is read again; and the task whose end is watched for that.
        self._leaver: weakref.ref[asyncio.Task[Any]] | None = None
        self._watched: weakref.ref[asyncio.Task[Any]] | None = None

    # --- for the caller's stream -------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The state; see ``RunStream.state``."""
        leaver = None if self._leaver is None else self._leaver()
        if leaver is not None and leaver.done():
            self._reader_ended(leaver)
        return self.status.name

    @cached_property
    def id(self) -> str:
        """Different for each run, so that a memory keeps its messages together."""
        return os.urandom(8).hex()

    @property
    def text(self) -> str:
        """The text of all turns that was read so far, refusals included."""
        return self.log.text

    @property
    def final(self) -> str:
        """The answer, once the run has ended."""
        return self._outcome.final

    @property
    def value(self) -> Any:
        """The answer as a value of its type, once the run has ended."""
        return self._outcome.value

    @property
    def partial(self) -> Any:
        """What has come of the answer, as its type as far as that can be; None if nothing has."""
        if self.answer is None or self._outcome.value is not None:
            return self._outcome.value
        turn = None if self.log.last is None else self.log.last.turn
        if turn is None:
            return None
        calls = (call.arguments for call in turn.tool_calls if call.name == self.answer.tool_name)
        return self.answer.partial(next(calls, turn.text))

    @property
    def incomplete(self) -> Incomplete | None:
        """Why the answer is short; None if it is not, or before the end."""
        if self._outcome.exhausted:
            return "max_loops"
        last = self.log.last
        reason = None if last is None or last.is_running else last.turn.finish_reason
        return cast("Incomplete", reason) if reason in ("length", "content_filter") else None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of the run, once it has ended."""
        return self._outcome.messages

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, the current one as far as it was read."""
        return self.log.turns

    @property
    def timings(self) -> tuple[Timing, ...]:
        """The timing of each turn."""
        return self.log.timings

    @property
    def usage(self) -> Usage | None:
        """The usage of all turns together; None if none is known."""
        return self.log.usage

    @property
    def cost(self) -> float | None:
        """The cost of all turns together in USD; None if the cost of any turn is not known."""
        return self.log.cost

    def check_open(self) -> None:
        """Raises ``StreamClosedError`` if the stream was closed."""
        self.status.check_open()

    def close(self) -> None:
        """Closes the stream and its connection. May be called from any thread, and repeatedly."""
        if self.status.close():
            self.output.drop()
            self.work.stop()
            self._observed_to_its_end(None)
        self.work.release()

    def read_cancelled(self) -> None:
        """A read was cancelled while tokens were awaited. If its task ends without reading on, the run does."""
        import asyncio

        try:
            task = asyncio.current_task()
        except RuntimeError:  # no event loop is running: then the stream is closed when it is dropped
            return
        # Before Python 3.12, `wait_for` makes a task of the read alone, which is not the one that may read on.
        if task is None or isinstance(task.get_coro(), _native.Anext):
            return
        self._leaver = weakref.ref(task)
        if self._watched is None or self._watched() is not task:
            self._watched = self._leaver
            task.add_done_callback(self._reader_ended)

    def read_again(self) -> None:
        """The stream is read again after a cancelled read."""
        self._leaver = None

    def _reader_ended(self, task: asyncio.Task[Any]) -> None:
        if self._leaver is not None and self._leaver() is task:
            self._leaver = None
            if self.status.leave():
                self.work.stop()
                self._observed_to_its_end(None)
            self.work.release()

    def _observed_to_its_end(self, error: BaseException | None) -> None:
        # A closed stream may be kept for long before its driver is closed too.
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.ended(self.status.name, self.status.error or error)

    # --- for the drivers: the loop ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.status.begin()
        self._observer = observer_of(self._agent)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.status.end(error)
        self._loop.close()
        self.work.release()
        self._observed_to_its_end(error)

    def start(self) -> Effect | None:
        """Starts the loop. Returns its first effect; None if it has none."""
        return self._next(lambda: next(self._loop))

    def send(self, result: object) -> Effect | None:
        """Gives the loop the result of its last effect. Returns the next effect; None if there are no more."""
        self.status.check_open()
        return self._next(lambda: self._loop.send(result))

    def throw(self, error: Exception) -> Effect | None:
        """Raises an error in the loop, which may handle it.

        Returns:
            The loop's next effect. None if the loop did not handle the error: ``status.raise_error`` raises it later.
        """
        if self._observer is not None:
            self._observer.turn_failed(error)
        failed = self.log.last
        if failed is None or not failed.is_running:
            failed = None
        elif isinstance(error, StreamError):
            response = failed.reader.stream.response()
            error.provider = error.provider or failed.provider
            error.delivered = any(response[kind] for kind in ("text", "refusal", "reasoning", "tool_calls"))
        try:
            effect = self._next(lambda: self._loop.throw(error))  # noqa: F821 - it is deleted only below
        except Exception as unhandled:  # noqa: BLE001 — the driver raises it, after the last event
            self.status.error = unhandled
            return None
        else:
            if failed is not None and isinstance(error, StreamError) and error.delivered:
                # The loop asks again. The caller has seen tokens of this attempt, so it stays in the log.
                failed.break_off()
            elif failed is not None:
                # The loop asks again. The caller has seen nothing of this attempt, so it does not count as a turn.
                self.log.drop()
            return effect
        finally:
            # The error's traceback refers to this frame, so the frame must not refer to the error.
            del error

    def _next(self, step: Callable[[], Effect]) -> Effect | None:
        try:
            return step()
        except StopIteration as stop:
            self._outcome = stop.value
            return None

    def run_on_loop(self, main: Callable[[], Awaitable[T]]) -> T:
        """Runs a coroutine on this run's event loop for async tools. Blocks the calling thread until it has ended.

        Raises:
            StreamClosedError: The stream was closed meanwhile.
        """
        import asyncio

        try:
            return self.work.run_on_loop(main)
        except asyncio.CancelledError:
            self.status.check_open()
            raise

    # --- for the drivers: what happened ---------------------------------------------------------------------------

    def begun(self) -> list[Item]:
        """The run begins. Returns the items to yield, as the methods below do."""
        if not self.output.wants_events:
            return []
        return self.output.event(partial(RunStart, self._task, agent=self._agent))

    def ended(self) -> list[Item]:
        """The run has ended."""
        self.status.end(self.status.error)
        if not self.output.wants_events:
            return []
        counts = (self.text, self.usage, self.cost, len(self.log), self.status.seconds, self.tool_time)
        why = None if self.status.error is None else str(self.status.error)
        return self.output.event(partial(RunEnd, self.state, *counts, why, agent=self._agent))

    def emitted(self, effect: Emit) -> list[Item]:
        """The loop emits an event."""
        return self.output.event(effect.make)

    def turn_begun(self, effect: OpenTurn) -> list[Item]:
        """A turn begins: the request is about to be sent.

        Raises:
            RunLimitError: The run has reached one of its limits.
        """
        self._limits.check(self.log)
        if self._observer is not None:
            self.turn_headers = self._observer.turn_begun(effect)
        model = effect.call.settings.model
        if self._note is not None:
            self._note(f"{effect.agent} asks {model} ({len(effect.call.messages)} messages)")
        if not self.output.wants_events:
            return []
        return self.output.event(partial(TurnStart, len(self.log) + 1, model, effect.resumed, agent=effect.agent))

    def turn_opened(
        self,
        stream: _native.Stream,
        effect: OpenTurn,
        provider: str | None,
        stop_feeding: Callable[[], None] | None = None,
    ) -> Reader:
        """The request was sent. Returns the reader of the answer.

        Args:
            stream: The turn's stream.
            effect: The turn.
            provider: The provider's name, if it is known.
            stop_feeding: Stops the feeder of a stream in the fed lane; None in the native lane.
        """
        self.work.read_from(stream, stop_feeding)
        separator = self.output.separator
        if separator and (effect.continues or not self.log.has_text):
            separator = ""
        reader = self.output.reader(stream, effect, separator)
        self.log.begin(LoggedTurn(reader, effect.call.settings.model, provider, separator))
        return reader

    def hold(self, batch: list[str] | list[Item]) -> Sequence[Item]:
        """Remembers the batch that is about to be yielded, so that :meth:`close` can drop the rest of it."""
        self.output.held = batch
        # In this order: `close` sets its mark before it drops the batch, so either it drops this one, or we see it.
        if self.status.closed:
            self.status.check_open()
        return batch

    def turn_ended(self, effect: OpenTurn) -> tuple[Turn, list[Item]]:
        """A turn has ended. Returns it, and the items to yield."""
        self.status.check_open()
        logged = self.log.last
        assert logged is not None  # noqa: S101 - a turn that ends was opened
        turn = logged.end(effect.call)
        if self._note is not None:
            self._note(_summary(effect.agent, turn, logged.timing))
        if self._observer is not None:
            self._observer.turn_ended(turn, logged.timing, logged.provider)
        self.output.turn_ended(turn)
        if not self.output.wants_events:
            return turn, []
        shown: list[Item] = []
        for call in turn.tool_calls:
            shown += self.output.event(partial(ToolCallRequested, call, agent=effect.agent))
        answer = (logged.reader.text, turn.finish_reason, turn.usage, logged.timing)
        return turn, shown + self.output.event(partial(TurnEnd, len(self.log), *answer, agent=effect.agent))

    def tool_ended(self, effect: RunTools, result: ToolResult) -> list[Item]:
        """A tool call has returned."""
        if self._observer is not None:
            self._observer.tool_ended(effect.agent, result)
        fields = (result.call, result.content, result.error, result.duration)
        return self.output.event(partial(ToolResultReturned, *fields, agent=effect.agent))


def _summary(agent: str, turn: Turn, timing: Timing) -> str:
    ttft = "no token" if timing.ttft is None else f"TTFT {timing.ttft * 1e3:.1f} ms"
    calls = f", calls {', '.join(call.name for call in turn.tool_calls)}" if turn.tool_calls else ""
    duration = timing.duration or 0.0
    return f"{agent} was answered: {ttft}, {timing.chunks} chunks in {duration:.3f} s, {turn.finish_reason}{calls}"
