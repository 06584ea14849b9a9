"""How native streams wake an event loop.

Each event loop has one notifier, and those who wait for streams. The notifier is a file descriptor that the event loop
watches or, where it watches none, a thread that waits and calls it. The
engine's threads queue the keys of the streams that became ready and write to the descriptor once; the native notifier
then wakes all who wait for these streams: reads of native iterators, and the listeners of this module.
"""

from __future__ import annotations

import errno
import threading
import weakref
from typing import TYPE_CHECKING

from headrace import _native
from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Listener", "notifier_of_running_loop", "running_loop"]


_LOOK = 1.0
"""Seconds between two looks whether an event loop is gone."""


class EventLoopNotifier:
    """Wakes the tasks of one event loop."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop) -> None:
        # A weak reference, because the event loop holds this object too. We keep it rather than call
        # `get_running_loop` for each wait, because that asks the kernel for the process id each time.
        self.event_loop = weakref.ref(event_loop)
        self.native = _watched(event_loop) or _waited_for(event_loop)

    def new_future(self) -> asyncio.Future[None]:
        """A future of the event loop."""
        event_loop = self.event_loop()
        if event_loop is None:
            raise RuntimeError("the event loop that this stream was read on is gone: start a new run on another")
        return event_loop.create_future()

    def ready(self, stream: _native.Stream) -> Listener:
        """A listener that is woken when a stream may have something to read, or has ended."""
        return Listener(self, id(stream), stream.arm)

    async def gone(self, stream: _native.Stream) -> None:
        """Waits until a closed stream has released its connection."""
        await self.armed(stream, stream.arm_gone)

    async def armed(self, what: object, arm: Callable[[_native.Waker], bool]) -> None:
        """Waits until there is no need to wait.

        Args:
            what: What is waited for. A stream keeps one waker only, so all who wait for it share a key.
            arm: Registers a waker; True if there is no need to wait.
        """
        with Listener(self, id(what), arm) as listener:
            while (ready := listener.listen()) is not None:
                await ready


def _watched(event_loop: asyncio.AbstractEventLoop) -> _native.Notifier | None:
    """A notifier whose descriptor the event loop watches; None if there is none, or the event loop watches none."""
    try:
        native = _native.Notifier()
        # With this the event loop holds the native notifier.
        event_loop.add_reader(native.fileno(), native.drain)
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    return native


def _waited_for(event_loop: asyncio.AbstractEventLoop) -> _native.Notifier:
    """A notifier that a thread waits for, for event loops such as that of Windows, which watch no descriptors."""
    native = _native.Notifier(descriptor=False)
    held = weakref.ref(event_loop)
    thread = threading.Thread(target=_call_when_woken, args=(native, held), name="headrace-wake", daemon=True)
    thread.start()
    return native


def _call_when_woken(native: _native.Notifier, held: weakref.ref[asyncio.AbstractEventLoop]) -> None:
    while True:
        woken = native.wait(_LOOK)
        event_loop = held()
        if event_loop is None or event_loop.is_closed():
            return
        if woken:
            drained = threading.Event()
            try:
                event_loop.call_soon_threadsafe(_drain, native, drained)
            except RuntimeError:  # it was closed meanwhile
                return
            # Until then, waiting would return at once.
            while not drained.wait(_LOOK) and not event_loop.is_closed():
                pass
        del event_loop  # this thread must not keep it


def _drain(native: _native.Notifier, drained: threading.Event) -> None:
    try:
        native.drain()
    finally:
        drained.set()


class Listener:
    """Waits for one stream, any number of times within one ``with`` block, so that it is set up once per stream.

    A stream keeps only one waker, so all listeners of one stream share its key and are woken together. A later stream
    may get the same key; then the worst that can happen is a spurious wake-up.

    Args:
        notifier: The notifier of the event loop.
        key: Identifies the stream.
        arm: Registers a waker with the stream; True if there is no need to wait.
    """

    __slots__ = ("_arm", "_key", "_notifier", "_ready", "_waker")

    def __init__(self, notifier: EventLoopNotifier, key: int, arm: Callable[[_native.Waker], bool]) -> None:
        self._notifier = notifier
        self._key = key
        self._arm = arm
        self._waker = notifier.native.waker(key)
        self._ready: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._notifier.native.add(self._key, self)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._notifier.native.remove(self._key, self)

    def listen(self) -> asyncio.Future[None] | None:
        """The future to await; None if there is no need to wait. Safe to cancel: nothing has been taken yet."""
        if self._arm(self._waker):
            return None
        self._ready = self._notifier.new_future()
        return self._ready

    def wake(self) -> None:
        """Ends the wait, if there is one."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)


_notifiers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, EventLoopNotifier] = weakref.WeakKeyDictionary()


def notifier_of_running_loop() -> EventLoopNotifier:
    """The notifier of the event loop that runs in this thread, made at the first call.

    Raises:
        ConfigurationError: No event loop of asyncio is running in this thread.
    """
    from asyncio import get_running_loop

    try:
        event_loop = get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "an async stream is read in a running event loop of asyncio (uvloop, and anyio on asyncio, are that too); "
            "elsewhere, as under trio, read run_stream in a thread"
        ) from None
    notifier = _notifiers.get(event_loop)
    if notifier is None:
        notifier = _notifiers[event_loop] = EventLoopNotifier(event_loop)
    return notifier


def running_loop() -> tuple[weakref.ref[asyncio.AbstractEventLoop], _native.Notifier]:
    """A weak reference to the event loop that runs in this thread, and what wakes it; for native iterators.

    Raises:
        ConfigurationError: No event loop of asyncio is running in this thread.
    """
    notifier = notifier_of_running_loop()
    return notifier.event_loop, notifier.native
