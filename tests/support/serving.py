"""A server of agents in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import openai

from headrace.serve import Server
from support.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["GO", "MODEL", "Running", "events_of", "openai_at", "request", "serving_agents", "streamed"]

MODEL = "headrace-agent"
GO: list[Any] = [{"role": "user", "content": "Go."}]


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


def openai_at(running: Running, key: str = "none") -> openai.OpenAI:
    """OpenAI's client. It is closed before the server is."""
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE)
    return running.clients.enter_context(client)


def streamed(running: Running, **options: Any) -> list[Any]:
    """The chunks that the openai SDK gets."""
    wanted: dict[str, Any] = {"model": MODEL, "messages": GO, "stream": True, **options}
    return list(openai_at(running).chat.completions.create(**wanted))


def request(running: Running, path: str, body: Any = None, method: str = "", **options: Any) -> httpx.Response:
    """A request by hand: POST if it has a body, else GET."""
    method = method or ("GET" if body is None else "POST")
    return httpx.request(method, f"{running.url}{path}", json=body, timeout=PATIENCE, **options)


def events_of(text: str) -> list[dict[str, Any]]:
    """The data of a stream's events, without its end marker."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@contextmanager
def serving_agents(agents: Any, **options: Any) -> Iterator[Running]:
    """Serves agents on a free port."""
    started: list[Running | BaseException] = []
    begun, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        try:
            async with Server(agents, port=0, **options) as server:
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
