"""What goes on for a run, and must end when its stream is closed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headrace import _native
    from headrace._concurrency.loop_thread import LoopThread

__all__ = ["Work"]

T = TypeVar("T")


class Work:
    """The stream that is read, what feeds it, the event loop of async tools, and a wait."""

    __slots__ = ("_loop_thread", "_stop_feeding", "_stop_task", "_stopped", "_stream", "_woken")

    def __init__(self) -> None:
        self._stopped = False
        self._stream: _native.Stream | None = None
        self._stop_feeding: Callable[[], None] | None = None
        self._stop_task: Callable[[], object] | None = None
        self._woken: threading.Event | None = None
        self._loop_thread: LoopThread | None = None

    def read_from(self, stream: _native.Stream, stop_feeding: Callable[[], None] | None) -> None:
        """Notes the stream that is read from now on.

        Args:
            stream: The stream.
            stop_feeding: Stops what feeds it, where Python does.
        """
        if self._stop_feeding is not None:
            # What feeds an attempt that has failed.
            self._stop_feeding()
        self._stream, self._stop_feeding = stream, stop_feeding
        if self._stopped:
            # The stream was closed while the request was sent. `stop` sets its mark before `release` looks for a
            # stream, so one of the two sees the other.
            self.release()

    def on_stop(self, stop: Callable[[], object] | None) -> None:
        """Notes what :meth:`stop` calls to stop the task that is awaited; None when there is none any more."""
        self._stop_task = stop
        if stop is not None and self._stopped:
            stop()

    def run_on_loop(self, main: Callable[[], Awaitable[T]]) -> T:
        """Runs a coroutine on the event loop that this run has for its async tools, and waits for it in this thread.

        Raises:
            asyncio.CancelledError: The stream was closed.
        """
        from headrace._concurrency.loop_thread import LoopThread

        self._loop_thread = self._loop_thread or LoopThread("headrace-loop")
        return self._loop_thread.run(main)

    def sleep(self, seconds: float) -> None:
        """Waits in this thread, until :meth:`stop` is called at most."""
        # Made here, since few runs ever wait and it is large; before the look, so that no `stop` is missed.
        self._woken = threading.Event()
        if not self._stopped:
            # A provider may ask for any time, but no clock counts further than this: some months, or centuries.
            self._woken.wait(min(seconds, threading.TIMEOUT_MAX))

    def stop(self) -> None:
        """Ends what is waited for. May be called from any thread."""
        self._stopped = True
        if self._woken is not None:
            self._woken.set()
        stop_task = self._stop_task  # once, since another thread may end the task now
        if stop_task is not None:
            stop_task()

    def release(self) -> None:
        """Lets go of everything: connection, feeder and event loop. May be called from any thread, and again."""
        if self._stream is not None:
            self._stream.close()
        stop_feeding = self._stop_feeding  # once, since another thread may open the next turn now
        if stop_feeding is not None:
            stop_feeding()
        if self._loop_thread is not None:
            self._loop_thread.close()

    async def released(self) -> None:
        """Waits until the connection of the stream that was closed is gone."""
        from headrace._concurrency.wakeups import notifier_of_running_loop

        if self._stream is not None:
            await notifier_of_running_loop().gone(self._stream)
