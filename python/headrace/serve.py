"""Serves agents and workflows over HTTP: to clients of OpenAI's and Anthropic's protocols, and to front ends.

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

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from . import _native
from ._serve.asgi import Application
from ._serve.events import sse
from ._serve.notices import EXPOSED
from ._serve.requests import Requests
from .agent import Agent
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from types import TracebackType

    from typing_extensions import Self

    from ._serve.answer import Served
    from ._serve.notices import Exposed

__all__ = ["Server", "asgi", "sse"]


class Server:
    """Serves agents and workflows.

    OpenAI's ``POST /v1/chat/completions`` and ``/v1/responses``, Anthropic's ``/v1/messages``, AG-UI (``/ag-ui``), A2A
    (``/a2a``) and the UI messages of Vercel's AI SDK (``/api/chat``); ``GET /v1/models``, ``/health/live``,
    ``/health/ready``, ``/metrics`` (Prometheus), ``/openapi.json``, and a page to try it at ``/``. The ``model`` of a
    request is the name of an agent. An agent gets the whole conversation of the request, and runs its own tools; calls
    of tools that the client brings are handed back to it. If the client leaves, the run is cancelled and its connection
    closed.

    The tokens of an agent pass from the model's socket to the client's without entering Python, unless it is autonomous
    or has a callback for tokens.

    Args:
        agents: One agent, several (served under their ``agent_name``), or a dict by name. Workflows are served like
            agents, and get what the user said last.
        host: The address to listen on. One that other machines can reach needs ``keys``, or ``public``.
        port: The port; 0 for any free one.
        keys: The file of the keys that clients need; ``headrace keys new`` adds one to it. None: no key is needed.
        public: Serve other machines without keys.
        max_streams: How many answers may run at a time; None for no limit. Further requests wait.
        max_waiting: How many requests may wait; None for as many as may run. More are refused with 429.
        max_seconds: How long an answer may take, in seconds; then it ends with an error. None for no limit.
        on_disconnect: ``"cancel"`` the run of a client that leaves, or ``"continue"`` it: its events are kept for ten
            minutes, and ``GET /v1/runs/{id}/events`` goes on where the client left off. The header ``headrace-run`` of
            each response has the id.
        expose: What clients are told besides text: ``"text"`` for nothing more, ``"tools"`` for the tool calls of the
            agent and their results, ``"all"`` for all that it does. None: everything where no key is needed, else only
            text. OpenAI's and Anthropic's protocols have no place for this, so there they are comments of the stream.
        cors: The origins whose pages may ask, besides the server's own; ``["*"]`` for all. Others are refused before
            anything is done.
        keep_alive: After how many seconds of silence a stream sends a comment. A response whose first token is not
            there by then begins without it, so that a later error has no status but is in the stream.
        access_log: A file that gets a line of JSON for each request.
        page: Whether there is a page at ``/``.
        shares_port: Whether other processes may listen at the same port; the system then divides the connections.

    Raises:
        ConfigurationError: Two agents have the same name, there is none, or an option cannot work.
    """

    def __init__(
        self,
        agents: Served | Iterable[Served] | Mapping[str, Served],
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        keys: str | PathLike[str] | None = None,
        public: bool = False,
        max_streams: int | None = None,
        max_waiting: int | None = None,
        max_seconds: float | None = None,
        on_disconnect: Literal["cancel", "continue"] = "cancel",
        expose: Exposed | None = None,
        cors: Iterable[str] = (),
        keep_alive: float = 15.0,
        access_log: str | PathLike[str] | None = None,
        page: bool = True,
        shares_port: bool = False,
    ) -> None:
        if not public and keys is None:
            _check_host(host)
        served = _by_name(agents)
        self._host, self._port = host, port
        self._models, self._needs_key = tuple(served), keys is not None
        self._options = _options(
            served,
            keys=keys,
            max_streams=max_streams,
            max_waiting=max_waiting,
            on_disconnect=on_disconnect,
            cors=cors,
            keep_alive=keep_alive,
            access_log=access_log,
            page=page,
            own_names=keys is None and not public,
            shares_port=shares_port,
        )
        _check_above_zero("max_seconds", max_seconds)
        self._requests = Requests(served, _exposed(expose, keys), max_seconds)

    @property
    def url(self) -> str:
        """The server's URL.

        Raises:
            ConfigurationError: It is not running.
        """
        address = self._requests.native.address
        assert address is not None  # noqa: S101 - it listens
        host, port = address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def models(self) -> tuple[str, ...]:
        """The names of what is served."""
        return self._models

    @property
    def needs_key(self) -> bool:
        """Whether clients need a key."""
        return self._needs_key

    @property
    def has_page(self) -> bool:
        """Whether there is a page at ``/``."""
        return self._options["page"] is not None

    async def start(self) -> Self:
        """Starts to serve, on the running event loop.

        Raises:
            ConfigurationError: It is running already, or the file of the keys cannot be used.
            OSError: The port is in use, or the access log cannot be written.
        """
        self._requests.start(lambda waker: _native.Server(self._host, self._port, waker, **self._options))
        return self

    async def drain(self, seconds: float = 30.0) -> None:
        """Takes no more requests, and waits for the running ones. Those that take longer are cancelled.

        Args:
            seconds: How long to wait at most.
        """
        await self._requests.drain(seconds)

    async def stop(self) -> None:
        """Stops: cancels what is running, and closes all connections. Does nothing if it is not running."""
        await self._requests.stop()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.stop()


def asgi(
    agents: Served | Iterable[Served] | Mapping[str, Served],
    *,
    keys: str | PathLike[str] | None = None,
    max_streams: int | None = None,
    max_waiting: int | None = None,
    max_seconds: float | None = None,
    on_disconnect: Literal["cancel", "continue"] = "cancel",
    expose: Exposed | None = None,
    cors: Iterable[str] = (),
    keep_alive: float = 15.0,
    access_log: str | PathLike[str] | None = None,
    page: bool = True,
) -> Application:
    """The routes of :class:`Server` as an ASGI application, for any ASGI server or to mount into your own application.

    Each write to a client passes through Python once, with all tokens that came together. Who may reach it is up to the
    server that it runs under: without ``keys`` it answers everybody.

    Args:
        agents: What to serve; this and all options are those of :class:`Server`.
        keys: The file of the keys that clients need.
        max_streams: How many answers may run at a time.
        max_waiting: How many requests may wait.
        max_seconds: How long an answer may take, in seconds.
        on_disconnect: ``"cancel"`` the run of a client that leaves, or ``"continue"`` it.
        expose: What clients are told besides text.
        cors: The origins whose pages may ask.
        keep_alive: After how many seconds of silence a stream sends a comment.
        access_log: A file that gets a line of JSON for each request.
        page: Whether there is a page at ``/``.

    Returns:
        The application. It stops with the lifespan of its server. An application that is mounted gets none: then await
        its ``drain()`` when yours shuts down.

    Raises:
        ConfigurationError: An option cannot work.

    Example:
        With FastAPI or Starlette::

            app.mount("/ai", headrace.serve.asgi(agent))
    """
    served = _by_name(agents)
    options = _options(
        served,
        keys=keys,
        max_streams=max_streams,
        max_waiting=max_waiting,
        on_disconnect=on_disconnect,
        cors=cors,
        keep_alive=keep_alive,
        access_log=access_log,
        page=page,
        own_names=False,
        shares_port=False,
    )
    _check_above_zero("max_seconds", max_seconds)
    return Application(served, _exposed(expose, keys), max_seconds, options)


def _options(
    served: Mapping[str, Served],
    *,
    max_streams: int | None,
    max_waiting: int | None,
    on_disconnect: str,
    cors: Iterable[str],
    keep_alive: float,
    page: bool,
    **others: Any,
) -> dict[str, Any]:
    """The options of the native server."""
    _check_choice("on_disconnect", on_disconnect, ("cancel", "continue"))
    _check_above_zero("keep_alive", keep_alive)
    _check_above_zero("max_streams", max_streams)
    return {
        "models": list(served),
        "max_streams": max_streams,
        "max_waiting": max_waiting if max_waiting is not None else max_streams or 0,
        "cors": [*_listed_origins(cors)],
        "goes_on": on_disconnect == "continue",
        "keep_alive": float(keep_alive),
        "page": _page() if page else None,
        **others,
    }


def _exposed(expose: Exposed | None, keys: object) -> Exposed:
    _check_choice("expose", expose, (*EXPOSED, None))
    return expose or ("all" if keys is None else "text")


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
            f"{host!r} can be reached from other machines: give a file of keys (keys=…, --keys), or say that everybody "
            "may ask (public=True, --public)"
        )


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def _check_above_zero(name: str, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < cast("float", value) < math.inf):
        raise ConfigurationError(f"{name} must be a number above 0, not {value!r}")


def _listed_origins(cors: Iterable[str]) -> Iterable[str]:
    if isinstance(cors, str):
        raise ConfigurationError(f"cors must be a list of origins: [{cors!r}]")
    for origin in cors:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/]+", origin):
            raise ConfigurationError(f"cors: {origin!r} is no origin, such as https://example.org, without a path")
        yield origin


def _page() -> str:
    from importlib.resources import files

    return (files("headrace") / "_serve" / "page.html").read_text("utf-8")
