"""Sends a load to an agent or a workflow of this process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from headrace.errors import StreamError
from headrace.events import (
    PhaseEnd,
    PhaseStart,
    Reasoning,
    Refusal,
    Token,
    ToolCallDelta,
    ToolResultReturned,
    TurnEnd,
    TurnStart,
)

from .loads import LOOK, Load, Measured, Snapshot, as_measured
from .metrics import of_requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.events import Event

    from .loads import Progress

__all__ = ["Runner", "send_runs"]


_FIRSTS: Final = {
    "reasoning": "first_reasoning_ns",
    "token": "first_text_ns",
    "tool_call_delta": "first_call_ns",
}


class Runner(Protocol):
    """What can be measured: an agent, or a workflow."""

    @property
    def arun_stream(self) -> Any:
        """Called with a task and ``with_events=True``."""


@dataclass(slots=True)
class _Watch:
    """What is known of one run while its events come."""

    record: dict[str, Any]
    gaps_ns: Counter[int]
    token_gaps_ns: Counter[int]
    stamps: _Stamps | None
    last_ns: dict[str, int] = field(default_factory=dict[str, int])
    turn_gaps_ns: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    phases_ns: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, event: Event) -> None:
        """Adds an event. Two outputs have a gap only if they are of one turn: tools run between two turns."""
        match event:
            case TurnStart(agent=agent):
                self.last_ns.pop(agent, None)
                self.turn_gaps_ns[agent] = []
                self.record["answer_ns"] = None
            case TurnEnd():
                self._turn_ended(event)
            case ToolResultReturned(duration=seconds):
                self.record["tool_ns"].append(round(seconds * 1e9))
            case PhaseStart(phase=phase, at_ns=at):
                self.phases_ns[phase] = at
            case PhaseEnd(phase=phase, at_ns=at):
                spent, began = self.record["phases_ns"], self.phases_ns.pop(phase, at)
                spent[phase] = spent.get(phase, 0) + at - began
            case Token() | Reasoning() | Refusal() | ToolCallDelta():
                self._output(event)
            case _:
                pass

    def _output(self, event: Event) -> None:
        record, at, agent = self.record, event.at_ns, event.agent
        of_kind = _FIRSTS.get(event.type, "first_output_ns")
        for name in ("first_chunk_ns", "first_output_ns", of_kind):
            record[name] = at if record[name] is None else record[name]
        if isinstance(event, Token | Refusal) and record["answer_ns"] is None:
            record["answer_ns"] = at
        record["last_output_ns"] = at
        record["chunks"] += 1
        if (before := self.last_ns.get(agent)) is not None:
            self.turn_gaps_ns[agent].append(at - before)
            record["longest_gap_ns"] = max(record["longest_gap_ns"], at - before)
        self.last_ns[agent] = at
        if self.stamps is not None and isinstance(event, Token):
            self.stamps.add(record["index"], event)

    def _turn_ended(self, event: TurnEnd) -> None:
        timing, usage = event.timing, event.usage
        gaps = self.turn_gaps_ns.pop(event.agent, [])
        self.gaps_ns.update(gaps)
        tokens = None if usage is None or usage.estimated else usage.output_tokens
        if tokens:
            outputs = len(gaps) + 1
            self.token_gaps_ns.update(gap * outputs // max(tokens, outputs) for gap in gaps)
        ended = timing.ended_ns or event.at_ns
        self.record["turns"].append(
            {
                "agent": event.agent,
                "opened_ns": timing.opened_ns,
                "ttft_ns": None if timing.ttft is None else round(timing.ttft * 1e9),
                "e2e_ns": ended - timing.opened_ns,
                "span_ns": sum(gaps),
            }
        )


@dataclass(slots=True)
class _Stamps:
    """For stamped answers: from a stamp to its arrival, and how far gaps are from those between their stamps."""

    deliveries_ns: Counter[int] = field(default_factory=Counter[int])
    gap_errors_ns: Counter[int] = field(default_factory=Counter[int])
    last: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])

    def add(self, index: int, token: Token) -> None:
        try:
            stamp = int(token.text)
        except ValueError:
            return
        self.deliveries_ns[max(0, token.at_ns - stamp)] += 1
        if index in self.last:
            stamp_before, at_before = self.last[index]
            self.gap_errors_ns[abs((token.at_ns - at_before) - (stamp - stamp_before))] += 1
        self.last[index] = (stamp, token.at_ns)


class _Runs:
    """A load that is being sent, on an event loop of its own."""

    def __init__(self, load: Load, runner: Runner, tasks: Sequence[str], *, stamped: bool) -> None:
        self.load, self.runner, self.tasks = load, runner, tasks
        self.records = list[dict[str, Any]]()
        self.gaps_ns, self.token_gaps_ns = Counter[int](), Counter[int]()
        self.stamps = _Stamps() if stamped else None
        self.sent = self.failed = 0
        self.began_ns = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.all: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Sends everything, and waits for the ends."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """Cancels what is running. From any thread."""
        loop, everything = self.loop, self.all
        if loop is not None and everything is not None and not loop.is_closed():
            loop.call_soon_threadsafe(everything.cancel)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.all = asyncio.create_task(self._send())
        try:
            await self.all
        except asyncio.CancelledError:
            if not self.all.cancelled():
                raise

    async def _send(self) -> None:
        self.began_ns = time.monotonic_ns()
        tasks = set[asyncio.Task[None]]()
        try:
            if self.load.concurrency is None:
                for index, due in enumerate(self.load.dues()):
                    due_ns = self.began_ns + round(due * 1e9)
                    await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
                    if self._is_late():
                        break
                    tasks.add(asyncio.create_task(self._one(index, due_ns)))
            else:
                numbers = count()
                tasks |= {asyncio.create_task(self._place(numbers)) for _ in range(self.load.concurrency)}
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _place(self, numbers: Iterator[int]) -> None:
        for index in numbers:
            if (self.load.requests is not None and index >= self.load.requests) or self._is_late():
                return
            await self._one(index, None)

    def _is_late(self) -> bool:
        duration = self.load.duration
        return duration is not None and time.monotonic_ns() - self.began_ns >= duration * 1e9

    async def _one(self, index: int, due_ns: int | None) -> None:
        record = _new_record(index, due_ns, time.monotonic_ns())
        watch = _Watch(record, self.gaps_ns, self.token_gaps_ns, self.stamps)
        self.sent += 1
        stream = self.runner.arun_stream(self.tasks[index % len(self.tasks)], with_events=True)
        try:
            async with stream:
                async for event in stream:
                    watch.add(event)
            record["state"] = "complete"
        except asyncio.CancelledError:
            record["state"] = "cancelled"
            raise
        except StreamError as error:
            record.update(state=error.state, status=getattr(error, "status", None), message=str(error))
        except Exception as error:  # noqa: BLE001 - whatever a run raises is its result, and the others go on
            record.update(state="failed", message=str(error) or type(error).__name__)
        finally:
            record["ended_ns"] = time.monotonic_ns()
            _add_result(record, stream)
            self.records.append(record)
            self.failed += record["state"] != "complete"

    def snapshot(self) -> Snapshot:
        """How far it is."""
        records = [record for record in list(self.records) if record["first_output_ns"] is not None]
        ttft = of_requests(record["first_output_ns"] - record["opened_ns"] for record in records)
        times = (None, None) if ttft is None else (ttft.p50, ttft.p99)
        return Snapshot(self.sent, len(self.records), self.failed, *times)

    def tally(self) -> dict[str, Any]:
        """In the form of the native load generator."""
        stamps = self.stamps or _Stamps()
        began = self.began_ns
        return {
            "began_ns": began,
            "ended_ns": max((record["ended_ns"] for record in self.records), default=began),
            "records": self.records,
            "gaps": sorted(self.gaps_ns.items()),
            "token_gaps": sorted(self.token_gaps_ns.items()),
            "read_lags": [],
            "deliveries": sorted(stamps.deliveries_ns.items()),
            "gap_errors": sorted(stamps.gap_errors_ns.items()),
        }


def _new_record(index: int, due_ns: int | None, opened_ns: int) -> dict[str, Any]:
    empty = (
        *("first_chunk_ns", "first_output_ns", "first_reasoning_ns", "first_text_ns", "first_call_ns"),
        *("last_output_ns", "answer_ns", "read_lag_ns", "input_tokens", "cached_tokens", "output_tokens"),
        *("reasoning_tokens", "finish_reason", "status", "message"),
    )
    record: dict[str, Any] = dict.fromkeys(empty)
    lists: dict[str, Any] = {"turns": [], "tool_ns": [], "phases_ns": {}}
    return {
        "index": index,
        "turn": 0,
        "due_ns": due_ns,
        "opened_ns": opened_ns,
        "chunks": 0,
        "longest_gap_ns": 0,
        **lists,
        **record,
    }


def _add_result(record: dict[str, Any], stream: Any) -> None:
    usage = stream.usage
    if usage is not None and not usage.estimated:
        for name in ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"):
            record[name] = getattr(usage, name)
    record["finish_reason"] = stream.turns[-1].finish_reason if stream.turns else None
    # Calls of one turn run at the same time, so the time that a request waited is not the sum of its calls.
    record["tools_ns"] = _waited_for_tools(record) if record["tool_ns"] else None


def _waited_for_tools(record: dict[str, Any]) -> int:
    turns = sorted(record["turns"], key=lambda turn: turn["opened_ns"])
    ends = [turn["opened_ns"] + turn["e2e_ns"] for turn in turns]
    waits = (after["opened_ns"] - end for end, after in zip(ends, turns[1:], strict=False))
    return sum(wait for wait in waits if wait > 0)


def send_runs(
    load: Load,
    runner: Runner,
    tasks: Sequence[str],
    *,
    stamped: bool = False,
    progress: Progress | None = None,
    keep_interrupted: bool = False,
) -> Measured:
    """Sends a load to an agent or a workflow, and waits until all runs have ended.

    Args:
        load: The load; a request is a run.
        runner: The agent or workflow.
        tasks: The tasks, given in turn.
        stamped: Whether the answers are stamps of the simulator.
        progress: Called a few times a second.
        keep_interrupted: After a ``KeyboardInterrupt``, return what was measured instead of raising it.

    Returns:
        What was measured. The records have the turns, the tools' times and the phases besides.
    """
    runs = _Runs(load, runner, tasks, stamped=stamped)
    cpu, wall = time.process_time(), time.monotonic()
    with ThreadPoolExecutor(1, "headrace-bench") as pool:  # the caller's thread may have a loop of its own
        done = pool.submit(runs.run)
        try:
            while not _is_done(done):
                if progress is not None:
                    progress(runs.snapshot())
        except BaseException as error:
            runs.stop()
            if not (keep_interrupted and isinstance(error, KeyboardInterrupt)):
                raise
        done.result()
    return as_measured(load, runs.tally(), time.process_time() - cpu, time.monotonic() - wall)


def _is_done(done: Any) -> bool:
    from concurrent.futures import wait

    return bool(wait([done], LOOK).done)
