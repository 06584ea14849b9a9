"""``headrace serve``: agents behind HTTP endpoints, until a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any

from headrace._agent.terminal import printable
from headrace.agent import Agent
from headrace.errors import ConfigurationError
from headrace.local import DEFAULT_MODEL
from headrace.serve import Server

from .references import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["serve_agents"]


def serve_agents(
    references: Sequence[str], models: Sequence[str], options: Mapping[str, Any], workers: int, drain_seconds: float
) -> None:
    """Serves until SIGINT or SIGTERM. Running answers may end after that; a second signal ends them.

    Args:
        references: Agents and workflows, as ``module:name``. The modules may be in the working directory.
        models: Models that are served without an agent.
        options: Options of ``headrace.serve.Server``.
        workers: How many processes serve.
        drain_seconds: How long running answers may take after the signal.

    Raises:
        ConfigurationError: There is no such module or agent, or it cannot be served in this way.
    """
    served: dict[str, Any] = {}
    for reference in references:
        agent = load(reference, "the agent")
        name = str(getattr(agent, "agent_name", None) or getattr(agent, "name", reference))
        if name in served:
            raise ConfigurationError(f"two agents are called {name!r}: clients could not tell them apart")
        served[name] = agent
    for model in models or ([] if references else [f"local/{DEFAULT_MODEL}"]):
        served[model] = Agent(agent_name=model, model_name=model, print_on=False)
    if workers == 1:
        asyncio.run(_serve(Server(served, **options), drain_seconds))
        return
    from .workers import serve_in_processes

    serve_in_processes(served, options, workers, drain_seconds, _serve)


async def _serve(server: Server, drain_seconds: float, number: int | None = None) -> None:
    """Serves in this process.

    One of several has a number. Only the first says something; a Ctrl-C, which a terminal sends to all of them, is
    passed on by their parent.
    """
    speaks = number in {None, 1}
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, *((signal.SIGINT,) if number is None else ())):
        loop.add_signal_handler(signal_number, signals.put_nowait, signal_number)
    try:
        await server.start()
    except OSError as error:
        raise ConfigurationError(f"cannot serve there: {error}") from error
    try:
        if speaks:
            asked_for = "clients need a key" if server.needs_key else "no keys are asked for"
            page = f", with a page at {server.url}/" if server.has_page else ""
            _say(f"headrace serves {', '.join(server.models)} at {server.url}/v1{page}; {asked_for}")
        await signals.get()
        if speaks:
            _say("headrace waits for running answers; a second signal ends them")
        draining = asyncio.ensure_future(server.drain(drain_seconds))
        second = asyncio.ensure_future(signals.get())
        await asyncio.wait({draining, second}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, second):
            task.cancel()
        await asyncio.gather(draining, second, return_exceptions=True)
    finally:
        await server.stop()


def _say(line: str) -> None:
    print(printable(line, sys.stderr), file=sys.stderr, flush=True)
