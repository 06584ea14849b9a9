"""With any sequence of turns, an autonomous run ends and keeps its rules."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import EmptyAnswerError
from headrace.events import PhaseEnd, PhaseStart, RunEnd, Token, ToolCallRequested, ToolResultReturned
from headrace.testing import Simulator
from support.autonomous import assert_every_call_is_answered, bot_at, completes, done, plans, says, step
from support.conversations import bodies, calling

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import Agent

STEPS = [step("a"), step("b", "a", priority="high"), step("c", "z"), step("d", "d"), step("a", "b")]

SECRET = "SECRET"
CALLS = st.one_of(
    st.lists(st.sampled_from(STEPS), max_size=3).map(lambda steps: plans(*steps)["tool_calls"][0]),
    st.sampled_from("abz").map(lambda name: done(name, SECRET)["tool_calls"][0]),
    st.sampled_from(["a", "b"]).map(lambda name: done(name, SECRET, success=False)["tool_calls"][0]),
    st.just(completes("xx")["tool_calls"][0]),
    st.just(says("yy")["tool_calls"][0]),
    st.just(calling("think", {"analysis": SECRET})),
    st.just(calling("add", {"a": 1, "b": 2})),
    st.just(calling("add", {"a": SECRET})),
    st.just(calling("no_such_tool", {"summary": SECRET})),
    st.tuples(
        st.sampled_from(["create_plan", "subtask_done", "complete_task", "respond_to_user", "think", "add"]),
        st.sampled_from(["", "{", "[]", "null", '{"task_id": "a"', '{"SECRET": 1}', '"SECRET"']),
    ).map(lambda broken: calling(*broken)),
)
TURNS = st.fixed_dictionaries(
    {"text": st.sampled_from(["", "zz"]), "tool_calls": st.lists(CALLS, max_size=3)},
    optional={"reasoning": st.just(SECRET), "interleave_calls": st.booleans()},
)


Read: TypeAlias = "tuple[list[Any], EmptyAnswerError | None]"


def read(agent: Agent) -> Read:
    events: list[Any] = []
    try:
        events.extend(agent.run_stream("Go.", with_events=True))
    except EmptyAnswerError as error:
        return events, error
    return events, None


def aread(agent: Agent) -> Read:
    events: list[Any] = []

    async def read_all() -> None:
        async for event in agent.arun_stream("Go.", with_events=True):
            events.append(event)  # noqa: PERF401 - they are kept if an error comes

    try:
        asyncio.run(read_all())
    except EmptyAnswerError as error:
        return events, error
    return events, None


@pytest.mark.parametrize("read_all", [read, aread], ids=["run_stream", "arun_stream"])
@given(turns=st.lists(TURNS, min_size=1, max_size=12))
@settings(max_examples=40, database=None)
def test_any_run_ends_and_keeps_the_rules(read_all: Callable[[Agent], Read], turns: list[dict[str, Any]]) -> None:
    scripted = [{**turn, "when": {"turn": number}} for number, turn in enumerate(turns)]
    # After its script, the model repeats its last turn.
    with Simulator(turns=[*scripted, turns[-1]]) as simulator:
        events, error = read_all(bot_at(simulator, max_plan_attempts=2, max_subtask_loops=3))
        sent = bodies(simulator)
    end = events[-1]
    assert isinstance(end, RunEnd)
    # A model that never says anything gives no answer.
    assert end.state == ("complete" if error is None else "error")
    assert error is None or not end.text
    # Two turns for the plan, three for each of at most three subtasks, three for the summary.
    assert len(sent) == end.turns <= 2 + 3 * 3 + 3
    for body in sent:
        assert_every_call_is_answered(body["messages"])
        assert {message["role"] for message in body["messages"]} <= {"user", "assistant", "tool"}
        for message in body["messages"]:
            for call in message.get("tool_calls") or []:
                json.loads(call["function"]["arguments"])
        names = [tool["function"]["name"] for tool in body.get("tools", [])]
        assert len(names) == len(set(names))
    # No conversation is sent twice, and the text contains nothing from other arguments or from the reasoning.
    assert all(len(one["messages"]) < len(other["messages"]) for one, other in itertools.pairwise(sent))
    assert end.text == "".join(event.text for event in events if isinstance(event, Token))
    assert set(end.text) <= set("xyz")
    assert [event.seq for event in events] == list(range(len(events)))
    # Every tool call has a result, and every phase has an end.
    called = Counter(event.call for event in events if isinstance(event, ToolCallRequested))
    assert called == Counter(event.call for event in events if isinstance(event, ToolResultReturned))
    phases = [event for event in events if isinstance(event, PhaseStart | PhaseEnd)]
    for start, over in zip(phases[::2], phases[1::2], strict=True):
        assert (type(start), type(over)) == (PhaseStart, PhaseEnd)
        assert (start.phase, start.subtask) == (over.phase, over.subtask)
