"""A server of agents in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from headrace.serve import Server
from support.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Running", "serving_agents"]


class Running:
    """A running server.

    Attributes:
        url: Its URL.
        server: The server, which belongs to the event loop of its thread.
        clients: What is closed before the server is.
    """

    def __init__(self, server: Server, event_loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.url = server.url
        self.clients = ExitStack()
        self._event_loop = event_loop

    def call(self, function: Callable[[], Any]) -> Any:
        """Calls a function, or runs a coroutine, in the server's thread, and waits for its result."""

        async def called() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(called(), self._event_loop).result(PATIENCE)


@contextmanager
def serving_agents(agents: Any) -> Iterator[Running]:
    """Serves agents on a free port."""
    started: list[Running | BaseException] = []
    begun, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        try:
            async with Server(agents, port=0) as server:
                started.append(Running(server, loop))
                begun.set()
                stopping.append(lambda: loop.call_soon_threadsafe(stop.set))
                await stop.wait()
        except BaseException as error:
            started.append(error)
            begun.set()
            raise
        finally:
            ended.set()

    stopping: list[Callable[[], object]] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(PATIENCE)
    [running] = started
    assert isinstance(running, Running), running
    try:
        with running.clients:
            yield running
    finally:
        while not stopping:
            begun.wait(0.001)
        stopping[0]()
        thread.join(PATIENCE)
        assert not thread.is_alive()
