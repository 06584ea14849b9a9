"""Answers the requests that a native server has read, on the running event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from headrace._concurrency.wakeups import notifier_of_running_loop
from headrace.errors import ConfigurationError

from .answer import Answering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace import _native

    from .answer import Served
    from .notices import Exposed

__all__ = ["Requests"]

_LAST_WORDS: Final = 1.0
"""How many seconds a client has at least to take the end of its answer."""


class Requests:
    """Answers requests.

    Args:
        served: Who answers, by name.
        exposed: What clients are told besides text.
        max_seconds: How long an answer may take; None for no limit.
    """

    def __init__(self, served: Mapping[str, Served], exposed: Exposed, max_seconds: float | None) -> None:
        self._served = served
        self._max_seconds = max_seconds
        self._exposed: Exposed = exposed
        self._native: _native.Server | None = None
        self._answering: dict[int, tuple[Answering, asyncio.Task[None]]] = {}

    @property
    def native(self) -> _native.Server:
        """The native server.

        Raises:
            ConfigurationError: It is not running.
        """
        if self._native is None:
            raise ConfigurationError("this server is not running: start it first")
        return self._native

    def start(self, make: Callable[[_native.Waker], _native.Server]) -> None:
        """Starts to answer, on the running event loop.

        Args:
            make: Makes the native server.

        Raises:
            ConfigurationError: It is running already.
        """
        if self._native is not None:
            raise ConfigurationError("this server is running already")
        notifier = notifier_of_running_loop().native
        notifier.add(id(self), self)
        try:
            self._native = make(notifier.waker(id(self)))
        except BaseException:
            notifier.remove(id(self), self)
            raise

    async def drain(self, seconds: float) -> None:
        """Takes no more requests, and waits for the running ones. Those that take longer are cancelled."""
        server, loop = self.native, asyncio.get_running_loop()
        until = loop.time() + seconds
        server.drain()
        self.wake()  # takes the requests that had come before
        if running := self._tasks():
            await asyncio.wait(running, timeout=seconds)
        await self._cancel()
        # An answer that has ended is not yet an answer that was sent.
        sent = asyncio.ensure_future(notifier_of_running_loop().armed(server, server.arm_drained))
        await asyncio.wait({sent}, timeout=max(_LAST_WORDS, until - loop.time()))
        sent.cancel()
        await asyncio.wait({sent})

    async def stop(self) -> None:
        """Cancels what is running, and closes all connections. Does nothing if it is not running."""
        await self._cancel()
        server, self._native = self._native, None
        if server is not None:
            server.stop()
            notifier_of_running_loop().native.remove(id(self), self)

    def wake(self) -> None:
        """Takes the requests that have come. Called by the notifier of the event loop."""
        if self._native is None:
            return
        for event in self._native.take():
            if isinstance(event, tuple):
                number, message = event
                if number in self._answering:
                    self._answering[number][0].steer(message)
            elif not isinstance(event, int):
                self._begin(event)
            elif event in self._answering:  # its client has left
                self._answering[event][1].cancel()

    def _begin(self, exchange: _native.Exchange) -> None:
        answering = Answering(self._served[exchange.model], exchange, self._exposed)
        task = asyncio.get_running_loop().create_task(answering.run())
        self._answering[exchange.id] = answering, task
        task.add_done_callback(lambda _task: self._answering.pop(exchange.id, None))
        if self._max_seconds is not None:
            late = asyncio.get_running_loop().call_later(self._max_seconds, self._took_too_long, exchange, task)
            task.add_done_callback(lambda _task: late.cancel())

    def _took_too_long(self, exchange: _native.Exchange, task: asyncio.Task[None]) -> None:
        exchange.fail("timeout", f"the answer took longer than the {self._max_seconds:g} s that this server allows")
        task.cancel()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for _, task in self._answering.values()]

    async def _cancel(self) -> None:
        running = self._tasks()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
