"""Fixtures of all tests: a clean environment, scripted providers, and one way to read sync and async streams."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from headrace import local
from headrace.errors import ConfigurationError
from support.harness import TURN_MEMBERS, AsyncReader, Reader, Simulate, SyncReader
from support.strict import CheckedSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.testing import Simulator

# The fixtures of the tests that need litellm.
pytest_plugins = ["support.litellm_fixtures"]

# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A job in the background of a shell ignores Ctrl-C, and so would every program that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Whatever proxy the machine has, servers on this machine and hosts that do not exist are not behind it.
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost,.invalid"]))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests find no key, no URL and no model in the environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HEADRACE_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def simulate(request: pytest.FixtureRequest) -> Iterator[Simulate]:
    """Starts simulators, which stop after the test. See :class:`support.harness.Simulate`.

    After the test, what they were sent is checked: a test fails if a strict provider would have refused a request. A
    test that sends something illegal on purpose has the mark ``lenient``.
    """
    simulators: list[CheckedSimulator] = []
    with ExitStack() as stack:

        def start(text: Any = "Hello from the simulator.", **script: Any) -> Simulator:
            turn: dict[str, Any] = {key: script.pop(key) for key in TURN_MEMBERS if key in script}
            script.setdefault("turns", [{"text": text, **turn}])
            simulator = stack.enter_context(CheckedSimulator(**script))
            simulators.append(simulator)
            return simulator

        yield start
        refusals = [refusal for simulator in simulators for refusal in simulator.refusals]
    if refusals and request.node.get_closest_marker("lenient") is None:
        pytest.fail(f"a strict provider would have refused: {'; '.join(map(str, refusals))}")


@pytest.fixture(params=[SyncReader, AsyncReader], ids=["run_stream", "arun_stream"])
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """One way of reading for both ways of streaming: each test that takes this runs once with each."""
    with request.param() as reader:
        yield reader


@pytest.fixture(scope="session")
def weights() -> Path:
    """The local model's real weights, which stay on this machine from one test run to the next."""
    pytest.importorskip("xllamacpp", reason="the extra `local` is not installed", exc_type=ImportError)
    try:
        return local.pull(local.DEFAULT_MODEL)
    except ConfigurationError as error:
        pytest.skip(f"the weights cannot be fetched: {error}")
