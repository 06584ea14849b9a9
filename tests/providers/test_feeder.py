"""The feeder, when the answer ends while the stream is being closed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from headrace._providers.feeder import from_llm
from headrace.types import ModelCall, ModelSettings
from support.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Source:
    """A source that accepts everything."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def feed(self, _chunk: bytes) -> bool:
        return True

    def end(self) -> None:
        self.ended.set()


def test_a_stop_that_comes_when_the_event_loop_has_just_closed_is_no_error() -> None:
    answering, may_end = threading.Event(), threading.Event()

    async def answer(_messages: object) -> AsyncIterator[str]:
        answering.set()
        may_end.wait(PATIENCE)
        yield "one"

    source: Any = Source()
    call = ModelCall(ModelSettings("sim", llm=answer), ({"role": "user", "content": "Go."},))
    stop: Any = from_llm(answer, call).start(source)
    assert answering.wait(PATIENCE)
    close = stop.__self__._close  # What `stop` calls. It reads it before the answer ends, and calls it after.
    may_end.set()
    assert source.ended.wait(PATIENCE)
    close()
