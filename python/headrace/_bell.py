"""How native streams wake an event loop.

Each loop has one bell: a file descriptor that it watches, and the futures of the tasks that wait. Network threads put
the keys of the streams that became ready on a list and write the descriptor once; the loop then wakes all of them.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING

from . import _native

if TYPE_CHECKING:
    import asyncio

__all__ = ["bell_of_running_loop"]


class LoopBell:
    """The bell of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        from asyncio import get_running_loop

        # Not the loop itself: the bell would keep it alive, and be kept alive by it.
        self._running_loop = get_running_loop
        self._bell = _native.Bell()
        self._keys = itertools.count()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        # The loop holds this object through its reader, not the other way round: a bell goes with its loop.
        loop.add_reader(self._bell.fileno(), self._answer)

    async def ready(self, stream: _native.Stream) -> None:
        """Waits until a stream has something to take, or has ended.

        Giving up this wait loses nothing: it takes nothing.
        """
        key = next(self._keys)
        if stream.arm(self._bell, key):
            return
        future = self._waiting[key] = self._running_loop().create_future()
        try:
            await future
        finally:
            self._waiting.pop(key, None)

    def _answer(self) -> None:
        for key in self._bell.answer():
            # A key without a future belongs to a wait that was given up.
            future = self._waiting.get(key)
            if future is not None and not future.done():
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
