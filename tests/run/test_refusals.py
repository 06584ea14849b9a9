"""A refusal is text for the user: it streams like text, but has its own event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace import ConnectionFailedError
from headrace.events import Refusal, RunEnd, Token, TurnEnd
from support.autonomous import bot_at, done, plans
from support.conversations import ADDS, add, bodies, conversation, sent
from support.harness import agent_at, run_headrace, wait_for_outcomes

if TYPE_CHECKING:
    import pytest

    from support.harness import Reader, Simulate

NO = ["I", " will", " not."]
OPTIONS: list[dict[str, Any]] = [{}, {"reasoning": True}, {"with_events": True}]


def test_a_refusal_streams_like_text(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(agent_at(simulate("", refusal=NO)))
    assert (result.error, result.tokens) == (None, NO)
    assert result.stream.text == result.stream.final == "I will not."
    [turn] = result.stream.turns
    assert (turn.text, turn.refusal) == ("", "I will not.")


def test_a_refusal_arrives_token_by_token(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("", refusal=NO, fault={"kind": "stall", "after": 2})
    for options in OPTIONS[:2]:
        with reader.start(agent_at(simulator), **options) as reading:
            assert reading.take(2) == NO[:2]
    wait_for_outcomes(simulator, "disconnected", 2)


def test_with_events_a_refusal_has_its_own_event(simulate: Simulate, reader: Reader) -> None:
    events = list[Any](reader.read(agent_at(simulate("", refusal=NO)), with_events=True).tokens)
    assert [(event.type, event.text) for event in events if isinstance(event, Refusal)] == [
        ("refusal", piece) for piece in NO
    ]
    assert not [event for event in events if isinstance(event, Token)]
    assert [event.text for event in events if isinstance(event, TurnEnd | RunEnd)] == ["I will not."] * 2


def test_run_returns_a_refusal(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    assert agent_at(simulate("", refusal=NO), print_on=True).run("Go.") == "I will not."
    assert capsys.readouterr().out == "I will not.\n"


def test_the_callback_gets_a_refusal(simulate: Simulate, reader: Reader) -> None:
    for options in OPTIONS[::2]:
        heard: list[str] = []
        reader.read(agent_at(simulate("", refusal=NO), streaming_callback=heard.append), **options)
        assert heard == NO
        told: list[dict[str, Any]] = []
        reader.read(agent_at(simulate("", refusal=NO), stream=True, streaming_callback=told.append), **options)
        assert [one["token"] for one in told] == [*NO, ""]


def test_with_text_and_refusal_the_text_is_the_answer(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(agent_at(simulate("It is 42.", refusal=NO)))
    assert result.stream.final == "It is 42."
    assert result.stream.text == "".join(result.tokens) == "It is 42.I will not."


def test_a_refusal_after_tools_is_the_answer(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"refusal": NO}))
    result = reader.read(agent_at(simulator, tools=[add], max_loops=3))
    assert result.stream.final == "I will not."
    assert "".join(result.tokens) == "Let me add.I will not."


def test_a_refusal_that_was_cut_is_not_retried(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("", refusal=NO, fault={"kind": "reset", "after": 2})
    result = reader.read(agent_at(simulator, retry_attempts=3, retry_interval=0))
    assert isinstance(result.error, ConnectionFailedError)
    assert (result.tokens, result.error.delivered) == (NO[:2], True)
    assert len(bodies(simulator)) == 1


def test_a_refusal_ends_an_autonomous_run(simulate: Simulate, reader: Reader) -> None:
    for turns in ([{"refusal": NO}], [plans("a", "b"), {"refusal": NO}], [plans("a"), done("a"), {"refusal": NO}]):
        simulator = simulate(turns=conversation(*turns))
        result = reader.read(bot_at(simulator))
        assert (result.error, result.stream.final, result.tokens) == (None, "I will not.", NO)
        assert len(bodies(simulator)) == len(turns)


def test_a_later_request_contains_the_refusal(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"refusal": NO}, {"text": "Fine."}))
    reading = reader.start(agent_at(simulator, max_loops=2))
    reading.take(1)
    reading.stream.steer("Please.")
    assert reading.to_end().stream.final == "Fine."
    assert sent(simulator)[1] == {"role": "assistant", "content": "I will not."}


def test_the_command_prints_a_refusal() -> None:
    from headrace.testing import Simulator

    with Simulator(turns=[{"refusal": NO}]) as simulator:
        ran = run_headrace(simulator, "Hi.")
    assert (ran.returncode, ran.stdout) == (0, "I will not.\n")
