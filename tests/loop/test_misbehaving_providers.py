"""A state machine that plays a misbehaving provider: wild answers, cuts and faults, on one agent with a memory.

The model may answer, call anything, or be cut; the connection may fail in every way that the simulator knows; the user
asks again. Whatever happens: no raw exception, no request that a strict provider refuses, no tool that runs with
arguments which the model did not give whole, no token that the model did not say, a bounded number of requests, and a
memory that the next run can use.

The suite plays the same games each time. ``HEADRACE_GAMES=2000`` plays that many random ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from headrace import Agent, HeadraceError
from headrace.testing import Simulator
from support.harness import collect
from support.misbehaving import CALLS, is_call_of, seen_by_tools
from support.strict import anthropic, compatible

LOOPS: Final = 3
GAMES: Final = int(os.environ.get("HEADRACE_GAMES", "0"))

AFTER = st.integers(0, 3)
FAULTS = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(["end", "close", "reset"]), "after": AFTER}),
    st.fixed_dictionaries(
        {"kind": st.just("error"), "after": AFTER, "error": st.just({"message": "No.", "type": "server_error"})}
    ),
    st.fixed_dictionaries({"kind": st.just("malformed"), "after": AFTER}),
    st.fixed_dictionaries({"kind": st.just("status"), "status": st.sampled_from([400, 401, 429, 500, 503])}),
    st.fixed_dictionaries({"kind": st.just("cut"), "sizes": st.lists(st.integers(1, 40), min_size=1, max_size=3)}),
    st.just({"kind": "no_done"}),
    st.just({"kind": "html"}),
)
ANSWERS = st.fixed_dictionaries(
    {"text": st.sampled_from(["", "Yes.", "One two three."]), "tool_calls": st.lists(CALLS, max_size=2)},
    optional={
        "reasoning": st.sampled_from(["", "Hm."]),
        "finish_reason": st.sampled_from(["stop", "tool_calls", "length", "content_filter"]),
        "interleave_calls": st.booleans(),
    },
)


class Game(RuleBasedStateMachine):
    """One agent, whose provider answers as it likes."""

    @initialize(
        dialect=st.sampled_from(["openai", "anthropic"]),
        retries=st.integers(0, 1),
        resumes=st.booleans(),
        is_async=st.booleans(),
    )
    def begin(self, dialect: str, retries: int, resumes: bool, is_async: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.dialect = dialect
        self.is_async = is_async
        self.options: dict[str, Any] = {
            "max_loops": LOOPS,
            "retry_attempts": retries,
            "retry_interval": 0,
            "resume_on_error": resumes,
            "persistent_memory": True,
            "memory_path": Path(self.folder.name, "memory.sqlite3"),
            "print_on": False,
            "llm_api_key": "sk-test",
        }

    @rule(answers=st.lists(st.tuples(ANSWERS, st.none() | FAULTS), min_size=1, max_size=LOOPS))
    def ask(self, answers: list[tuple[dict[str, Any], dict[str, Any] | None]]) -> None:
        """The user asks; the provider plays these answers, one a turn, and the last of them again and again."""
        turns = [{**answer, "fault": fault} if fault else answer for answer, fault in answers]
        calls: list[tuple[str, Any]] = []
        script = [{**turn, "when": {"contains": "Go."}} for turn in turns[:1]] + turns[1:] + [{"text": "Done."}]
        with Simulator(turns=script) as simulator:
            url = simulator.base_url
            where = url if self.dialect == "openai" else url.removesuffix("/v1")
            agent = Agent(
                model_name=f"{self.dialect}/sim", llm_base_url=where, tools=seen_by_tools(calls), **self.options
            )
            tokens = self._read(agent)
            requests = [request["body"] for request in simulator.report()["requests"]]
        for body in requests:
            (compatible if self.dialect == "openai" else anthropic)(body)
        assert len(requests) <= LOOPS * 3
        said = "".join(answer["text"] for answer, _ in answers) + "Done."
        assert set("".join(tokens)) <= set(said + "\n")
        made = [call for answer, _ in answers for call in answer["tool_calls"]]
        assert all(any(is_call_of(name, given, call) for call in made) for name, given in calls)
        assert agent.memory is not None
        json.dumps(agent.memory.read())

    def _read(self, agent: Agent) -> list[str]:
        tokens: list[str] = []
        try:
            if self.is_async:
                tokens += asyncio.run(collect(agent.arun_stream("Go.")))
            else:
                for token in agent.run_stream("Go."):
                    tokens.append(token)
        except HeadraceError:
            pass  # a fault is an error of ours; anything else fails the game
        return tokens

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


@pytest.mark.skipif(GAMES > 0, reason="random games are played instead")
def test_whatever_the_provider_does_the_rules_hold() -> None:
    run_state_machine_as_test(
        Game,
        settings=settings(
            max_examples=40,
            stateful_step_count=4,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.skipif(not GAMES, reason="set HEADRACE_GAMES to a number of random games")
def test_random_games() -> None:
    run_state_machine_as_test(
        Game,
        settings=settings(
            max_examples=GAMES, stateful_step_count=6, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
