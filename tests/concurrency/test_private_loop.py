"""Async tools under ``run_stream``: one event loop for the whole run, which is closed with the run."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from headrace import StreamClosedError, TruncatedError
from headrace.events import ToolResultReturned
from support.conversations import calling, conversation
from support.harness import Reader, Simulate, SyncReader, agent_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.harness import Reading

ECHOES: list[dict[str, Any]] = [
    {"text": "Once.", "tool_calls": [calling("echo", {"text": "a"})]},
    {"text": "Twice.", "tool_calls": [calling("echo", {"text": "b"}), calling("echo", {"text": "c"})]},
]


class Echo:
    """An async tool that keeps objects of an event loop: queues, a lock, and a task that answers."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._asked: asyncio.Queue[str] = asyncio.Queue()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    async def echo(self, text: str) -> str:
        self._task = self._task or asyncio.create_task(self._answer())
        async with self._lock:
            self._asked.put_nowait(text)
            return await self._answers.get()

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()

    async def _answer(self) -> None:
        try:
            while True:
                self._answers.put_nowait(f"{await self._asked.get()}!")
        finally:
            self.log.append("cancelled")


def private_event_loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "headrace-loop"]


def test_asyncio_objects_of_a_tool_can_be_used_in_all_turns_of_a_run(simulate: Simulate, reader: Reader) -> None:
    stop = {"tool_calls": [calling("stop")]}
    simulator = simulate(turns=conversation(*ECHOES, *ECHOES, stop, {"text": "Done."}))
    tool = Echo()
    result = reader.read(agent_at(simulator, tools=[tool.echo, tool.stop], max_loops=9), with_events=True)
    assert (result.error, result.stream.final) == (None, "Done.")
    contents = [event.content for event in list[Any](result.tokens) if isinstance(event, ToolResultReturned)]
    assert sorted(contents[:-1]) == sorted(["a!", "b!", "c!"] * 2)
    assert tool.log == ["cancelled"]


def test_an_http_session_can_be_used_in_all_turns_of_a_run(simulate: Simulate, reader: Reader) -> None:
    look, leave = {"tool_calls": [calling("look")]}, {"tool_calls": [calling("leave")]}
    simulator = simulate(turns=conversation(look, look, leave, {"text": "Done."}))
    sessions: list[aiohttp.ClientSession] = []

    async def look_there() -> int:
        if not sessions:
            sessions.append(aiohttp.ClientSession())
        async with sessions[0].get(f"{simulator.base_url}/nothing") as response:
            await response.read()
            return response.status

    async def leave_it() -> None:
        await sessions[0].close()

    look_there.__name__, leave_it.__name__ = "look", "leave"
    result = reader.read(agent_at(simulator, tools=[look_there, leave_it], max_loops=9), with_events=True)
    returned = [event for event in list[Any](result.tokens) if isinstance(event, ToolResultReturned)]
    assert [event.error for event in returned] == [None] * 3
    assert returned[0].content == returned[1].content


def test_tools_see_the_context_variables_of_their_turn(simulate: Simulate) -> None:
    from contextvars import ContextVar

    turn: ContextVar[int] = ContextVar("turn", default=0)

    async def look() -> int:
        return turn.get()

    looks = {"text": "Looking.", "tool_calls": [calling("look")]}
    simulator = simulate(turns=conversation(looks, looks, {"text": "Done."}))
    seen: list[str] = []
    for event in agent_at(simulator, tools=[look], max_loops=9).run_stream("Go.", with_events=True):
        turn.set(turn.get() + (event.type == "turn_end"))
        seen += [event.content] if isinstance(event, ToolResultReturned) else []
    assert seen == ["1", "2"]


# --- nothing is left -------------------------------------------------------------------------------------------


def to_the_end(reading: Reading[Any]) -> None:
    assert reading.to_end().error is None


def closed(reading: Reading[Any]) -> None:
    reading.take(3)  # The third token is of the second turn.
    assert len(private_event_loops()) == 1
    reading.close()
    assert isinstance(reading.to_end().error, StreamClosedError)


def left(reading: Reading[Any]) -> None:
    with reading:
        reading.take(3)


def dropped(reading: Reading[Any]) -> None:
    reading.take(3)
    reading.drop()


def failed(reading: Reading[Any]) -> None:
    reading.take(3)
    assert isinstance(reading.to_end().error, TruncatedError)


@pytest.mark.parametrize("leave", [to_the_end, closed, left, dropped, failed])
def test_no_event_loop_and_no_task_is_left(simulate: Simulate, leave: Callable[[Reading[Any]], None]) -> None:
    cut = {"fault": {"kind": "end", "after": 1}} if leave is failed else {}
    simulator = simulate(turns=conversation(*ECHOES, {"text": "It is done.", **cut}))
    for _ in range(5):
        tool = Echo()
        leave(SyncReader().start(agent_at(simulator, tools=[tool.echo], max_loops=9)))
        assert private_event_loops() == []
        assert tool.log == ["cancelled"]


def test_a_run_without_tools_has_no_event_loop(simulate: Simulate) -> None:
    stream = agent_at(simulate("one two three")).run_stream("Go.")
    assert next(stream) == "one"
    assert private_event_loops() == []
    stream.close()


def test_an_async_tool_can_close_its_own_run(simulate: Simulate) -> None:
    async def leave() -> str:
        stream.close()
        return "left"

    simulator = simulate(turns=conversation({"tool_calls": [calling("leave")]}))
    stream = agent_at(simulator, tools=[leave], max_loops=2).run_stream("Go.")
    with pytest.raises(StreamClosedError):
        list(stream)
    assert stream.state == "cancelled"
    assert private_event_loops() == []


def test_each_of_many_runs_at_once_has_its_own_event_loop(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation(*ECHOES, {"text": "Done."}))
    tools = [Echo() for _ in range(5)]
    streams = [agent_at(simulator, tools=[tool.echo], max_loops=9).run_stream("Go.") for tool in tools]
    assert ["".join(next(stream) for _ in range(2)) for stream in streams] == ["Once.Twice."] * 5
    assert len(private_event_loops()) == 5
    assert ["".join(stream) for stream in streams] == ["Done."] * 5
    assert private_event_loops() == []
