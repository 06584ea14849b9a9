"""A read that was cancelled or interrupted loses nothing, and never looks like the end of an answer afterwards."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from headrace import SequentialWorkflow, StreamClosedError, StreamInUseError
from support.harness import PATIENCE, Simulate, agent_at, answer_on_demand, serving, wait_for_outcomes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TOKENS = ["one ", "two ", "three "]


class Paused:
    """A model that says the next token when it is asked to."""

    def __init__(self, url: str, wanted: threading.Semaphore) -> None:
        self.url = url
        self._wanted = wanted

    def say(self, count: int = 1) -> None:
        self._wanted.release(count)


@pytest.fixture
def paused() -> Iterator[Paused]:
    """A model that says one token and then waits."""
    wanted = threading.Semaphore(1)
    with serving(answer_on_demand(TOKENS, wanted)) as port:
        yield Paused(f"http://127.0.0.1:{port}/v1", wanted)
        wanted.release(10)


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("kept", [False, True], ids=["stream", "iterator"])
def test_a_read_that_timed_out_can_be_repeated(paused: Paused, kept: bool, debug: bool) -> None:
    async def main() -> list[str]:
        stream = agent_at(paused.url).arun_stream("Go.")
        reading: AsyncIterator[str] = aiter(stream) if kept else stream
        said = [await anext(reading)]
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(reading), 0.01)
            assert stream.state == "streaming"
        paused.say(9)
        said += [token async for token in reading]
        assert stream.state == "complete"
        return said

    assert asyncio.run(main(), debug=debug) == TOKENS


def test_the_token_that_comes_with_the_timeout_is_not_lost(simulate: Simulate) -> None:
    """Heartbeats at the very pace of the tokens, so that some reads are cancelled as their token comes."""
    words = [f"{number} " for number in range(200)]
    simulator = simulate(words, pacing={"mode": "steady", "interval_ms": 1})

    async def main() -> list[str]:
        said: list[str] = []
        reading = aiter(agent_at(simulator).arun_stream("Go."))
        while True:
            try:
                said.append(await asyncio.wait_for(anext(reading), 0.001))
            except asyncio.TimeoutError:
                continue
            except StopAsyncIteration:
                return said

    # A timeout may hit the opening of the request, which ends the run.
    with contextlib.suppress(StreamClosedError):
        assert asyncio.run(main()) == words


def test_a_workflow_says_that_a_cancelled_read_has_closed_it(paused: Paused) -> None:
    async def main() -> None:
        stream: Any = SequentialWorkflow(agents=[agent_at(paused.url)]).arun_stream("Go.")
        assert await anext(stream) == TOKENS[0]
        kept = aiter(stream)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        for _ in range(2):
            with pytest.raises(StreamClosedError, match="interrupted or cancelled"):
                await anext(stream)
            with pytest.raises(StreamClosedError, match="interrupted or cancelled"):
                await anext(kept)
        assert (stream.state, stream.text) == ("cancelled", TOKENS[0])

    asyncio.run(main())


def test_events_say_that_a_cancelled_read_has_closed_them(paused: Paused) -> None:
    async def main() -> None:
        stream: Any = agent_at(paused.url).arun_stream("Go.", with_events=True)
        kept = aiter(stream)
        while (await anext(kept)).type != "token":
            pass
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(kept), 0.01)
        with pytest.raises(StreamClosedError, match="interrupted or cancelled"):
            await anext(kept)

    asyncio.run(main())


@pytest.mark.parametrize("kept", [False, True], ids=["stream", "iterator"])
def test_a_read_that_was_interrupted_can_be_repeated(paused: Paused, kept: bool) -> None:
    stream = agent_at(paused.url).run_stream("Go.")
    reading = iter(stream) if kept else stream
    assert next(reading) == TOKENS[0]
    interrupt = threading.Timer(0.05, _thread.interrupt_main)
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        next(reading)
    interrupt.join(PATIENCE)
    assert stream.state == "streaming"
    paused.say(9)
    assert list(reading) == TOKENS[1:]
    assert stream.state == "complete"


def test_a_second_event_loop_reads_on(paused: Paused) -> None:
    stream = agent_at(paused.url).arun_stream("Go.")
    reading = aiter(stream)

    async def first() -> str:
        return await anext(reading)

    async def rest() -> list[str]:
        asyncio.get_running_loop().call_later(0.01, paused.say, 9)
        return [token async for token in reading]

    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        assert one.run_until_complete(first()) == TOKENS[0]
        assert other.run_until_complete(rest()) == TOKENS[1:]
    finally:
        one.close()
        other.close()


def test_asyncio_run_closes_what_it_has_read(paused: Paused) -> None:
    """It closes the async generators of its event loop at its end, and the run is one."""
    stream = agent_at(paused.url).arun_stream("Go.")
    reading = aiter(stream)

    async def read() -> str:
        return await anext(reading)

    assert asyncio.run(read()) == TOKENS[0]
    with pytest.raises(StreamClosedError, match="interrupted or cancelled"):
        asyncio.run(read())


def test_a_task_that_ends_after_a_cancelled_read_closes_the_stream(simulate: Simulate) -> None:
    simulator = simulate(TOKENS, fault={"kind": "stall", "after": 1})

    async def main() -> None:
        stream = agent_at(simulator).arun_stream("Go.")

        async def read() -> None:
            async for _token in stream:
                started.set()

        started = asyncio.Event()
        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Nobody dropped the stream: it is still in a variable here.
        assert stream.state == "cancelled"
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected")
        with pytest.raises(StreamClosedError, match="interrupted or cancelled"):
            await anext(stream)

    asyncio.run(main())


def test_one_task_at_a_time(paused: Paused) -> None:
    async def main() -> None:
        stream = agent_at(paused.url).arun_stream("Go.")
        assert await anext(stream) == TOKENS[0]
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(StreamInUseError):
                await anext(stream)
        paused.say(9)
        assert await waiting == TOKENS[1]
        assert await anext(stream) == TOKENS[2]

    asyncio.run(main())


def test_two_reads_that_begin_at_once_are_one_too_many(paused: Paused) -> None:
    async def main() -> None:
        stream = agent_at(paused.url).arun_stream("Go.")
        assert await anext(stream) == TOKENS[0]
        asyncio.get_running_loop().call_later(0.01, paused.say, 9)
        read = await asyncio.gather(anext(stream), anext(stream), return_exceptions=True)
        assert [read[0], type(read[1])] == [TOKENS[1], StreamInUseError]
        assert await anext(stream) == TOKENS[2]

    asyncio.run(main())


def test_one_thread_at_a_time(paused: Paused) -> None:
    stream = agent_at(paused.url).run_stream("Go.")
    reading = iter(stream)
    assert next(reading) == TOKENS[0]
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(next(reading)))
    thread.start()
    while thread.is_alive():
        try:
            said.append(next(stream))  # the thread has not begun to read
        except StreamInUseError:
            break
        finally:
            paused.say(1)
    thread.join(PATIENCE)
    paused.say(9)
    said += reading
    assert sorted(said) == sorted(TOKENS[1:])


def test_waiting_for_tokens_makes_nothing_for_the_garbage_collector(simulate: Simulate) -> None:
    words = [f"{number} " for number in range(300)]
    simulator = simulate(words, pacing={"mode": "steady", "interval_ms": 1})

    async def main() -> int:
        reading = aiter(agent_at(simulator).arun_stream("Go."))
        for _ in range(20):
            await anext(reading)
        gc.collect()
        gc.disable()
        try:
            before = gc.get_count()[0]
            for _ in range(200):
                await anext(reading)
            return gc.get_count()[0] - before
        finally:
            gc.enable()

    # Handles of the event loop come and go; nothing stays that the garbage collector would have to look at.
    assert asyncio.run(main()) < 50
