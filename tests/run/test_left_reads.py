"""A read that was cancelled or interrupted never looks like the end of an answer afterwards."""

from __future__ import annotations

import _thread
import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from headrace import SequentialWorkflow, StreamClosedError
from support.harness import PATIENCE, agent_at, answer_on_demand, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TOKENS = ["one ", "two ", "three "]


@pytest.fixture
def paused() -> Iterator[str]:
    """The URL of a model that says one token and then waits for ever."""
    wanted = threading.Semaphore(1)
    with serving(answer_on_demand(TOKENS, wanted)) as port:
        yield f"http://127.0.0.1:{port}/v1"
        wanted.release(10)


@pytest.mark.parametrize("kind", ["agent", "workflow"])
def test_a_stream_whose_read_timed_out_says_so_when_it_is_read_on(paused: str, kind: str) -> None:
    agent = agent_at(paused)
    readable = agent if kind == "agent" else SequentialWorkflow(agents=[agent])

    async def main() -> None:
        stream: AsyncIterator[str] = readable.arun_stream("Go.")
        assert await anext(stream) == TOKENS[0]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        for _ in range(2):
            with pytest.raises(StreamClosedError, match="interrupted or cancelled"):
                await anext(stream)
        with pytest.raises(StreamClosedError):
            aiter(stream)
        assert (getattr(stream, "state", None), getattr(stream, "text", None)) == ("cancelled", TOKENS[0])

    asyncio.run(main())


def test_a_stream_whose_read_was_interrupted_says_so_when_it_is_read_on(paused: str) -> None:
    stream = agent_at(paused).run_stream("Go.")
    assert next(stream) == TOKENS[0]
    interrupt = threading.Timer(0.05, _thread.interrupt_main)
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    interrupt.join(PATIENCE)
    with pytest.raises(StreamClosedError, match="interrupted or cancelled"):
        next(stream)
    with pytest.raises(StreamClosedError):
        iter(stream)
    assert (stream.state, stream.text) == ("cancelled", TOKENS[0])
