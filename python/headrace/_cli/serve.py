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
    from collections.abc import Sequence

__all__ = ["serve_agents"]


def serve_agents(references: Sequence[str], models: Sequence[str], host: str, port: int, drain_seconds: float) -> None:
    """Serves until SIGINT or SIGTERM. Running answers may end after that; a second signal ends them.

    Args:
        references: Agents and workflows, as ``module:name``. The modules may be in the working directory.
        models: Models that are served without an agent.
        host: The address to listen on.
        port: The port; 0 for any free one.
        drain_seconds: How long running answers may take after the signal.

    Raises:
        ConfigurationError: There is no such module or agent, or the address cannot be served.
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
    server = Server(served, host=host, port=port)
    asyncio.run(_serve(server, drain_seconds))


async def _serve(server: Server, drain_seconds: float) -> None:
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, number)
    try:
        await server.start()
    except OSError as error:
        raise ConfigurationError(f"cannot listen there: {error}") from error
    try:
        _say(f"headrace serves {', '.join(server.models)} at {server.url}/v1; no keys are asked for")
        await signals.get()
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
