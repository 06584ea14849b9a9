"""A model that does anything: the run stays bounded, and a strict provider takes each request."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Agent, HeadraceError
from headrace.testing import Simulator
from support.conversations import bodies, conversation
from support.misbehaving import CALLS, is_call_of, seen_by_tools
from support.strict import RULES, StrictEndpoint

LOOPS: Final = 5

TURNS = st.fixed_dictionaries(
    {"text": st.sampled_from(["", "Yes.", " "]), "tool_calls": st.lists(CALLS, max_size=3)},
    optional={
        "reasoning": st.sampled_from(["", "Hm."]),
        "finish_reason": st.sampled_from(["stop", "tool_calls", "length", "content_filter", "function_call", "null"]),
    },
)
"""Text that no server could send, such as lone surrogates, is not among them: hypothesis makes none by default."""


@pytest.mark.parametrize(("model", "rules"), [("openai/sim", "compatible"), ("mistral/sim", "mistral")])
@settings(max_examples=60, derandomize=True)  # what it finds by chance would stop others
@given(turns=st.lists(TURNS, min_size=1, max_size=LOOPS + 1))
def test_whatever_the_model_does_no_request_is_refused(model: str, rules: str, turns: list[Any]) -> None:
    calls: list[tuple[str, Any]] = []
    script = conversation(*turns, *[{"text": "Done."}] * (LOOPS + 1 - len(turns)))
    with Simulator(turns=script) as simulator, StrictEndpoint(simulator, RULES[rules]) as endpoint:
        agent = Agent(
            model_name=model,
            llm_base_url=endpoint.base_url,
            tools=seen_by_tools(calls),
            max_loops=LOOPS,
            retry_attempts=0,
            print_on=False,
        )
        with suppress(HeadraceError):
            for _ in agent.run_stream("Go."):
                pass
        requests = len(bodies(simulator))
    assert endpoint.refusals == []
    assert requests <= LOOPS
    wanted = [call for turn in turns for call in turn["tool_calls"]]
    assert all(any(is_call_of(name, arguments, call) for call in wanted) for name, arguments in calls)
