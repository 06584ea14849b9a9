"""Serves agents and workflows over HTTP, to every client that speaks OpenAI's or Anthropic's protocol.

Example:
    >>> import asyncio
    >>> from headrace.serve import Server
    >>> async def main():
    ...     async with Server({"poet": agent}) as server:
    ...         return server.url
    >>> asyncio.run(main())  # doctest: +ELLIPSIS
    'http://127.0.0.1:...'
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from . import _native
from ._concurrency.wakeups import notifier_of_running_loop
from ._serve.answer import answer
from ._serve.events import sse
from .agent import Agent
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

    from ._serve.answer import Served

__all__ = ["Server", "sse"]

_LAST_WORDS: Final = 1.0
"""How many seconds a client has at least to take the end of its answer."""


class Server:
    """Serves agents and workflows.

    ``POST /v1/chat/completions`` (OpenAI) and ``POST /v1/messages`` (Anthropic), streamed or whole, ``GET /v1/models``,
    ``/health/live`` and ``/health/ready``. The ``model`` of a request is the name of an agent. An agent gets the whole
    conversation of the request, and runs its own tools; its calls are not shown to the client. Reasoning is, where the
    protocol has a place for it. If the client leaves, the run is cancelled and its connection closed.

    The tokens of an agent pass from the model's socket to the client's without entering Python, unless it is autonomous
    or has a callback for tokens.

    There are no keys yet, so only this machine is served.

    Args:
        agents: One agent, several (served under their ``agent_name``), or a dict by name. Workflows are served like
            agents, and get what the user said last.
        host: The address to listen on.
        port: The port; 0 for any free one.

    Raises:
        ConfigurationError: Two agents have the same name, there is none, or the address is not this machine's own.
    """

    def __init__(
        self,
        agents: Served | Iterable[Served] | Mapping[str, Served],
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
    ) -> None:
        self._served = _by_name(agents)
        _check_host(host)
        self._host, self._port = host, port
        self._native: _native.Server | None = None
        self._answering: dict[int, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        """The server's URL.

        Raises:
            ConfigurationError: It is not running.
        """
        host, port = self._running().address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def models(self) -> tuple[str, ...]:
        """The names of what is served."""
        return tuple(self._served)

    async def start(self) -> Self:
        """Starts to serve, on the running event loop.

        Raises:
            ConfigurationError: It is running already.
            OSError: The port is in use.
        """
        if self._native is not None:
            raise ConfigurationError("this server is running already")
        native = notifier_of_running_loop().native
        native.add(id(self), self)
        try:
            self._native = _native.Server(self._host, self._port, list(self._served), native.waker(id(self)))
        except BaseException:
            native.remove(id(self), self)
            raise
        return self

    async def drain(self, seconds: float = 30.0) -> None:
        """Takes no more requests, and waits for the running ones. Those that take longer are cancelled.

        Args:
            seconds: How long to wait at most.
        """
        server, loop = self._running(), asyncio.get_running_loop()
        until = loop.time() + seconds
        server.drain()
        self.wake()  # takes the requests that had come before
        if self._answering:
            await asyncio.wait(list(self._answering.values()), timeout=seconds)
        await self._cancel()
        # An answer that has ended is not yet an answer that was sent.
        sent = asyncio.ensure_future(notifier_of_running_loop().armed(server, server.arm_drained))
        await asyncio.wait({sent}, timeout=max(_LAST_WORDS, until - loop.time()))
        sent.cancel()
        await asyncio.wait({sent})

    async def stop(self) -> None:
        """Stops: cancels what is running, and closes all connections. Does nothing if it is not running."""
        await self._cancel()
        server, self._native = self._native, None
        if server is not None:
            server.stop()
            notifier_of_running_loop().native.remove(id(self), self)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def wake(self) -> None:
        """Takes the requests that have come. Called by the notifier of the event loop."""
        if self._native is None:
            return
        for event in self._native.take():
            if not isinstance(event, int):
                self._begin(event)
            elif event in self._answering:  # its client has left
                self._answering[event].cancel()

    def _begin(self, exchange: _native.Exchange) -> None:
        task = asyncio.get_running_loop().create_task(answer(self._served[exchange.model], exchange))
        self._answering[exchange.id] = task
        task.add_done_callback(lambda _task: self._answering.pop(exchange.id, None))

    async def _cancel(self) -> None:
        for task in list(self._answering.values()):
            task.cancel()
        await asyncio.gather(*self._answering.values(), return_exceptions=True)

    def _running(self) -> _native.Server:
        if self._native is None:
            raise ConfigurationError("this server is not running: start it first")
        return self._native


def _by_name(
    agents: Served | Iterable[Served] | Mapping[str, Served],
) -> dict[str, Served]:
    if isinstance(agents, Mapping):
        named = list(cast("Mapping[str, Served]", agents).items())
    else:
        listed = [agents] if hasattr(agents, "arun_stream") else list(cast("Iterable[Any]", agents))
        named = [(_name(served), served) for served in cast("list[Served]", listed)]
    for name, served in named:
        if not hasattr(served, "arun_stream"):
            raise ConfigurationError(
                f"{name!r} is of type {type(served).__name__}, and neither an agent nor a workflow"
            )
    by_name = dict(named)
    if len(by_name) < len(named):
        raise ConfigurationError("two agents have the same name: serve them as a dict by other names")
    if not by_name:
        raise ConfigurationError("there is nothing to serve: give at least one agent")
    return by_name


def _name(served: Served) -> str:
    return served.agent_name if isinstance(served, Agent) else str(getattr(served, "name", None) or "workflow")


def _check_host(host: str) -> None:
    try:
        is_own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_own = host == "localhost"
    if not is_own:
        raise ConfigurationError(
            f"{host!r} can be reached from other machines, and there are no keys yet: serve 127.0.0.1, and put a proxy "
            "with keys in front of it"
        )
