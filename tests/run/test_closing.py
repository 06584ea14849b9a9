"""Whichever way a reader leaves, the connection is closed at once, and the stream's state is right."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from headrace import StreamClosedError
from support.harness import (
    PATIENCE,
    Reader,
    Simulate,
    agent_at,
    collect,
    outcomes,
    wait_for_outcomes,
    wait_until_disconnected,
)

if TYPE_CHECKING:
    from headrace import AsyncRunStream, RunStream
    from headrace.testing import Simulator


@pytest.fixture
def stalled(simulate: Simulate) -> Simulator:
    """A model that sends two words, and then nothing until the reader leaves."""
    return simulate("one two three", fault={"kind": "stall", "after": 2})


@pytest.fixture
def one_and_one_later(simulate: Simulate) -> Simulator:
    """A model that sends a word, a little later another, and then nothing."""
    pacing = {"mode": "steady", "interval_ms": 5}
    return simulate("one two three", pacing=pacing, fault={"kind": "stall", "after": 2})


def wait_for_frames(simulator: Simulator, count: int) -> None:
    """Waits until so many frames have been sent, including the one for the role."""
    assert simulator.wait_for(lambda report: report["requests"][0]["frames_written"] >= count, PATIENCE)


def test_close_closes_the_connection(stalled: Simulator, reader: Reader) -> None:
    reading = reader.start(agent_at(stalled))
    reading.take(2)
    reading.close()
    wait_for_outcomes(stalled, "disconnected")
    assert (reading.stream.state, reading.stream.text) == ("cancelled", "one two")


def test_the_end_of_a_with_block_closes_the_connection(stalled: Simulator, reader: Reader) -> None:
    with reader.start(agent_at(stalled)) as reading:
        reading.take(1)
    wait_for_outcomes(stalled, "disconnected")
    assert reading.stream.state == "cancelled"


def test_an_error_inside_a_with_block_closes_the_connection_and_is_raised(stalled: Simulator) -> None:
    def work() -> None:
        with agent_at(stalled).run_stream("Go.") as stream:
            next(stream)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    wait_for_outcomes(stalled, "disconnected")


def test_closing_twice_is_the_same_as_closing_once(stalled: Simulator, reader: Reader) -> None:
    with reader.start(agent_at(stalled)) as reading:
        reading.take(1)
        reading.close()
        reading.close()
    assert reading.stream.state == "cancelled"
    wait_for_outcomes(stalled, "disconnected")


def test_a_stream_may_be_closed_before_it_is_read(stalled: Simulator, reader: Reader) -> None:
    reading = reader.start(agent_at(stalled))
    reading.close()
    assert reading.stream.state == "cancelled"
    assert isinstance(reading.to_end().error, StreamClosedError)
    assert outcomes(stalled) == []


def test_a_closed_stream_cannot_be_read(stalled: Simulator, reader: Reader) -> None:
    reading = reader.start(agent_at(stalled))
    reading.take(1)
    reading.close()
    for _ in range(2):
        with pytest.raises(StreamClosedError, match="start a new run"):
            reading.next()


def test_a_closed_stream_cannot_be_looped_over_or_entered(stalled: Simulator) -> None:
    stream = agent_at(stalled).run_stream("Go.")
    stream.close()
    with pytest.raises(StreamClosedError):
        iter(stream)
    with pytest.raises(StreamClosedError):
        stream.__enter__()
    astream = agent_at(stalled).arun_stream("Go.")
    asyncio.run(astream.aclose())
    with pytest.raises(StreamClosedError):
        aiter(astream)
    with pytest.raises(StreamClosedError):
        asyncio.run(astream.__aenter__())


def test_tokens_that_were_not_read_are_dropped_by_close(simulate: Simulate, reader: Reader) -> None:
    reading = reader.start(agent_at(simulate("one two three four")))
    assert reading.take(1) == ["one"]
    reading.close()
    result = reading.to_end()
    assert (result.tokens, type(result.error)) == ([], StreamClosedError)


def test_closing_a_stream_that_was_read_to_its_end_does_nothing(simulate: Simulate, reader: Reader) -> None:
    reading = reader.start(agent_at(simulate("one two")))
    reading.to_end()
    reading.close()
    assert (reading.stream.state, reading.stream.text) == ("complete", "one two")
    again = reading.to_end()
    assert (again.tokens, again.error) == ([], None)


def test_breaking_out_of_a_loop_closes_the_connection(stalled: Simulator) -> None:
    for token in agent_at(stalled).run_stream("Go."):
        assert token == "one"
        break
    wait_for_outcomes(stalled, "disconnected")


def test_breaking_out_of_an_async_loop_closes_the_connection(stalled: Simulator) -> None:
    async def main() -> None:
        async for token in agent_at(stalled).arun_stream("Go."):
            assert token == "one"
            break
        await asyncio.to_thread(wait_for_outcomes, stalled, "disconnected")

    asyncio.run(main())


def test_a_stream_can_be_read_on_after_a_break_if_it_is_held(simulate: Simulate) -> None:
    simulator = simulate(["a", "b", "c"])
    stream = agent_at(simulator).run_stream("Go.")
    for token in stream:
        assert token == "a"
        break
    assert list(stream) == ["b", "c"]


def test_an_async_stream_can_be_read_on_after_a_break_if_it_is_held(simulate: Simulate) -> None:
    simulator = simulate(["a", "b", "c"])

    async def main() -> list[str]:
        stream = agent_at(simulator).arun_stream("Go.")
        async for token in stream:
            assert token == "a"
            break
        return [token async for token in stream]

    assert asyncio.run(main()) == ["b", "c"]


def test_an_error_in_a_loop_closes_the_connection(stalled: Simulator) -> None:
    def work() -> None:
        for _token in agent_at(stalled).run_stream("Go."):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    wait_for_outcomes(stalled, "disconnected")


@pytest.mark.parametrize("taken", [1, 2])
def test_dropping_a_stream_closes_the_connection(stalled: Simulator, reader: Reader, taken: int) -> None:
    reading = reader.start(agent_at(stalled))
    reading.take(taken)
    reading.drop()
    wait_for_outcomes(stalled, "disconnected")


def test_a_stream_in_a_reference_cycle_is_closed_by_the_garbage_collector(stalled: Simulator) -> None:
    stream = agent_at(stalled).run_stream("Go.")
    next(stream)
    cycle: list[object] = [stream]
    cycle.append(cycle)
    del stream, cycle
    gc.collect()
    wait_for_outcomes(stalled, "disconnected")


def test_cancelling_the_reading_task_closes_the_connection(stalled: Simulator) -> None:
    async def main() -> None:
        stream = agent_at(stalled).arun_stream("Go.")
        tokens: list[str] = []

        async def read() -> None:
            async for token in stream:
                tokens.append(token)
                if len(tokens) == 2:
                    read_two.set()

        read_two = asyncio.Event()
        task = asyncio.ensure_future(read())
        await read_two.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tokens == ["one", " two"]
        assert stream.state == "cancelled"
        await asyncio.to_thread(wait_for_outcomes, stalled, "disconnected")

    asyncio.run(main())


def test_a_task_that_is_cancelled_before_the_first_token_closes_the_connection(simulate: Simulate) -> None:
    simulator = simulate(fault={"kind": "silent"})

    async def main() -> None:
        task = asyncio.ensure_future(collect(agent_at(simulator).arun_stream("Go.")))
        await asyncio.to_thread(wait_for_outcomes, simulator, "running")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected")

    asyncio.run(main())


def test_wait_for_closes_the_connection_at_its_timeout(stalled: Simulator) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(collect(agent_at(stalled).arun_stream("Go.")), 1.0)
        await asyncio.to_thread(wait_for_outcomes, stalled, "disconnected")

    asyncio.run(main())


def test_the_end_of_the_event_loop_closes_the_connection(stalled: Simulator) -> None:
    kept = []

    async def main() -> None:
        stream = agent_at(stalled).arun_stream("Go.")
        kept.append(stream)
        await anext(stream)

    asyncio.run(main())
    wait_for_outcomes(stalled, "disconnected")
    assert kept[0].state == "cancelled"


def test_close_from_another_thread_ends_a_blocked_reader(stalled: Simulator) -> None:
    stream = agent_at(stalled).run_stream("Go.")
    blocked = threading.Event()
    errors: list[Exception] = []

    def read() -> None:
        try:
            for token in stream:
                if token == " two":
                    blocked.set()  # or about to be, which must not matter
        except StreamClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert blocked.wait(PATIENCE)
    stream.close()
    thread.join(PATIENCE)
    assert [type(error) for error in errors] == [StreamClosedError]
    assert (stream.state, stream.text) == ("cancelled", "one two")
    wait_for_outcomes(stalled, "disconnected")


def test_aclose_from_another_task_ends_a_waiting_reader(stalled: Simulator) -> None:
    async def main() -> None:
        stream = agent_at(stalled).arun_stream("Go.")
        assert [await anext(stream), await anext(stream)] == ["one", " two"]
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        with pytest.raises(StreamClosedError):
            await reading
        assert stream.state == "cancelled"
        await asyncio.to_thread(wait_for_outcomes, stalled, "disconnected")

    asyncio.run(main())


def test_a_loop_that_closes_its_own_stream_gets_no_more_tokens(one_and_one_later: Simulator) -> None:
    agent = agent_at(one_and_one_later)

    def read(tokens: list[str]) -> None:
        stream = agent.run_stream("Go.")
        for token in stream:
            tokens.append(token)
            wait_for_frames(one_and_one_later, 3)
            stream.close()

    for _ in range(20):
        one_and_one_later.reset()
        tokens: list[str] = []
        with pytest.raises(StreamClosedError):
            read(tokens)
        assert tokens == ["one"]


def test_an_async_loop_that_closes_its_own_stream_gets_no_more_tokens(one_and_one_later: Simulator) -> None:
    agent = agent_at(one_and_one_later)

    async def read(tokens: list[str]) -> None:
        stream = agent.arun_stream("Go.")
        async for token in stream:
            tokens.append(token)
            wait_for_frames(one_and_one_later, 3)
            await stream.aclose()

    for _ in range(20):
        one_and_one_later.reset()
        tokens: list[str] = []
        with pytest.raises(StreamClosedError):
            asyncio.run(read(tokens))
        assert tokens == ["one"]


def test_aclose_returns_when_the_connection_is_gone(stalled: Simulator) -> None:
    async def main() -> None:
        stream = agent_at(stalled).arun_stream("Go.")
        await anext(stream)
        await asyncio.wait_for(stream.aclose(), PATIENCE)
        # The simulator may notice it a little later.
        await asyncio.to_thread(wait_for_outcomes, stalled, "disconnected")

    asyncio.run(main())


WORDS = [f"{number} " for number in range(200)]


@pytest.fixture
def endless(simulate: Simulate) -> Simulator:
    """A model that sends five words every millisecond, and never ends."""
    pacing = {"mode": "burst", "size": 5, "interval_ms": 1}
    return simulate(WORDS, pacing=pacing, fault={"kind": "stall", "after": len(WORDS)})


def test_a_stream_may_be_closed_at_any_moment_from_any_thread(endless: Simulator) -> None:
    agent = agent_at(endless)

    def read(stream: RunStream[str]) -> tuple[list[str], StreamClosedError]:
        tokens: list[str] = []
        try:
            while True:
                tokens.append(next(stream))
        except StreamClosedError as error:
            return tokens, error

    with ThreadPoolExecutor(1) as pool:
        for moment in range(50):
            stream = agent.run_stream("Go.")
            reading = pool.submit(read, stream)
            time.sleep(moment / 2500)
            stream.close()
            tokens, error = reading.result(PATIENCE)
            assert tokens == WORDS[: len(tokens)]
            assert "closed by its reader" in str(error)
            assert stream.state == "cancelled"
    wait_until_disconnected(endless)


def test_a_task_may_be_cancelled_at_any_moment(endless: Simulator) -> None:
    agent = agent_at(endless)

    async def read(stream: AsyncRunStream[str], tokens: list[str]) -> None:
        async for token in stream:
            tokens.append(token)  # noqa: PERF401 - those before the cancellation count

    async def main() -> None:
        for moment in range(50):
            stream = agent.arun_stream("Go.")
            tokens: list[str] = []
            task = asyncio.ensure_future(read(stream, tokens))
            await asyncio.sleep(moment / 2500)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert tokens == WORDS[: len(tokens)]
            assert stream.text.startswith("".join(tokens))
        await asyncio.to_thread(wait_until_disconnected, endless)

    asyncio.run(main())
