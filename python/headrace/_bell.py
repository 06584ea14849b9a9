"""How native streams wake an event loop.

Each loop has one bell: a file descriptor that it watches, and the futures of the tasks that wait. Network threads put
the keys of the streams that became ready on a list and write the descriptor once; the loop then wakes all of them.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from . import _native

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["bell_of_running_loop"]


class LoopBell:
    """The bell of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        from asyncio import get_running_loop

        # Not the loop itself: the bell would keep it alive, and be kept alive by it.
        self._running_loop = get_running_loop
        self._bell = _native.Bell()
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}
        # The loop holds this object through its reader, not the other way round: a bell goes with its loop.
        loop.add_reader(self._bell.fileno(), self._answer)

    async def ready(self, stream: _native.Stream) -> None:
        """Waits until a stream may have something to take, or has ended.

        Giving up this wait loses nothing: it takes nothing.
        """
        await self._rung(id(stream), stream.arm)

    async def gone(self, stream: _native.Stream) -> None:
        """Waits until a closed stream has let go of its connection."""
        while not await self._rung(id(stream), stream.arm_gone):
            pass

    async def _rung(self, key: int, arm: Callable[[_native.Bell, int], bool]) -> bool:
        # A stream wakes one waiter, so all that wait for one share its key, and are woken together. A key that is used
        # again for another stream can only wake somebody for nothing.
        if arm(self._bell, key):
            return True
        future = self._running_loop().create_future()
        waiting = self._waiting.setdefault(key, [])
        waiting.append(future)
        try:
            await future
        finally:
            waiting.remove(future)
            if not waiting:
                self._waiting.pop(key, None)
        return False

    def _answer(self) -> None:
        for key in self._bell.answer():
            # A key without a future belongs to a wait that was given up.
            for future in self._waiting.get(key, ()):
                if not future.done():
                    future.set_result(None)


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
