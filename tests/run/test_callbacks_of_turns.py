"""``streaming_callback`` over several turns, and ``stream=True``: a dict about each token."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from headrace.events import RunEnd, Token
from support.conversations import ADDS, add, bodies, calling, conversation
from support.harness import Reader, Simulate, agent_at, wait_for_outcomes

if TYPE_CHECKING:
    from headrace import Agent


class EnoughError(Exception):
    """The error that a callback raises to end the run."""


USAGE = {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}


def calculator_at(simulate: Simulate, **options: Any) -> Agent:
    turns = conversation({"reasoning": "Hm.", **ADDS, "usage": USAGE}, {"text": "It is 42.", "usage": USAGE})
    return agent_at(simulate(turns=turns, model="sim-1"), tools=[add], max_loops=2, **options)


# --- each token ------------------------------------------------------------------------------------------------


def test_the_callback_gets_the_tokens_of_all_turns_and_nothing_else(simulate: Simulate, reader: Reader) -> None:
    heard: list[str] = []
    result = reader.read(calculator_at(simulate, streaming_callback=heard.append))
    assert heard == result.tokens == ["Let", " me", " add.", "It", " is", " 42."]


def test_with_events_the_callback_still_gets_tokens(simulate: Simulate, reader: Reader) -> None:
    heard: list[str] = []
    result = reader.read(calculator_at(simulate, streaming_callback=heard.append), with_events=True)
    assert heard == [event.text for event in list[Any](result.tokens) if isinstance(event, Token)]
    assert "".join(heard) == "Let me add.It is 42."


def test_an_error_of_the_callback_in_a_later_turn_ends_the_run(simulate: Simulate, reader: Reader) -> None:
    stalled = {"text": "It is 42.", "fault": {"kind": "stall", "after": 2}}
    simulator = simulate(turns=conversation(ADDS, stalled))

    def enough(token: str) -> None:
        if token == " is":
            raise EnoughError

    agent = agent_at(simulator, tools=[add], max_loops=2, retry_attempts=3, retry_interval=0)
    result = reader.read(agent, streaming_callback=enough)
    assert "".join(result.tokens) == "Let me add.It"
    assert isinstance(result.error, EnoughError)
    assert result.stream.state == "failed"
    wait_for_outcomes(simulator, "disconnected")
    assert len(bodies(simulator)) == 2


def test_with_events_the_run_end_comes_before_the_error_of_a_callback(simulate: Simulate, reader: Reader) -> None:
    def enough(token: str) -> None:
        raise EnoughError(token)

    result = reader.read(calculator_at(simulate, streaming_callback=enough), with_events=True)
    assert isinstance(result.error, EnoughError)
    last: Any = result.tokens[-1]
    assert isinstance(last, RunEnd)
    assert last.state == "failed"


def test_a_callback_may_close_the_stream(simulate: Simulate) -> None:
    simulator = simulate("one two three", fault={"kind": "stall", "after": 2})
    heard: list[str] = []

    def leave(token: str) -> None:
        heard.append(token)
        stream.close()

    stream = agent_at(simulator).run_stream("Go.", streaming_callback=leave)
    with pytest.raises(Exception, match="closed"):
        list(stream)
    assert (heard, stream.state) == (["one"], "cancelled")
    wait_for_outcomes(simulator, "disconnected")


def test_a_callback_may_steer(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"text": "It is 42."}, {"text": "XLII."}))

    def steer(token: str) -> None:
        if token == " 42.":
            reading.stream.steer("In Roman.")

    reading = reader.start(agent_at(simulator, max_loops=3), streaming_callback=steer)
    assert "".join(reading.to_end().tokens) == "It is 42.XLII."


# --- a dict about each token -----------------------------------------------------------------------------------


def details_of(simulate: Simulate, reader: Reader, **options: Any) -> list[dict[str, Any]]:
    """The dicts that the callback of a calculator gets in the detailed mode."""
    heard: list[dict[str, Any]] = []
    result = reader.read(calculator_at(simulate, stream=True, streaming_callback=heard.append), **options)
    assert result.error is None
    assert heard
    return heard


def test_the_detailed_callback_gets_a_dict_for_each_token(simulate: Simulate, reader: Reader) -> None:
    before = time.time()
    heard = [told for told in details_of(simulate, reader) if told["token"]]
    assert "".join(told["token"] for told in heard) == "Let me add.It is 42."
    for told in heard:
        assert {"token", "index", "model", "id", "finish_reason", "usage", "logprobs", "timestamp"} <= set(told)
        assert told["logprobs"] is None
        assert told["model"] == "sim-1"
        assert told["finish_reason"] is None
        assert before <= told["timestamp"] <= time.time()
    assert [told["id"] for told in heard] == ["chatcmpl-sim-0"] * 3 + ["chatcmpl-sim-1"] * 3


def test_the_dict_at_the_end_of_a_turn_has_finish_reason_and_usage(simulate: Simulate, reader: Reader) -> None:
    ends = [told for told in details_of(simulate, reader) if not told["token"]]
    assert [told["finish_reason"] for told in ends] == ["tool_calls", "stop"]
    assert [{name: told["usage"][name] for name in USAGE} for told in ends] == [USAGE, USAGE]


def test_the_dicts_have_the_index_of_the_token(simulate: Simulate, reader: Reader) -> None:
    heard = [told for told in details_of(simulate, reader) if told["token"]]
    assert [told["index"] for told in heard] == list(range(6))


def test_the_detailed_mode_yields_the_same_tokens(simulate: Simulate, reader: Reader) -> None:
    plain = reader.read(calculator_at(simulate))
    detailed = reader.read(calculator_at(simulate, stream=True, streaming_callback=lambda _: None))
    assert plain.tokens == detailed.tokens


def test_the_detailed_mode_without_a_callback_works(simulate: Simulate, reader: Reader) -> None:
    assert "".join(reader.read(calculator_at(simulate, stream=True)).tokens) == "Let me add.It is 42."


def test_the_callback_of_a_call_gets_dicts_too(simulate: Simulate, reader: Reader) -> None:
    heard: list[Any] = []
    reader.read(calculator_at(simulate, stream=True), streaming_callback=heard.append)
    assert all(isinstance(told, dict) for told in heard)


def test_with_events_the_dicts_are_the_same(simulate: Simulate, reader: Reader) -> None:
    def told(**options: Any) -> list[tuple[Any, ...]]:
        details = details_of(simulate, reader, **options)
        return [(one["token"], one["index"], one["finish_reason"], one["id"]) for one in details]

    assert told(with_events=True) == told()


def test_run_calls_the_detailed_callback_too(simulate: Simulate) -> None:
    heard: list[dict[str, Any]] = []
    agent = calculator_at(simulate, stream=True, streaming_callback=heard.append)
    assert agent.run("Go.") == "It is 42."
    assert "".join(told["token"] for told in heard) == "Let me add.It is 42."


def test_an_error_of_a_detailed_callback_ends_the_run(simulate: Simulate, reader: Reader) -> None:
    def enough(told: dict[str, Any]) -> None:
        if told["index"] == 1:
            raise EnoughError

    result = reader.read(calculator_at(simulate, stream=True, streaming_callback=enough))
    assert result.tokens == ["Let"]
    assert isinstance(result.error, EnoughError)


def test_spoken_text_of_a_tool_call_has_dicts_too(simulate: Simulate, reader: Reader) -> None:
    summary = calling("complete_task", {"task_id": "t", "summary": "It is 42.", "success": True})
    simulator = simulate(turns=conversation({"tool_calls": [summary]}))
    heard: list[dict[str, Any]] = []
    agent = agent_at(simulator, max_loops="auto", stream=True, streaming_callback=heard.append)
    assert reader.read(agent).stream.final == "It is 42."
    assert "".join(told["token"] for told in heard) == "It is 42."


def logprobs_of(token: str) -> dict[str, Any]:
    return {"content": [{"token": token, "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}], "refusal": None}


def body_of(*tokens: tuple[str, Any]) -> str:
    """A stream of tokens with their logprobs."""
    choices: list[dict[str, Any]] = [{"delta": {"content": token}, "logprobs": logprobs} for token, logprobs in tokens]
    chunks = [{"choices": [{"index": 0, **choice}]} for choice in [*choices, {"delta": {}, "finish_reason": "stop"}]]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


@pytest.mark.parametrize("options", [{}, {"with_events": True}, {"reasoning": True}])
def test_the_dicts_have_the_logprobs_if_there_are_any(
    simulate: Simulate, reader: Reader, options: dict[str, Any]
) -> None:
    # The first and the last two are similar, so that the decoder may use its shortcut for them.
    tokens = [("One", None), (" two", logprobs_of(" two")), (" three", logprobs_of(" three")), (" or", None)]
    simulator = simulate(fault={"kind": "raw", "body": body_of(*tokens, (" more.", None))})
    heard: list[dict[str, Any]] = []
    agent = agent_at(simulator, llm_args={"logprobs": True}, stream=True, streaming_callback=heard.append)
    result = reader.read(agent, **options)
    assert result.error is None
    assert result.stream.text == "One two three or more."
    assert [(told["token"], told["logprobs"]) for told in heard] == [*tokens, (" more.", None), ("", None)]


def test_a_token_event_has_its_logprobs(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(fault={"kind": "raw", "body": body_of(("Hi", logprobs_of("Hi")), (" you", None))})
    events = list[Any](reader.read(agent_at(simulator), with_events=True).tokens)
    told = [(event.text, event.logprobs) for event in events if isinstance(event, Token)]
    assert told == [("Hi", logprobs_of("Hi")), (" you", None)]


def test_without_events_a_detailed_run_yields_plain_text(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(calculator_at(simulate, stream=True, streaming_callback=lambda _: None), reasoning=True)
    assert "".join(result.tokens) == "Hm.Let me add.It is 42."
    assert {type(token) for token in result.tokens} == {str}
