"""How native streams wake an event loop.

Each loop has one bell: a file descriptor that it watches, and those who listen for streams. Network threads put the
keys of the streams that became ready on a list and write the descriptor once; the loop then wakes all of them.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from headrace import _native

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Listener", "bell_of_running_loop"]


class LoopBell:
    """The bell of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not the loop itself: the bell would keep it alive, and be kept alive by it. And not `get_running_loop`, which
        # asks the kernel for the process id each time.
        self._loop = weakref.ref(loop)
        self.native = _native.Bell()
        self.listeners: dict[int, list[Listener]] = {}
        # The loop holds this object through its reader, not the other way round: a bell goes with its loop.
        loop.add_reader(self.native.fileno(), self._answer)

    def new_future(self) -> asyncio.Future[None]:
        """A future of the loop."""
        loop = self._loop()
        if loop is None:
            raise RuntimeError("the event loop that this stream was read on is gone: start a new run on another")
        return loop.create_future()

    def ready(self, stream: _native.Stream) -> Listener:
        """Listens until a stream may have something to take, or has ended."""
        return Listener(self, id(stream), stream.arm)

    async def gone(self, stream: _native.Stream) -> None:
        """Waits until a closed stream has let go of its connection."""
        with Listener(self, id(stream), stream.arm_gone) as listener:
            while (rung := listener.listen()) is not None:
                await rung

    def _answer(self) -> None:
        for key in self.native.answer():
            # A key that nobody listens for belongs to a stream that was left.
            for listener in self.listeners.get(key, ()):
                listener.wake()


class Listener:
    """Waits for one stream, again and again, in a ``with`` block: what beginning and ending cost is not paid each time.

    A stream wakes one rope, so all who listen for one share its key, and are woken together. A key that is used again
    for another stream can only wake somebody for nothing.

    Args:
        bell: The bell to hear.
        key: Names the stream.
        arm: Has the stream pull a rope when there is something; True if there is now.
    """

    __slots__ = ("_arm", "_bell", "_key", "_rope", "_rung")

    def __init__(self, bell: LoopBell, key: int, arm: Callable[[_native.Rope], bool]) -> None:
        self._bell = bell
        self._key = key
        self._arm = arm
        self._rope = bell.native.rope(key)
        self._rung: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._bell.listeners.setdefault(self._key, []).append(self)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        listeners = self._bell.listeners[self._key]
        listeners.remove(self)
        if not listeners:
            del self._bell.listeners[self._key]

    def listen(self) -> asyncio.Future[None] | None:
        """What to await; None where there is nothing to wait for. Giving it up loses nothing: it takes nothing."""
        if self._arm(self._rope):
            return None
        self._rung = self._bell.new_future()
        return self._rung

    def wake(self) -> None:
        """Ends the wait, if there is one."""
        if self._rung is not None and not self._rung.done():
            self._rung.set_result(None)


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBell] = weakref.WeakKeyDictionary()


def bell_of_running_loop() -> LoopBell:
    """The bell of the loop that runs in this thread, hung up at the first call.

    Raises:
        RuntimeError: No loop is running in this thread.
    """
    from asyncio import get_running_loop

    loop = get_running_loop()
    bell = _bells.get(loop)
    if bell is None:
        bell = _bells[loop] = LoopBell(loop)
    return bell
