"""The two drivers: they carry out what a loop asks for, and yield the tokens that come of it.

A run's state is one object, :class:`Run`, which the driver's generator and the caller's stream both hold. All that
differs between the drivers is how they wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import Self

from . import _native
from ._bell import bell_of_running_loop
from .errors import HeadraceError, StreamClosedError, StreamError
from .providers import PreparedRequest, is_instant, prepare
from .types import ModelSettings, Timing, Turn

if TYPE_CHECKING:
    from types import TracebackType

    from ._effects import Effect, Loop

__all__ = ["Run", "TokenCallback", "atokens", "tokens"]

TokenCallback: TypeAlias = Callable[[str], object]


class Run:
    """What happens, and has happened, in one run.

    Attributes:
        state: How the run stands; see ``RunStream.state``.
        closed: The reader has closed the stream.
        callback: What is called with each token before it is yielded.
    """

    def __init__(self, loop: Loop, callback: TokenCallback | None) -> None:
        self.state = "pending"
        self.closed = False
        self.callback = callback
        self._loop = loop
        self._streams: list[_native.Stream] = []
        self._batch: list[str] = []

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the model said in each turn, the current one as far as it was taken."""
        return tuple(Turn.from_native(stream.response()) for stream in self._streams)

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What the stamps of each turn say."""
        return tuple(Timing.from_native(stream.timing(), stream.arrivals()) for stream in self._streams)

    def close(self) -> None:
        """Closes the stream and its connection. May be called from any thread, and again."""
        self.closed = True
        self._batch.clear()
        for stream in self._streams[-1:]:
            stream.close()
        if self.state in ("pending", "streaming"):
            self.state = "cancelled"

    async def wait_closed(self) -> None:
        """Waits until the connection of the closed stream is gone."""
        for stream in self._streams[-1:]:
            await stream.closed()

    # What follows is for the drivers.

    def __enter__(self) -> Self:
        self._check_open()
        self.state = "streaming"
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.state = "complete"
        elif isinstance(error, StreamError):
            self.state = error.state
        elif isinstance(error, Exception) and not isinstance(error, StreamClosedError):
            self.state = "failed"
        else:
            # The reader left: by closing, by breaking out of its loop, by Ctrl-C, or because its task was cancelled.
            self.state = "cancelled"
        for stream in self._streams[-1:]:
            stream.close()

    def start(self) -> Effect | None:
        """The loop's first effect; None if it has none."""
        return self._next(lambda: next(self._loop))

    def resume(self) -> Effect | None:
        """The loop's next effect, now that the current turn has come to its end; None if there is no more."""
        self._check_open()
        turn = Turn.from_native(self._streams[-1].response())
        return self._next(lambda: self._loop.send(turn))

    def fail(self, error: HeadraceError) -> Effect | None:
        """What the loop does about an error. Raises it if the loop does nothing about it."""
        return self._next(lambda: self._loop.throw(error))

    def open(self, settings: ModelSettings, request: PreparedRequest) -> _native.Stream:
        """Sends a request."""
        self._check_open()
        stream = _native.open_stream(
            request.url,
            request.headers,
            request.body,
            request.dialect,
            connect_timeout=settings.timeouts.connect,
            first_token_timeout=settings.timeouts.first_token,
            idle_timeout=settings.timeouts.idle,
            max_event_bytes=settings.max_event_bytes,
            model=settings.model,
        )
        self._streams.append(stream)
        return stream

    def hold(self, batch: list[str]) -> list[str]:
        """Keeps hold of the tokens that are about to be yielded, so that ``close`` can take them back."""
        self._batch = batch
        return batch

    def _check_open(self) -> None:
        if self.closed:
            raise StreamClosedError("the stream was closed by its reader: start a new run to read more")

    @staticmethod
    def _next(step: Callable[[], Effect]) -> Effect | None:
        try:
            return step()
        except StopIteration:
            return None


def tokens(run: Run) -> Generator[str, None, None]:
    """Drives a run, waiting in this thread."""
    callback = run.callback
    with run:
        effect = run.start()
        while effect is not None:
            try:
                settings = effect.call.settings
                stream = run.open(settings, prepare(effect.call))
                while batch := run.hold(stream.next_batch()):
                    if callback is None:
                        yield from batch
                    else:
                        for token in batch:
                            callback(token)
                            yield token
                effect = run.resume()
            except HeadraceError as error:
                effect = run.fail(error)


async def atokens(run: Run) -> AsyncGenerator[str, None]:
    """Drives a run, waiting on the running event loop."""
    callback = run.callback
    bell = bell_of_running_loop()
    with run:
        effect = run.start()
        while effect is not None:
            try:
                settings = effect.call.settings
                instant = is_instant(settings)
                request = prepare(effect.call) if instant else await asyncio.to_thread(prepare, effect.call)
                stream = run.open(settings, request)
                while (batch := stream.take()) is not None:
                    if not batch:
                        await bell.ready(stream)
                    for token in run.hold(batch):
                        if callback is not None:
                            callback(token)
                        yield token
                effect = run.resume()
            except HeadraceError as error:
                effect = run.fail(error)
