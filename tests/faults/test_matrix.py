"""Each row of ``docs/reliability.md``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headrace import StreamError, Timeouts
from support.fault_matrix import DOCUMENT, FAULTS, TOKENS, Fault, document
from support.harness import agent_at

if TYPE_CHECKING:
    from support.harness import Reader, Simulate

SHORT = {"first_token": Timeouts(first_token=0.2), "idle": Timeouts(idle=0.2)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault(simulate: Simulate, reader: Reader, fault: Fault) -> None:
    # The next run is answered well: it asks another model.
    turns: list[dict[str, Any]] = [
        {"text": TOKENS, "fault": fault.script, "when": {"model": "sim"}},
        {"text": TOKENS},
    ]
    simulator = simulate(turns=turns)
    options: dict[str, Any] = {"timeouts": SHORT[fault.limit]} if fault.limit else {}
    agent = agent_at(simulator, **options)
    result = reader.read(agent)
    assert result.tokens == TOKENS[: fault.tokens]
    assert (type(result.error).__name__ if result.error else None) == fault.error
    assert result.stream.state == fault.state
    if isinstance(result.error, StreamError):
        assert (result.error.state, result.error.delivered) == (fault.state, fault.tokens > 0)
    agent.model_name = "openai/other"
    agent.timeouts = Timeouts()
    assert reader.read(agent).tokens == TOKENS


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.error], ids=lambda fault: fault.what)
def test_whether_a_fault_is_retried(simulate: Simulate, reader: Reader, fault: Fault) -> None:
    simulator = simulate(turns=[{"text": TOKENS, "fault": fault.script}])
    options: dict[str, Any] = {"timeouts": SHORT[fault.limit]} if fault.limit else {}
    result = reader.read(agent_at(simulator, retry_attempts=1, retry_interval=0, **options))
    assert type(result.error).__name__ == fault.error
    assert len(simulator.report()["requests"]) == (2 if fault.retried else 1)


def test_the_document_is_up_to_date() -> None:
    found = Path(__file__).parents[2].joinpath(DOCUMENT).read_text(encoding="utf-8")
    assert found == document(), "make it anew: python tests/support/fault_matrix.py"
