"""Leaving a run of several turns at any point: nothing goes on, and nothing stays behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from headrace import StreamClosedError
from headrace.events import ToolCallRequested, TurnEnd
from support.conversations import ADDS, add, bodies, calling, conversation
from support.harness import (
    PATIENCE,
    Reader,
    Simulate,
    agent_at,
    collect,
    count_threads,
    needs_proc,
    outcomes,
    run_python,
    wait_for_outcomes,
    wait_until_disconnected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import AsyncRunStream


class Waiting:
    """An async tool that waits until it is cancelled."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def wait(self) -> None:
        self.log.append("began")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.log.append("cancelled")
            raise


WAITS = {"text": "Let me wait.", "tool_calls": [calling("wait")]}


def noting(added: list[int]) -> Callable[[int, int], int]:
    """A tool that adds, and records each sum."""

    def add(a: int, b: int) -> int:
        added.append(a + b)
        return a + b

    return add


async def come_to(moment: Callable[[], object], reading: asyncio.Future[Any]) -> None:
    """Waits until a run that is being read gets to some point."""
    while not moment():
        assert not reading.done(), f"the run is over: {reading}"
        await asyncio.sleep(0.001)


async def cancel(stream: AsyncRunStream[Any], moment: Callable[[], object]) -> None:
    """Cancels the task that reads a stream at some point, and checks that no task is left on the event loop."""
    reading = asyncio.ensure_future(collect(stream))
    await come_to(moment, reading)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stream.state == "cancelled"
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- cancelling ------------------------------------------------------------------------------------------------


def test_cancelling_in_a_later_turn_closes_its_socket(simulate: Simulate) -> None:
    stalled = {"text": "It is 42.", "fault": {"kind": "stall", "after": 1}}
    simulator = simulate(turns=conversation(ADDS, stalled))

    async def main() -> None:
        stream = agent_at(simulator, tools=[add], max_loops=2).arun_stream("Go.")
        await cancel(stream, lambda: stream.text == "Let me add.It")
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected")

    asyncio.run(main())
    assert outcomes(simulator) == ["complete", "disconnected"]
    wait_until_disconnected(simulator)


def test_cancelling_cancels_the_async_tools_that_run(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation({"tool_calls": [calling("wait")] * 3}))

    async def main() -> None:
        tool = Waiting()
        threads = threading.active_count()
        agent = agent_at(simulator, tools=[tool.wait], max_loops=2)
        await cancel(agent.arun_stream("Go."), lambda: len(tool.log) == 3)
        assert tool.log == ["began"] * 3 + ["cancelled"] * 3
        assert threading.active_count() == threads

    asyncio.run(main())
    assert outcomes(simulator) == ["complete"]


def test_cancelling_does_not_wait_for_a_sync_tool(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation(WAITS))
    began, over = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        over.wait(2 * PATIENCE)

    async def main() -> None:
        before = set(threading.enumerate())
        await cancel(agent_at(simulator, tools=[wait], max_loops=2).arun_stream("Go."), began.is_set)
        # Python cannot stop the thread; it ends with the tool.
        over.set()
        for thread in set(threading.enumerate()) - before:
            await asyncio.to_thread(thread.join)

    asyncio.run(main())
    assert outcomes(simulator) == ["complete"]


def test_cancelling_between_two_turns_starts_no_further_turn(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation(ADDS))

    async def main() -> None:
        added: list[int] = []
        agent = agent_at(simulator, tools=[noting(added)], max_loops=2, loop_interval=3600)
        await cancel(agent.arun_stream("Go."), lambda: added)

    asyncio.run(main())
    assert len(bodies(simulator)) == 1


def test_cancelling_inside_a_handoff_closes_its_socket(simulate: Simulate) -> None:
    hand = calling("handoff_task", {"agent_name": "Ada", "task": "Wait."})
    stalled = {"when": {"contains": "Wait"}, "text": "So be it.", "fault": {"kind": "stall", "after": 1}}
    simulator = simulate(turns=[stalled, {"text": "", "tool_calls": [hand]}])

    async def main() -> None:
        agent = agent_at(simulator, handoffs=[agent_at(simulator, agent_name="Ada")], max_loops=2)
        stream = agent.arun_stream("Go.")
        await cancel(stream, lambda: stream.text == "So")
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected")

    asyncio.run(main())


@pytest.mark.parametrize("max_loops", [3, "auto"])
def test_a_task_may_be_cancelled_at_any_await(simulate: Simulate, max_loops: Any) -> None:
    """Cancels one await later each time, until the run ends before it is cancelled."""
    steps = [{"step_id": "a", "description": "Look.", "priority": "high", "dependencies": []}]
    plan = calling("create_plan", {"task_description": "Look.", "steps": steps})
    done = calling("subtask_done", {"task_id": "a", "summary": "looked", "success": True})
    look = {"text": "Let me look.", "tool_calls": [calling("look"), calling("alook")]}
    summary = calling("complete_task", {"task_id": "all", "summary": "I see.", "success": True})
    turns = {
        3: conversation(look, look, {"text": "I see."}),
        "auto": conversation({"tool_calls": [plan]}, look, {"tool_calls": [done]}, {"tool_calls": [summary]}),
    }[max_loops]
    simulator = simulate(turns=turns, pacing={"mode": "steady", "interval_ms": 1})
    running: list[str] = []

    def look_around() -> str:
        return "much"

    look_around.__name__ = "look"

    async def alook() -> str:
        running.append("")
        try:
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            running.pop()
        return "more"

    agent = agent_at(simulator, tools=[look_around, alook], max_loops=max_loops)

    async def one(moment: int) -> bool:
        stream = agent.arun_stream("Go.")
        task = asyncio.ensure_future(collect(stream))
        for _ in range(moment):
            await asyncio.sleep(0.0003)
        task.cancel()
        await asyncio.wait([task])
        assert running == []
        assert asyncio.all_tasks() == {asyncio.current_task()}
        if task.cancelled():
            assert stream.state in {"pending", "cancelled"}
            return False
        assert task.exception() is None
        assert (stream.state, stream.final) == ("complete", "I see.")
        return True

    async def main() -> None:
        moments = itertools.count()
        while not await one(next(moments)):
            pass

    asyncio.run(main())
    assert "running" not in outcomes(simulator)


@needs_proc
def test_cancelled_tools_leave_no_thread(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation(WAITS))

    async def one() -> None:
        tool = Waiting()
        await cancel(agent_at(simulator, tools=[tool.wait], max_loops=2).arun_stream("Go."), lambda: tool.log)

    async def main() -> None:
        await one()
        threads = count_threads()
        for _ in range(20):
            await one()
        assert count_threads() <= threads

    asyncio.run(main())


# --- breaking out, dropping, closing ---------------------------------------------------------------------------


def test_a_tool_call_is_not_made_if_the_reader_breaks_out_before_it(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS))
    added: list[int] = []
    agent = agent_at(simulator, tools=[noting(added)], max_loops=2)
    with reader.start(agent, with_events=True) as reading:
        event: Any = reading.next()
        while not isinstance(event, ToolCallRequested):
            event = reading.next()
        assert isinstance(reading.next(), TurnEnd)
    assert added == []
    assert len(bodies(simulator)) == 1
    assert reading.stream.state == "cancelled"


def test_dropping_a_stream_in_a_later_turn_closes_its_socket(simulate: Simulate, reader: Reader) -> None:
    stalled = {"text": "It is 42.", "fault": {"kind": "stall", "after": 1}}
    simulator = simulate(turns=conversation(ADDS, stalled))
    reading = reader.start(agent_at(simulator, tools=[add], max_loops=2))
    assert "".join(reading.take(4)) == "Let me add.It"
    reading.drop()
    wait_for_outcomes(simulator, "disconnected")
    wait_until_disconnected(simulator)


def test_closing_between_two_turns_starts_no_further_turn(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS))
    reading = reader.start(agent_at(simulator, tools=[add], max_loops=2))
    reading.take(3)
    reading.close()
    assert isinstance(reading.to_end().error, StreamClosedError)
    assert len(bodies(simulator)) == 1


def test_a_tool_that_closes_the_stream_ends_it(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation({"tool_calls": [calling("leave")]}))

    def leave() -> str:
        stream.close()
        return "left"

    stream = agent_at(simulator, tools=[leave], max_loops=2).run_stream("Go.")
    with pytest.raises(StreamClosedError):
        list(stream)
    assert stream.state == "cancelled"
    assert len(bodies(simulator)) == 1


def test_aclose_cancels_the_async_tools_that_run(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation(WAITS))

    async def main() -> None:
        tool = Waiting()
        stream = agent_at(simulator, tools=[tool.wait], max_loops=2).arun_stream("Go.")
        reading = asyncio.ensure_future(collect(stream))
        await come_to(lambda: tool.log, reading)
        await stream.aclose()
        done, _ = await asyncio.wait([reading], timeout=PATIENCE)
        reading.cancel()
        assert done
        assert isinstance(reading.exception(), StreamClosedError)
        assert tool.log == ["began", "cancelled"]

    asyncio.run(main())


def test_close_from_another_thread_does_not_wait_for_tools(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation(WAITS))
    began, over = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        over.wait(2 * PATIENCE)

    stream = agent_at(simulator, tools=[wait], max_loops=2).run_stream("Go.")
    errors: list[Exception] = []

    def read() -> None:
        try:
            list(stream)
        except StreamClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert began.wait(PATIENCE)
    stream.close()
    thread.join(PATIENCE)
    ended = not thread.is_alive()
    over.set()
    thread.join()
    assert len(errors) == 1
    assert ended


# --- Ctrl-C ----------------------------------------------------------------------------------------------------

INTERRUPTED = """
    import asyncio, headrace, os, signal, sys, threading, time

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    def wait():
        interrupt()
        threading.Event().wait()

    async def await_():
        interrupt()
        try:
            await asyncio.Event().wait()
        finally:
            print("cleaned up")

    def soon():
        # The loop interval begins as soon as this has returned, or a little later.
        threading.Timer(0.1, interrupt).start()

    what, way, url = sys.argv[1:]
    tool = {"sync": wait, "async": await_, "interval": soon}[what]
    tool.__name__ = "wait"
    agent = headrace.Agent(
        model_name="openai/sim", llm_base_url=url, tools=[tool], max_loops=2, loop_interval=3600, print_on=False
    )

    async def main():
        async for token in agent.arun_stream("Go."):
            print(token)

    try:
        if way == "run_stream":
            for token in agent.run_stream("Go."):
                print(token)
        else:
            asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(7)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("way", ["run_stream", "arun_stream"])
@pytest.mark.parametrize("what", ["sync", "async", "interval"])
def test_ctrl_c_works_in_tools_and_between_turns(simulate: Simulate, what: str, way: str) -> None:
    simulator = simulate(turns=conversation({"text": ["Waiting."], "tool_calls": [calling("wait")]}))
    run = run_python(INTERRUPTED, what, way, simulator.base_url)
    cleaned = ["cleaned up"] if what == "async" else []
    assert (run.stdout.splitlines(), run.stderr) == (["Waiting.", *cleaned, "interrupted"], "")
    assert run.returncode == 7
    assert len(bodies(simulator)) == 1
