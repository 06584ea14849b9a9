"""Races of closing a stream: with the request, and with async tools that clean up."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConnectionFailedError, StreamClosedError, Timeouts, _native
from headrace.workflow import ConcurrentWorkflow
from support.conversations import calling, conversation
from support.harness import PATIENCE, Simulate, agent_at, wait_until_disconnected

if TYPE_CHECKING:
    from headrace.testing import Simulator

STEPS = 50
"""How many steps of an event loop a tool takes to clean up."""


@pytest.fixture
def silent(simulate: Simulate) -> Simulator:
    """A model that never answers."""
    return simulate(fault={"kind": "silent"})


def test_close_while_the_request_is_sent_ends_the_reader(silent: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = agent_at(silent, timeouts=Timeouts(first_token=10.0)).run_stream("Go.")
    open_stream = _native.open_stream

    def closed_meanwhile(*args: Any, **options: Any) -> _native.Stream:
        opened = open_stream(*args, **options)
        stream.close()
        return opened

    monkeypatch.setattr(_native, "open_stream", closed_meanwhile)
    with pytest.raises(StreamClosedError):
        next(stream)
    wait_until_disconnected(silent)


def test_aclose_while_the_request_is_sent_ends_the_reader(silent: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = agent_at(silent, timeouts=Timeouts(first_token=10.0)).arun_stream("Go.")
    open_stream = _native.open_stream

    def closed_meanwhile(*args: Any, **options: Any) -> _native.Stream:
        opened = open_stream(*args, **options)
        thread = threading.Thread(target=asyncio.run, args=(stream.aclose(),))
        thread.start()
        thread.join(PATIENCE)
        return opened

    async def read() -> None:
        with pytest.raises(StreamClosedError):
            await anext(stream)

    monkeypatch.setattr(_native, "open_stream", closed_meanwhile)
    asyncio.run(read())
    wait_until_disconnected(silent)


class Tool:
    """An async tool that runs until it is cancelled, and then takes some time to clean up."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.cleaned = threading.Event()

    async def work(self) -> str:
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(STEPS):
                await asyncio.sleep(0)
            self.cleaned.set()
        return "never"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task cannot tell that it is being cancelled")
@pytest.mark.parametrize("together", [False, True], ids=["agent", "workflow"])
def test_a_tool_cleans_up_when_its_stream_is_closed(simulate: Simulate, together: bool) -> None:
    tool = Tool()
    simulator = simulate(turns=conversation({"tool_calls": [calling("work")]}))
    agent = agent_at(simulator, tools=[tool.work], max_loops=2)
    other = agent_at(simulate(fault={"kind": "silent"}), agent_name="other")
    stream = (ConcurrentWorkflow(agents=[agent, other]) if together else agent).run_stream("Go.")
    errors: list[Exception] = []

    def read() -> None:
        try:
            list(stream)
        except StreamClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert tool.running.wait(PATIENCE)
    stream.close()
    thread.join(PATIENCE)
    assert len(errors) == 1
    assert tool.cleaned.is_set()


def test_a_failed_run_is_freed_without_the_garbage_collector(simulate: Simulate) -> None:
    agent = agent_at(simulate("one two", fault={"kind": "reset", "after": 1}))
    gc.collect()
    gc.disable()
    try:
        stream = agent.run_stream("Go.")
        run = weakref.ref(stream._run)
        with pytest.raises(ConnectionFailedError):
            list(stream)
        del stream
        assert run() is None
    finally:
        gc.enable()
