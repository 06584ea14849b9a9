"""The events of a run: which ones, in which order, and how to read them."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import assert_type

from headrace import (
    AsyncRunStream,
    ConnectionFailedError,
    MissingKeyError,
    RunStream,
    SequentialWorkflow,
    ServerError,
    TruncatedError,
    Usage,
)
from headrace.events import (
    AgentEnd,
    AgentStart,
    Event,
    PhaseEnd,
    PhaseStart,
    Reasoning,
    Refusal,
    RunEnd,
    RunStart,
    Token,
    ToolCallDelta,
    ToolCallRequested,
    ToolResultReturned,
    TurnEnd,
    TurnStart,
)
from headrace.workflow import WorkflowStream
from support.conversations import ADDS, add, calling, conversation
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from headrace import Agent

THINKS = {"reasoning": ["I", " add."], **ADDS, "usage": {"input_tokens": 10, "output_tokens": 4}}
ANSWERS = {"text": "It is 42.", "usage": {"input_tokens": 20, "output_tokens": 3}}


def calculator_at(simulate: Simulate, **options: Any) -> Agent:
    """An agent that reasons, calls a tool, and answers."""
    simulator = simulate(turns=conversation(THINKS, ANSWERS), model="sim-1")
    return agent_at(simulator, agent_name="Calculator", tools=[add], max_loops=3, **options)


def events_of(reader: Reader, agent: Agent, task: str = "17 + 25?", **options: Any) -> list[Any]:
    """The events of a run that ends well."""
    result = reader.read(agent, task, with_events=True, **options)
    assert result.error is None
    return list[Any](result.tokens)


def of_type(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# --- which, and in which order ---------------------------------------------------------------------------------


def test_the_events_of_a_run_in_order(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate))
    kinds = [kind for kind, _ in itertools.groupby(event.type for event in events)]
    assert kinds == [
        *["run_start", "turn_start", "reasoning", "token", "tool_call_delta", "tool_call", "turn_end", "tool_result"],
        *["turn_start", "token", "turn_end", "run_end"],
    ]


def test_events_are_numbered_from_0_without_gaps_and_name_their_agent(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate))
    assert [event.seq for event in events] == list(range(len(events)))
    assert {event.agent for event in events} == {"Calculator"}


def test_the_times_of_events_never_go_back(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(THINKS, ANSWERS), pacing={"mode": "steady", "interval_ms": 1})
    events = events_of(reader, agent_at(simulator, tools=[add], max_loops=2))
    arrived = [event.at_ns for event in events if isinstance(event, Token | Reasoning | ToolCallDelta)]
    assert arrived == sorted(arrived)
    assert len(set(arrived)) > 5
    assert all(event.at_ns > 0 for event in events)
    assert events[0].at_ns <= arrived[0]
    assert arrived[-1] <= events[-1].at_ns


def test_the_times_of_tokens_are_those_of_the_timing(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, agent_at(simulate("one two three")))
    [end] = of_type(events, TurnEnd)
    assert [token.at_ns for token in of_type(events, Token)] == end.timing.arrivals_ns.tolist()


def test_each_token_event_is_yielded_when_it_arrives(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two three four", fault={"kind": "stall", "after": 2})
    with reader.start(agent_at(simulator), with_events=True) as reading:
        taken: list[Any] = reading.take(4)
        assert [event.type for event in taken] == ["run_start", "turn_start", "token", "token"]


def test_the_first_event_comes_before_anything_is_sent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    with reader.start(agent_at(simulator), "Say hello.", with_events=True) as reading:
        first: Any = reading.next()
        assert (first.type, first.task) == ("run_start", "Say hello.")
        assert simulator.report()["requests"] == []


# --- what they tell --------------------------------------------------------------------------------------------


def test_turn_events_have_number_and_result(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate))
    assert [(event.turn, event.model) for event in of_type(events, TurnStart)] == [(1, "openai/sim"), (2, "openai/sim")]
    first, second = of_type(events, TurnEnd)
    assert (first.turn, first.text, first.finish_reason) == (1, "Let me add.", "tool_calls")
    assert (second.turn, second.text, second.finish_reason) == (2, "It is 42.", "stop")
    assert (first.usage, second.usage) == (Usage(10, 4, 14), Usage(20, 3, 23))
    assert first.timing.ttft <= first.timing.duration
    assert first.timing.chunks > second.timing.chunks == 3


def test_the_run_end_has_the_result_of_the_run(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate))
    end = events[-1]
    assert isinstance(end, RunEnd)
    assert (end.state, end.text, end.usage, end.turns) == ("complete", "Let me add.It is 42.", Usage(30, 7, 37), 2)
    assert end.cost is None
    assert end.duration >= sum(event.timing.duration for event in of_type(events, TurnEnd))
    assert 0 < end.tool_time < end.duration


def test_the_tokens_of_a_run_make_up_its_text(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate))
    assert "".join(event.text for event in of_type(events, Token)) == events[-1].text
    assert "".join(event.text for event in of_type(events, Reasoning)) == "I add."


def test_a_tool_call_and_its_result_are_events(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate))
    [called] = of_type(events, ToolCallRequested)
    assert (called.call.id, called.call.name, called.call.arguments) == ("call_0_0", "add", '{"a": 17, "b": 25}')
    [returned] = of_type(events, ToolResultReturned)
    assert (returned.call, returned.content, returned.error) == (called.call, "42", None)
    assert returned.duration > 0


@pytest.mark.parametrize("wanted", [False, True])
def test_with_events_may_be_a_variable(simulate: Simulate, wanted: bool) -> None:
    # The type checkers hold what `assert_type` says.
    agent = agent_at(simulate("one two"))
    items = list(assert_type(agent.run_stream("Go.", with_events=wanted), RunStream[str] | RunStream[Event]))
    assert all(isinstance(item, Event if wanted else str) for item in items)
    assert items

    async def main() -> list[Event | str]:
        stream = agent.arun_stream("Go.", with_events=wanted, reasoning=False)
        return [item async for item in assert_type(stream, AsyncRunStream[str] | AsyncRunStream[Event])]

    assert len(asyncio.run(main())) == len(items)
    assert_type(agent.run_stream("Go.", img=None), RunStream[str])
    assert_type(agent.run_stream("Go.", with_events=True), RunStream[Event])
    flow = SequentialWorkflow(agents=[agent])
    assert_type(flow.run_stream("Go.", with_events=wanted), WorkflowStream[str] | WorkflowStream[Event])
    with pytest.raises(TypeError, match="image"):
        agent.run_stream("Go.", image="x.png")  # type: ignore[call-overload]


# --- how they are read -----------------------------------------------------------------------------------------


def test_events_match_patterns(simulate: Simulate, reader: Reader) -> None:
    seen: list[str] = []
    for event in events_of(reader, calculator_at(simulate)):
        match event:
            case Token(text=text):
                seen.append(text)
            case ToolCallRequested(call=call):
                seen.append(f"<{call.name}>")
            case ToolResultReturned(content=content, error=None):
                seen.append(f"<{content}>")
            case RunEnd(state="complete"):
                seen.append("<end>")
            case _:
                pass
    assert "".join(seen) == "Let me add.<add><42>It is 42.<end>"


def test_events_read_like_dicts(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate))
    for event in events:
        assert event["type"] == event.type
        assert event["agent"] == "Calculator"
        assert "type" in event
        assert "no such member" not in event
        assert event.get("no such member", 7) == 7
        assert event.get("seq") == event["seq"] == event.seq
        with pytest.raises(KeyError):
            event["no such member"]
    assert "".join(event["token"] for event in events if event["type"] == "token") == "Let me add.It is 42."


def test_events_are_frozen(simulate: Simulate, reader: Reader) -> None:
    for event in events_of(reader, calculator_at(simulate)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.agent = "Other"


ALL: list[type[Event]] = [
    *(RunStart, RunEnd, TurnStart, TurnEnd, Token, Reasoning, Refusal, ToolCallDelta),
    *(ToolCallRequested, ToolResultReturned, PhaseStart, PhaseEnd, AgentStart, AgentEnd),
]


def everything(simulate: Simulate, reader: Reader) -> list[Any]:
    """A run with events of every kind."""
    steps = [{"step_id": "a", "description": "Add.", "priority": "high", "dependencies": []}]
    turns = conversation(
        {"reasoning": "Hm.", "tool_calls": [calling("create_plan", {"task_description": "Add.", "steps": steps})]},
        {"text": "Grüße 🦜", "tool_calls": [calling("add", {"a": 1, "b": 2})]},
        {"tool_calls": [calling("subtask_done", {"task_id": "a", "summary": "added", "success": True})]},
        {"tool_calls": [calling("complete_task", {"task_id": "t", "summary": 'It is "3".\n', "success": True})]},
    )
    auto = events_of(reader, agent_at(simulate(turns=turns), tools=[add], max_loops="auto"))
    hand = calling("handoff_task", {"agent_name": "Ada", "task": "17 + 25?"})
    simulator = simulate(turns=[{"when": {"contains": "17"}, "text": "42"}, {"tool_calls": [hand]}])
    handed = events_of(reader, agent_at(simulator, handoffs=[agent_at(simulator, agent_name="Ada")]), "Go.")
    return auto + handed + events_of(reader, agent_at(simulate("", refusal="No.")))


def test_every_event_survives_json(simulate: Simulate, reader: Reader) -> None:
    events = everything(simulate, reader)
    assert {type(event) for event in events} == set(ALL)
    for event in events:
        line = event.to_json()
        assert "\n" not in line
        assert json.loads(line) == event.to_dict()
        assert next(iter(event.to_dict())) == "type"


def test_the_dict_of_an_event_has_its_members_and_plain_values_only(simulate: Simulate, reader: Reader) -> None:
    def is_plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(name, str) and is_plain(member) for name, member in value.items())
        if isinstance(value, list):
            return all(map(is_plain, value))
        return value is None or isinstance(value, str | int | float | bool)

    for event in everything(simulate, reader):
        told = event.to_dict()
        assert is_plain(told)
        members = {field.name for field in dataclasses.fields(event)}
        assert set(told) - {"type", "token"} == members


def test_each_event_class_has_its_own_type() -> None:
    assert len({kind.type for kind in ALL}) == len(ALL)


def test_an_event_may_be_made_by_hand() -> None:
    event = Token("Hi", agent="Ada", seq=3, at_ns=5)
    members = {"agent": "Ada", "seq": 3, "at_ns": 5, "text": "Hi", "logprobs": None, "token": "Hi"}
    assert event.to_dict() == {"type": "token", **members}
    assert event == Token("Hi", agent="Ada", seq=3, at_ns=5)
    assert json.loads(event.to_json()) == event.to_dict()


# --- how a run ends --------------------------------------------------------------------------------------------

ENDS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "reset": ({"kind": "reset", "after": 2}, ConnectionFailedError),
    "truncated": ({"kind": "end", "after": 2}, TruncatedError),
    "status": ({"kind": "status", "status": 500}, ServerError),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_run_end_comes_before_an_error_and_has_its_state(simulate: Simulate, reader: Reader, end: str) -> None:
    fault, kind = ENDS[end]
    simulator = simulate("one two three", fault=fault)
    result = reader.read(agent_at(simulator), with_events=True)
    assert isinstance(result.error, kind)
    last: Any = result.tokens[-1]
    assert isinstance(last, RunEnd)
    assert last.state == result.stream.state == result.error.state  # type: ignore[attr-defined]
    assert last.state not in {"complete", "cancelled", "streaming"}
    assert last.text == ("" if end == "status" else "one two")
    assert [event.seq for event in list[Any](result.tokens)] == list(range(len(result.tokens)))


def test_a_later_turn_that_fails_ends_the_run_after_its_tokens(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42.", "fault": {"kind": "end", "after": 1}}))
    result = reader.read(agent_at(simulator, tools=[add], max_loops=2), with_events=True)
    assert isinstance(result.error, TruncatedError)
    last: Any = result.tokens[-1]
    assert (last.type, last.state, last.text, last.turns) == ("run_end", "truncated", "Let me add.It", 2)


def test_a_request_that_cannot_be_built_ends_the_run_too(reader: Reader) -> None:
    agent = agent_at("unused", llm_base_url=None, model_name="openai/gpt-none")
    result = reader.read(agent, with_events=True)
    assert isinstance(result.error, MissingKeyError)
    kinds = [event.type for event in list[Any](result.tokens)]
    assert (kinds[0], kinds[-1]) == ("run_start", "run_end")
    last: Any = result.tokens[-1]
    assert (last.state, last.text, last.usage) == ("failed", "", None)


def test_a_run_that_the_reader_leaves_has_no_run_end(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two", fault={"kind": "stall", "after": 1})
    reading = reader.start(agent_at(simulator), with_events=True)
    reading.take(3)
    reading.close()
    assert reading.to_end().tokens == []
    assert reading.stream.state == "cancelled"


# --- reasoning -------------------------------------------------------------------------------------------------


def test_reasoning_is_not_in_the_text(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(calculator_at(simulate))
    assert "".join(result.tokens) == result.stream.text == "Let me add.It is 42."
    assert result.stream.turns[0].reasoning == "I add."


def test_reasoning_is_yielded_if_it_is_asked_for(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(calculator_at(simulate), reasoning=True)
    assert result.tokens[:3] == ["I", " add.", "Let"]
    assert "".join(result.tokens) == "I add.Let me add.It is 42."
    assert all(type(token) is str for token in result.tokens)
    # But it is not part of the answer.
    assert result.stream.text == "Let me add.It is 42."


def test_reasoning_comes_while_the_model_thinks(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("x", reasoning=["I", " think", " hard."], fault={"kind": "stall", "after": 2})
    with reader.start(agent_at(simulator), reasoning=True) as reading:
        assert reading.take(2) == ["I", " think"]
    with reader.start(agent_at(simulator), with_events=True) as reading:
        thoughts: list[Any] = reading.take(4)[2:]
        assert [(event.type, event.text) for event in thoughts] == [("reasoning", "I"), ("reasoning", " think")]


def test_with_events_reasoning_is_always_yielded(simulate: Simulate, reader: Reader) -> None:
    events = events_of(reader, calculator_at(simulate), reasoning=False)
    assert len(of_type(events, Reasoning)) == 2


# --- what does not change --------------------------------------------------------------------------------------


def test_the_stream_has_the_same_properties_with_and_without_events(simulate: Simulate, reader: Reader) -> None:
    plain = reader.read(calculator_at(simulate)).stream
    eventful = reader.read(calculator_at(simulate), with_events=True).stream
    assert plain.text == eventful.text
    assert plain.turns == eventful.turns
    assert plain.usage == eventful.usage
    assert plain.messages == eventful.messages
    assert plain.final == eventful.final
