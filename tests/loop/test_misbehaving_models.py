"""A model that does anything: the run stays bounded, and a strict provider takes each request."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Agent, HeadraceError
from headrace.testing import Simulator
from support.conversations import bodies, conversation
from support.strict import RULES, StrictEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS: Final = 5

NAMES = st.one_of(st.sampled_from(["add", "echo", "missing", "a b", "functions.add:0", ""]), st.text(max_size=70))
IDS = st.one_of(st.sampled_from(["a", "b", "", "call 1", "null", "functions.add:0"]), st.text(max_size=50))
OBJECTS = st.fixed_dictionaries({}, optional={"a": st.integers(), "b": st.floats(), "text": st.text(max_size=8)})
ARGUMENTS = st.one_of(
    st.sampled_from(["", "null", "[]", "{", '{"a": 1', '{"a": NaN}', '{"a": 1e999}', '{"text": "\\ud800"}', '"{}"']),
    OBJECTS.map(json.dumps),
    st.text(max_size=12),
)
CALLS = st.fixed_dictionaries(
    {"name": NAMES, "arguments": ARGUMENTS}, optional={"id": IDS, "fragments": st.integers(1, 4)}
)
TURNS = st.fixed_dictionaries(
    {"text": st.sampled_from(["", "Yes.", " "]), "tool_calls": st.lists(CALLS, max_size=3)},
    optional={
        "reasoning": st.sampled_from(["", "Hm."]),
        "finish_reason": st.sampled_from(["stop", "tool_calls", "length", "content_filter", "function_call", "null"]),
    },
)
"""Text that no server could send, such as lone surrogates, is not among them: hypothesis makes none by default."""


def seen_by_tools(calls: list[tuple[str, Any]]) -> list[Callable[..., Any]]:
    """Tools that note what they are called with."""

    def add(a: int, b: float) -> float:
        calls.append(("add", {"a": a, "b": b}))
        return a + b

    def echo(text: str = "") -> str:
        calls.append(("echo", {"text": text}))
        return text

    return [add, echo]


def is_call_of(name: str, arguments: dict[str, Any], call: dict[str, Any]) -> bool:
    """Whether a tool's arguments are those of the model's call, where it gave them."""
    try:
        meant = json.loads(call["arguments"].strip() or "{}")
        meant = json.loads(meant) if isinstance(meant, str) else meant
    except ValueError:
        return False
    told = meant if isinstance(meant, dict) else {}
    return name == call["name"] and all(same(told.get(each, value), value) for each, value in arguments.items())


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, be it as integer or float."""
    return repr(one) == repr(other) or (isinstance(one, int) and float(one) == other)


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
