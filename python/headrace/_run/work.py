"""What a run has open, and has to stop and release when its stream is closed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headrace import _native
    from headrace._concurrency.event_loop_thread import EventLoopThread

__all__ = ["Work"]

T = TypeVar("T")


class Work:
    """The current native stream, its feeder, the event loop for async tools, and the wait before a retry."""

    __slots__ = ("_event_loop_thread", "_stop_feeding", "_stop_task", "_stopped", "_stream", "_woken")

    def __init__(self) -> None:
        self._stopped = False
        self._stream: _native.Stream | None = None
        self._stop_feeding: Callable[[], None] | None = None
        self._stop_task: Callable[[], object] | None = None
        self._woken: threading.Event | None = None
        self._event_loop_thread: EventLoopThread | None = None

    def read_from(self, stream: _native.Stream, stop_feeding: Callable[[], None] | None) -> None:
        """Sets the stream that is read from now on.

        Args:
            stream: The stream.
            stop_feeding: Stops the feeder of a stream in the fed lane; None in the native lane.
        """
        if self._stop_feeding is not None:
            # The feeder of a failed attempt may still run.
            self._stop_feeding()
        self._stream, self._stop_feeding = stream, stop_feeding
        if self._stopped:
            # Another thread closed the run while the request was sent. `_stopped` is set before `release` reads
            # `_stream`, and `_stream` is set before `_stopped` is read here: either it closes the stream, or we do.
            self.release()

    def on_stop(self, stop: Callable[[], object] | None) -> None:
        """Sets the function by which :meth:`stop` cancels the current task; None when the task has ended."""
        self._stop_task = stop
        if stop is not None and self._stopped:
            stop()

    def run_on_loop(self, main: Callable[[], Awaitable[T]]) -> T:
        """Runs a coroutine on this run's event loop for async tools. Blocks the calling thread until it has ended.

        Raises:
            asyncio.CancelledError: The stream was closed.
        """
        from headrace._concurrency.event_loop_thread import EventLoopThread

        self._event_loop_thread = self._event_loop_thread or EventLoopThread("headrace-loop")
        return self._event_loop_thread.run(main)

    def sleep(self, seconds: float) -> None:
        """Blocks the calling thread for some seconds, or until :meth:`stop` is called."""
        # Made only here, because the object is large and few runs wait. Set before `_stopped` is read, so that no
        # `stop` is missed.
        self._woken = threading.Event()
        if not self._stopped:
            # A provider may ask for any time, but longer waits raise OverflowError.
            self._woken.wait(min(seconds, threading.TIMEOUT_MAX))

    def stop(self) -> None:
        """Ends the current wait and cancels the current task. May be called from any thread."""
        self._stopped = True
        if self._woken is not None:
            self._woken.set()
        stop_task = self._stop_task  # read once, because another thread may set it to None now
        if stop_task is not None:
            stop_task()

    def release(self) -> None:
        """Closes the connection, the feeder and the event loop. May be called from any thread, and repeatedly."""
        if self._stream is not None:
            self._stream.close()
        stop_feeding = self._stop_feeding  # read once, because another thread may set it to None now
        if stop_feeding is not None:
            stop_feeding()
        if self._event_loop_thread is not None:
            self._event_loop_thread.close()

    async def released(self) -> None:
        """Waits until the connection of the closed stream is gone."""
        from headrace._concurrency.wakeups import notifier_of_running_loop

        if self._stream is not None:
            await notifier_of_running_loop().gone(self._stream)
