"""A slow reader slows the provider, and loses nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from support.harness import PATIENCE, Reader, Simulate, agent_at, bytes_written, wait_until_it_blocks

if TYPE_CHECKING:
    from headrace.testing import Simulator

WORDS = [f"word-{n:04} " for n in range(1000)]
REPEAT = 100  # some 24 MB of stream


@pytest.fixture
def flood(simulate: Simulate) -> Simulator:
    """Sends far more than sockets and buffers can hold, as fast as it can."""
    return simulate(WORDS, repeat=REPEAT)


def test_a_reader_that_does_not_read_stops_the_provider(flood: Simulator, reader: Reader) -> None:
    with reader.start(agent_at(flood)) as reading:
        assert reading.take(1) == WORDS[:1]
        held = wait_until_it_blocks(flood)
        rest = reading.to_end()
        assert rest.error is None
        # The first token was read before.
        assert rest.tokens == (WORDS * REPEAT)[1:]
        assert held < bytes_written(flood) / 2


def test_a_stream_whose_provider_waits_can_be_closed(flood: Simulator, reader: Reader) -> None:
    with reader.start(agent_at(flood)) as reading:
        reading.take(1)
        wait_until_it_blocks(flood)
    assert flood.wait_for(lambda report: report["requests"][0]["outcome"] == "disconnected", PATIENCE)


def test_a_slow_reader_gets_every_token(simulate: Simulate) -> None:
    simulator = simulate(WORDS, pacing={"mode": "burst", "size": 100, "interval_ms": 5})

    async def main() -> list[str]:
        tokens = []
        async for token in agent_at(simulator).arun_stream("Go."):
            tokens.append(token)
            if len(tokens) % 250 == 0:
                await asyncio.sleep(0.02)
        return tokens

    assert asyncio.run(main()) == WORDS


def test_a_complete_answer_waits_for_its_reader(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(WORDS[:200])
    reading = reader.start(agent_at(simulator))
    first = reading.take(1)
    assert simulator.wait_for(lambda report: report["requests"][0]["outcome"] == "complete", PATIENCE)
    simulator.stop()
    rest = reading.to_end()
    assert (first + rest.tokens, rest.error) == (WORDS[:200], None)


def test_a_reader_that_does_not_read_stops_a_provider_of_large_tokens(simulate: Simulate, reader: Reader) -> None:
    """The channel is bounded by bytes too: 1024 tokens of this size would be a gigabyte."""
    token = "x" * 1_000_000
    simulator = simulate([token], repeat=64)
    with reader.start(agent_at(simulator)) as reading:
        assert reading.take(1) == [token]
        held = wait_until_it_blocks(simulator)
        rest = reading.to_end()
        assert (rest.error, len(rest.tokens)) == (None, 63)
        assert held < bytes_written(simulator) / 2
