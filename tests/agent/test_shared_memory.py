"""Runs at the same time on one memory: questions and answers stay together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.memory import Memory
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from pathlib import Path


def look() -> str:
    """Looks."""
    return "seen"


def test_runs_that_interleave_keep_question_and_answer_together(
    simulate: Simulate, reader: Reader, tmp_path: Path
) -> None:
    calls = {"text": "", "tool_calls": [{"name": "look", "arguments": {}}]}
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, calls])
    agent = agent_at(
        simulator, agent_name="A", persistent_memory=True, memory_path=tmp_path / "m", tools=[look], max_loops=2
    )
    with reader.start(agent, "First.") as first, reader.start(agent, "Second.") as second:
        # Both have asked, called and kept that, before either is answered.
        tokens = [first.next(), second.next()]
        first.to_end()
        second.to_end()
    assert tokens == ["Done.", "Done."]
    kept = [(message["role"], message["content"]) for message in Memory("A", tmp_path / "m").read()]
    run = [("assistant", None), ("tool", "seen"), ("assistant", "Done.")]
    assert kept == [("user", "First."), *run, ("user", "Second."), *run]
