"""Tokens reach the caller when they arrive, and the request is sent when the caller reads the first."""

from __future__ import annotations

import asyncio
import threading

import pytest

from support.harness import (
    Reader,
    Simulate,
    agent_at,
    answer_on_demand,
    count_threads,
    needs_proc,
    serving,
    the_request,
)


@pytest.mark.parametrize("after", [1, 2, 5])
def test_tokens_are_received_before_the_answer_is_complete(simulate: Simulate, reader: Reader, after: int) -> None:
    simulator = simulate("a b c d e f", fault={"kind": "stall", "after": after})
    with reader.start(agent_at(simulator)) as reading:
        assert len(reading.take(after)) == after
        # The simulator has sent no more, and never will.
        assert the_request(simulator)["outcome"] == "running"


def test_each_token_is_received_before_the_next_is_sent(reader: Reader) -> None:
    tokens = [f"{number}" for number in range(10)]
    wanted = threading.Semaphore(0)
    with (
        serving(answer_on_demand(tokens, wanted)) as port,
        reader.start(agent_at(f"http://127.0.0.1:{port}/v1")) as reading,
    ):
        for token in tokens:
            wanted.release()
            assert reading.take(1) == [token]
        wanted.release()
        assert reading.to_end().error is None


def test_nothing_is_sent_before_the_first_token_is_asked_for(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    agent = agent_at(simulator)
    never_read = reader.start(agent, "This task is never sent.")
    reader.read(agent, "This one is.")
    assert [request["body"]["messages"][0]["content"] for request in simulator.report()["requests"]] == ["This one is."]
    assert never_read.stream.state == "pending"


def test_a_stream_that_was_never_read_sends_nothing_when_it_is_closed(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    with reader.start(agent_at(simulator)):
        pass
    assert simulator.report()["connections"]["accepted"] == 0


@needs_proc
def test_a_stream_that_was_never_read_has_no_threads(reader: Reader) -> None:
    before = count_threads()
    reading = reader.start(agent_at("http://127.0.0.1:1/v1"))
    assert count_threads() == before
    reading.close()


def test_the_event_loop_runs_while_a_stream_waits(simulate: Simulate) -> None:
    simulator = simulate("a b", fault={"kind": "stall", "after": 1})

    async def main() -> int:
        stream = agent_at(simulator).arun_stream("Go.")
        assert await anext(stream) == "a"
        waiting = asyncio.ensure_future(anext(stream))
        ticks = 0
        while ticks < 1000:
            await asyncio.sleep(0)
            ticks += 1
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        return ticks

    assert asyncio.run(main()) == 1000
