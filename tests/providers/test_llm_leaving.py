"""Closing a run whose model is the caller's own: its generator is closed, and its thread ends."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from headrace import FirstTokenTimeoutError, StreamClosedError, Timeouts
from support.harness import PATIENCE, Reader, asking, collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Endless:
    """Yields numbers for ever, and records that it was closed."""

    def __init__(self, kind: str = "generator") -> None:
        self.last = 0
        self.closed = threading.Event()
        kinds = {"generator": self.generate, "async generator": self.agenerate, "coroutine": self.later_generate}
        self.llm: Callable[..., Any] = kinds[kind]

    def generate(self, _messages: object) -> Iterator[str]:
        try:
            for number in itertools.count():
                self.last = number
                yield f"{number} "
        finally:
            self.closed.set()

    async def later_generate(self, messages: object) -> Iterator[str]:
        return self.generate(messages)

    async def agenerate(self, _messages: object) -> AsyncIterator[str]:
        try:
            for number in itertools.count():
                self.last = number
                yield f"{number} "
                if number == 3:
                    # Nothing but cancelling ends this wait.
                    await asyncio.get_running_loop().create_future()
        finally:
            self.closed.set()


@pytest.fixture(params=["generator", "async generator", "coroutine"])
def endless(request: pytest.FixtureRequest) -> Endless:
    return Endless(request.param)


def assert_gone(endless: Endless) -> None:
    """The generator was closed, and its thread has ended."""
    assert endless.closed.wait(PATIENCE)
    for thread in threading.enumerate():
        if thread.name.startswith("headrace llm"):
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_close_closes_the_generator(endless: Endless, reader: Reader) -> None:
    reading = reader.start(asking(endless.llm))
    assert reading.take(2) == ["0 ", "1 "]
    reading.close()
    assert_gone(endless)
    assert reading.stream.state == "cancelled"
    assert reading.stream.text.startswith("0 1 ")
    assert isinstance(reading.to_end().error, StreamClosedError)


def test_the_end_of_a_with_block_closes_the_generator(endless: Endless, reader: Reader) -> None:
    with reader.start(asking(endless.llm)) as reading:
        reading.take(1)
    assert_gone(endless)


def test_dropping_the_stream_closes_the_generator(endless: Endless, reader: Reader) -> None:
    reading = reader.start(asking(endless.llm))
    reading.take(1)
    reading.drop()
    assert_gone(endless)


def test_breaking_out_of_the_loop_closes_the_generator(endless: Endless) -> None:
    for token in asking(endless.llm).run_stream("Go."):
        assert token == "0 "
        break
    assert_gone(endless)


def test_cancelling_the_task_closes_the_generator(endless: Endless) -> None:
    async def main() -> None:
        stream = asking(endless.llm).arun_stream("Go.")
        assert await anext(stream) == "0 "
        reading = asyncio.ensure_future(collect(stream))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert stream.state == "cancelled"

    asyncio.run(main())
    assert_gone(endless)


def test_a_function_that_does_not_answer_runs_into_the_timeout(reader: Reader) -> None:
    asked, answered = threading.Event(), threading.Event()

    def answer(_messages: object) -> str:
        asked.set()
        answered.wait(PATIENCE)
        return "too late"

    result = reader.read(asking(answer, timeouts=Timeouts(first_token=1.0)))
    assert type(result.error) is FirstTokenTimeoutError
    assert asked.is_set()
    answered.set()
    assert result.stream.text == ""


def test_an_answer_is_not_read_faster_than_its_stream(reader: Reader) -> None:
    endless = Endless()
    with reader.start(asking(endless.llm)) as reading:
        reading.take(1)
        deadline = time.monotonic() + PATIENCE
        before = -1
        while before != endless.last:
            assert time.monotonic() < deadline, "the generator never waits for the stream's reader"
            before = endless.last
            threading.Event().wait(0.05)
        assert before < 100_000
        # No token is lost.
        assert reading.take(before) == [f"{number} " for number in range(1, before + 1)]
    assert_gone(endless)
