"""Streams on several event loops, and on event loops of other kinds."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from headrace import ConfigurationError, ServerError, StreamClosedError, StreamInUseError
from support.harness import Simulate, agent_at, collect, count_descriptors, needs_proc, wait_for_outcomes

if TYPE_CHECKING:
    from headrace.testing import Simulator


@pytest.fixture
def paced(simulate: Simulate) -> Simulator:
    """Answers slowly enough for readers to wait for every token."""
    return simulate([f"{n} " for n in range(10)], pacing={"mode": "steady", "interval_ms": 3})


WORDS = [f"{n} " for n in range(10)]


def test_event_loops_one_after_the_other(paced: Simulator) -> None:
    agent = agent_at(paced)
    for _ in range(5):
        assert asyncio.run(collect(agent.arun_stream("Go."))) == WORDS


def test_event_loops_in_several_threads_at_once(paced: Simulator) -> None:
    agent = agent_at(paced)

    def run(_number: int) -> list[str]:
        return asyncio.run(collect(agent.arun_stream("Go.")))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(8))) == [WORDS] * 8


def test_two_event_loops_that_take_turns(simulate: Simulate) -> None:
    simulator = simulate("a b c d")
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        streams = [agent_at(simulator).arun_stream("Go.") for _ in range(2)]
        turns = [
            event_loop.run_until_complete(anext(stream))
            for _ in range(4)
            for event_loop, stream in zip((one, other), streams, strict=True)
        ]
        assert turns == ["a", "a", " b", " b", " c", " c", " d", " d"]
    finally:
        for event_loop in (one, other):
            event_loop.run_until_complete(event_loop.shutdown_asyncgens())
            event_loop.close()


@needs_proc
def test_the_descriptor_of_an_event_loop_is_freed_with_it(simulate: Simulate) -> None:
    agent = agent_at(simulate())
    asyncio.run(collect(agent.arun_stream("Go.")))
    gc.collect()
    before = count_descriptors()
    event_loops = [asyncio.new_event_loop() for _ in range(5)]
    for event_loop in event_loops:
        event_loop.run_until_complete(collect(agent.arun_stream("Go.")))
        event_loop.run_until_complete(event_loop.shutdown_asyncgens())
        event_loop.close()
    del event_loop, event_loops
    gc.collect()
    # A second connection may have been opened: two descriptors. The notifiers of five event loops would have ten.
    assert count_descriptors() <= before + 4


def test_two_streams_of_one_task_in_step(simulate: Simulate) -> None:
    async def main() -> list[tuple[str, str]]:
        agent = agent_at(simulate("a b c"))
        one, other = agent.arun_stream("Go."), agent.arun_stream("Go.")
        return [(await anext(one), await anext(other)) for _ in range(3)]

    assert asyncio.run(main()) == [("a", "a"), (" b", " b"), (" c", " c")]


def test_a_token_is_not_lost_when_the_wait_for_it_is_cancelled(paced: Simulator) -> None:
    # Cancelling a wait for an async generator ends the generator, so the reader waits in a task and shields it.
    async def main() -> list[str]:
        stream = agent_at(paced).arun_stream("Go.")
        tokens: list[str] = []
        waiting = asyncio.ensure_future(anext(stream, None))
        while True:
            try:
                token = await asyncio.wait_for(asyncio.shield(waiting), 0.001)
            except asyncio.TimeoutError:
                continue
            if token is None:
                return tokens
            tokens.append(token)
            waiting = asyncio.ensure_future(anext(stream, None))

    assert asyncio.run(main()) == WORDS


def test_a_second_reader_of_one_stream_is_refused(simulate: Simulate) -> None:
    simulator = simulate("a b", fault={"kind": "stall", "after": 1})

    async def main() -> None:
        async with agent_at(simulator).arun_stream("Go.") as stream:
            await anext(stream)
            first = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            with pytest.raises(StreamInUseError):
                await anext(stream)
            await stream.aclose()
            with pytest.raises(StreamClosedError):
                await first

    asyncio.run(main())


def test_arun_stream_needs_a_running_event_loop_only_for_the_first_token(simulate: Simulate) -> None:
    stream = agent_at(simulate(["a"])).arun_stream("Go.")
    assert asyncio.run(collect(stream)) == ["a"]


def test_context_variables_are_those_of_the_reader(simulate: Simulate) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []

    async def main() -> None:
        variable.set("inside")
        await collect(
            agent_at(simulate("a b")).arun_stream("Go.", streaming_callback=lambda _: seen.append(variable.get()))
        )

    asyncio.run(main())
    assert seen == ["inside", "inside"]


class TestUvloop:
    """The same on uvloop, which has its own readers and futures."""

    @pytest.fixture
    def event_loop(self) -> asyncio.AbstractEventLoop:
        uvloop = pytest.importorskip("uvloop")
        event_loop = uvloop.new_event_loop()
        assert isinstance(event_loop, asyncio.AbstractEventLoop)
        return event_loop

    def test_streams(self, event_loop: asyncio.AbstractEventLoop, paced: Simulator) -> None:
        async def main() -> list[list[str]]:
            return await asyncio.gather(*(collect(agent_at(paced).arun_stream("Go.")) for _ in range(50)))

        assert event_loop.run_until_complete(main()) == [WORDS] * 50
        event_loop.close()

    def test_errors_and_closing(self, event_loop: asyncio.AbstractEventLoop, simulate: Simulate) -> None:
        async def main() -> None:
            with pytest.raises(ServerError):
                await collect(agent_at(simulate(fault={"kind": "status"})).arun_stream("Go."))
            stalled = simulate("a b", fault={"kind": "stall", "after": 1})
            async with agent_at(stalled).arun_stream("Go.") as stream:
                assert await anext(stream) == "a"
            wait_for_outcomes(stalled, "disconnected")
            task = asyncio.ensure_future(collect(agent_at(stalled).arun_stream("Go.")))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        event_loop.run_until_complete(main())
        event_loop.close()

    @needs_proc
    def test_event_loops_one_after_the_other(self, simulate: Simulate) -> None:
        uvloop = pytest.importorskip("uvloop")
        agent = agent_at(simulate(["a"]))

        def one_event_loop() -> None:
            event_loop = uvloop.new_event_loop()
            assert event_loop.run_until_complete(collect(agent.arun_stream("Go."))) == ["a"]
            event_loop.close()

        one_event_loop()
        gc.collect()
        before = count_descriptors()
        for _ in range(20):
            one_event_loop()
        gc.collect()
        # A second connection may have been opened.
        assert count_descriptors() <= before + 4


def test_outside_of_an_event_loop_the_error_says_what_to_do(simulate: Simulate) -> None:
    stream = agent_at(simulate("a")).arun_stream("Go.")
    with pytest.raises(ConfigurationError, match="running event loop of asyncio"):
        stream.__anext__().__await__().send(None)
    assert stream.state == "failed"


def test_under_trio_the_error_says_what_to_do(simulate: Simulate) -> None:
    trio = pytest.importorskip("trio")
    agent = agent_at(simulate("a"))

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="trio"):
            await anext(agent.arun_stream("Go."))

    trio.run(main)


def test_under_uvloop_tokens_stream_and_a_read_can_be_repeated(simulate: Simulate) -> None:
    uvloop = pytest.importorskip("uvloop")
    simulator = simulate("one two three four", pacing={"mode": "steady", "interval_ms": 20})

    async def main() -> list[str]:
        reading, said = aiter(agent_at(simulator).arun_stream("Go.")), []
        said.append(await anext(reading))
        while True:
            try:
                said.append(await asyncio.wait_for(anext(reading), 0.005))
            except asyncio.TimeoutError:
                continue
            except StopAsyncIteration:
                return said

    loop = uvloop.new_event_loop()
    try:
        assert loop.run_until_complete(main()) == ["one", " two", " three", " four"]
    finally:
        loop.close()
