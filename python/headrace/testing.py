"""A scripted provider on a real socket, so that streaming code can be tested without a key and without luck.

::

    with Simulator(turns=[{"text": "Hello, world."}]) as simulator:
        agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url)
        assert agent.run("Say hello.") == "Hello, world."
        assert simulator.report()["requests"][0]["body"]["model"] == "sim"

The script's members are described in ``docs/simulator.md``.
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
    """A provider that answers what its script says, when it says, and goes wrong in the way that it says.

    The path of a request says in which dialect: that of OpenAI (chat or responses), Anthropic, Gemini, Cohere, Ollama
    or Bedrock. It serves from threads of its own until it is stopped, at best by a ``with`` block.

    Args:
        port: The port to listen on; 0 for any free one.
        workers: Threads that serve connections. One is enough for thousands of paced streams.
        **script: The members of the script: ``turns``, ``pacing``, ``chunking``, …

    Raises:
        ConfigurationError: The script is wrong; the message names the member.
        OSError: The port is taken.
    """

    def __init__(self, *, port: int = 0, workers: int = 1, **script: Any) -> None:
        self._native = _native.Simulator(json.dumps(script), port=port, workers=workers)

    @property
    def base_url(self) -> str:
        """The URL that OpenAI clients want: ``http://127.0.0.1:PORT/v1``. Others want it without the ``/v1``."""
        return self._native.base_url

    def report(self) -> dict[str, Any]:
        """What it has seen up to now: ``requests``, each with its body, outcome and times, and ``connections``."""
        return _parsed(self._native.report())

    def reset(self) -> None:
        """Forgets what it has seen, and starts the ``times`` of faults again."""
        self._native.reset()

    def wait_for(self, predicate: Callable[[dict[str, Any]], bool], timeout: float = 10.0) -> bool:
        """Waits until the report is as wanted. It looks at every change and sleeps in between.

        Args:
            predicate: Says of a report whether it is.
            timeout: How many seconds to wait at most.

        Returns:
            Whether it became so in time.
        """
        return self._native.wait_for(lambda report: predicate(_parsed(report)), timeout)

    def stop(self) -> None:
        """Stops it. When this returns, the port is free and every connection is closed."""
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
