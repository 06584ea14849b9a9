"""The tool calls of one turn while they run: gives the drivers each result as soon as it is there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from headrace._concurrency.threads import StopProgramError, contained

if TYPE_CHECKING:
    from headrace._loop.effects import RunTools
    from headrace.tools import ToolResult

    from .run import Run

__all__ = ["ToolTurn"]


class ToolTurn:
    """The tool calls of one turn. All methods must be awaited on the same event loop.

    Args:
        run: The run. Closing its stream, in any thread, cancels the calls.
        effect: The calls to run.

    Attributes:
        results: All results in the order of the calls, after :meth:`next` has returned None.
    """

    def __init__(self, run: Run, effect: RunTools) -> None:
        self._run = run
        self._effect = effect
        self._returned: asyncio.Queue[ToolResult | None] = asyncio.Queue()
        self._work: asyncio.Task[tuple[ToolResult, ...]] | None = None
        self._is_cancelled = False
        self.results: tuple[ToolResult, ...] = ()

    async def next(self) -> ToolResult | None:
        """The result of the next call that returns; None if there are no more. The first use starts the calls.

        Raises:
            StreamClosedError: The stream was closed.
            SystemExit, KeyboardInterrupt: A tool raised it.
        """
        work = self._work = self._work or self._start()
        began = time.monotonic()
        try:
            returned = await self._returned.get()
        except asyncio.CancelledError:
            await self.close()
            raise
        self._run.tool_time += time.monotonic() - began
        if returned is None:
            self._run.work.on_stop(None)
            self._run.status.check_open()
            try:
                self.results = work.result()
            except StopProgramError as stopped:
                raise stopped.stop from None
        return returned

    async def close(self) -> None:
        """Cancels the calls that still run, and waits for their end."""
        self._run.work.on_stop(None)
        if self._work is not None:
            self._cancel(self._work)
            await asyncio.wait({self._work})

    def _start(self) -> asyncio.Task[tuple[ToolResult, ...]]:
        loop = asyncio.get_running_loop()
        effect = self._effect
        calls = effect.toolbox.run(effect.calls, self._returned.put_nowait, offered=effect.offered)
        work = asyncio.ensure_future(contained(calls))
        work.add_done_callback(lambda _: self._returned.put_nowait(None))

        def cancel() -> None:
            with contextlib.suppress(RuntimeError):  # the event loop is gone
                loop.call_soon_threadsafe(self._cancel, work)

        self._run.work.on_stop(cancel)
        return work

    def _cancel(self, work: asyncio.Task[Any]) -> None:
        # Only once: a second cancel would interrupt a tool that is cleaning up.
        if not self._is_cancelled:
            self._is_cancelled = True
            work.cancel()
