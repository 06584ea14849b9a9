"""A scripted provider on a real socket: test streaming code without an API key, and with the same result each time.

Example:
    >>> from headrace import Agent
    >>> from headrace.testing import Simulator
    >>> with Simulator(turns=[{"text": "Hello, world."}]) as simulator:
    ...     agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
    ...     assert agent.run("Say hello.") == "Hello, world."
    ...     assert simulator.report()["requests"][0]["body"]["model"] == "sim"

``docs/simulator.md`` describes all members of a script.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from . import _native

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Simulator"]


class Simulator:
    """A provider on 127.0.0.1 whose answers, timing and failures are given by a script.

    The path of a request selects the dialect: OpenAI (chat or responses), Anthropic, Gemini, Cohere, Ollama or
    Bedrock. The simulator serves from its own threads until it is stopped, best by a ``with`` block.

    Args:
        port: The port to listen on; 0 for any free port.
        workers: The number of threads that serve connections. One is enough for thousands of paced streams.
        **script: The members of the script: ``turns``, ``pacing``, ``chunking``, …; see ``docs/simulator.md``.

    Raises:
        ConfigurationError: The script is wrong; the message names the member.
        OSError: The port is in use.

    Example:
        The text of a turn is a list of tokens, or a string that is split into words. ``fault`` makes a turn fail:

        >>> from headrace import Agent, TruncatedError
        >>> turn = {"text": ["Hello", ", ", "world."], "fault": {"kind": "end", "after": 2}}
        >>> with Simulator(turns=[turn], pacing={"mode": "steady", "interval_ms": 1}) as simulator:
        ...     stream = Agent(model_name="openai/sim", llm_base_url=simulator.base_url).run_stream("Say hello.")
        ...     try:
        ...         for token in stream:
        ...             print(repr(token))
        ...     except TruncatedError as error:
        ...         print(error.state)
        'Hello'
        ', '
        truncated
    """

    def __init__(self, *, port: int = 0, workers: int = 1, **script: Any) -> None:
        self._native = _native.Simulator(json.dumps(script), port=port, workers=workers)

    @property
    def base_url(self) -> str:
        """The base URL for OpenAI clients: ``http://127.0.0.1:PORT/v1``. Other clients need it without the ``/v1``."""
        return self._native.base_url

    def report(self) -> dict[str, Any]:
        """The requests up to now (``requests``, each with its body, outcome and times), and ``connections``."""
        return _parsed(self._native.report())

    def reset(self) -> None:
        """Clears the report, and starts the ``times`` of faults again."""
        self._native.reset()

    def wait_for(self, predicate: Callable[[dict[str, Any]], bool], timeout: float = 10.0) -> bool:
        """Waits until the predicate is true of the report. It is called at every change of the report.

        Args:
            predicate: Takes a report.
            timeout: How long to wait at most, in seconds.

        Returns:
            True if the predicate became true in time.
        """
        return self._native.wait_for(lambda report: predicate(_parsed(report)), timeout)

    async def await_for(self, predicate: Callable[[dict[str, Any]], bool], timeout: float = 10.0) -> bool:
        """The same as :meth:`wait_for`, without blocking the event loop.

        Args:
            predicate: Takes a report. It is called in another thread.
            timeout: How long to wait at most, in seconds.

        Returns:
            True if the predicate became true in time.
        """
        import asyncio

        return await asyncio.to_thread(self.wait_for, predicate, timeout)

    def stop(self) -> None:
        """Stops the simulator. When this returns, the port is free and every connection is closed."""
        self._native.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()


def _parsed(report: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(report)
    return parsed
