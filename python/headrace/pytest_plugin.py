"""Fixtures for pytest, in every environment that has headrace: a scripted provider, and an agent that asks it.

Example:
    >>> def test_my_agent(headrace_simulator):
    ...     simulator = headrace_simulator(text="Hello, world.")
    ...     agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
    ...     assert agent.run("Say hello.") == "Hello, world."
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.testing import Simulator

__all__ = ["StartSimulator", "headrace_simulator"]


class StartSimulator(Protocol):
    """Starts a simulator, which is stopped at the end of the test."""

    def __call__(self, *, text: Any = None, **script: Any) -> Simulator:
        """Starts one.

        Args:
            text: The answer to everything; None if the script has ``turns``.
            **script: The members of the script; see :class:`headrace.testing.Simulator`.
        """
        ...


@pytest.fixture
def headrace_simulator() -> Iterator[StartSimulator]:
    """Starts scripted providers on real sockets: ``headrace_simulator(text="Hello.")``."""
    from headrace.testing import Simulator

    with ExitStack() as stack:

        def start(*, text: Any = None, **script: Any) -> Simulator:
            turns: dict[str, Any] = {} if text is None else {"turns": [{"text": text}]}
            return stack.enter_context(Simulator(**turns, **script))

        yield start
