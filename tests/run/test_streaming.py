"""What a stream yields, and its properties during the run and afterwards."""

from __future__ import annotations

import pytest

from headrace import Usage
from support.harness import Reader, Simulate, agent_at

PIECES = ["one", " two", "\n", "  ", "thrée", " 🦜", '"quoted" \\', "\u2028", "</end>"]


def test_tokens_are_those_of_the_model_one_by_one_and_in_order(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(agent_at(simulate(PIECES)))
    assert result.tokens == PIECES
    assert result.error is None


def test_a_delta_without_text_is_no_token(simulate: Simulate, reader: Reader) -> None:
    assert reader.read(agent_at(simulate(["a", "", "b", ""]))).tokens == ["a", "b"]


def test_an_answer_may_be_empty_if_that_is_allowed(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(agent_at(simulate(""), allow_empty=True))
    assert (result.tokens, result.error) == ([], None)
    assert (result.stream.text, result.stream.state) == ("", "complete")


def test_many_tokens_that_come_at_once_are_still_yielded_one_by_one(simulate: Simulate, reader: Reader) -> None:
    words = [f"{number} " for number in range(3000)]
    assert reader.read(agent_at(simulate(words))).tokens == words


@pytest.mark.parametrize(
    "chunking", ["frame", "coalesce", {"bytes": 1}, {"bytes": 7}], ids=["frame", "coalesce", "1", "7"]
)
def test_tokens_do_not_depend_on_the_http_chunks(simulate: Simulate, reader: Reader, chunking: object) -> None:
    assert reader.read(agent_at(simulate(PIECES, chunking=chunking))).tokens == PIECES


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_tokens_do_not_depend_on_the_line_ends(simulate: Simulate, reader: Reader, newline: str) -> None:
    assert reader.read(agent_at(simulate(PIECES, newline=newline))).tokens == PIECES


def test_comments_are_not_tokens(simulate: Simulate, reader: Reader) -> None:
    pacing = {"mode": "steady", "interval_ms": 5}
    simulator = simulate(["a", "b", "c"], comments="still here", comment_every_ms=1, pacing=pacing)
    assert reader.read(agent_at(simulator)).tokens == ["a", "b", "c"]


def test_reasoning_and_tool_calls_are_known_but_not_yielded(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(
        ["The", " answer"],
        reasoning=["Let me", " think"],
        refusal=["I had", " rather not"],
        tool_calls=[{"id": "call_7", "name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "now"}],
    )
    result = reader.read(agent_at(simulator))
    assert result.tokens == ["The", " answer", "I had", " rather not"]
    [turn] = result.stream.turns
    assert (turn.text, turn.reasoning, turn.refusal) == ("The answer", "Let me think", "I had rather not")
    assert [(call.id, call.name) for call in turn.tool_calls] == [("call_7", "add"), ("call_0_1", "now")]
    assert turn.tool_calls[0].arguments == '{"a":1,"b":2}'
    assert (turn.finish_reason, turn.finish_reason_raw) == ("tool_calls", "tool_calls")


def test_only_the_first_of_several_choices_is_yielded(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(agent_at(simulate(["a", "b"]), llm_args={"n": 3}))
    assert result.tokens == ["a", "b"]
    assert result.stream.text == "ab"


def test_before_the_first_token_a_stream_knows_nothing(simulate: Simulate, reader: Reader) -> None:
    stream = reader.start(agent_at(simulate())).stream
    assert (stream.state, stream.text, stream.usage, stream.timing) == ("pending", "", None, None)
    assert (stream.turns, stream.timings) == ((), ())


def test_during_the_run_a_stream_knows_what_was_read(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two three four", fault={"kind": "stall", "after": 2})
    with reader.start(agent_at(simulator)) as reading:
        assert reading.take(2) == ["one", " two"]
        stream = reading.stream
        assert (stream.state, stream.text) == ("streaming", "one two")
        [turn] = stream.turns
        assert (turn.text, turn.finish_reason, turn.usage) == ("one two", None, None)
        assert stream.usage is None
        assert stream.timing is not None
        assert (stream.timing.chunks, stream.timing.ended_ns, stream.timing.duration) == (2, None, None)


def test_after_the_run_a_stream_knows_everything(simulate: Simulate, reader: Reader) -> None:
    told = {"input_tokens": 11, "output_tokens": 4, "cached_tokens": 8, "reasoning_tokens": 2}
    stream = reader.read(agent_at(simulate("one two", usage=told, finish_reason="length", model="m-1"))).stream
    assert (stream.state, stream.text) == ("complete", "one two")
    assert stream.usage == Usage(11, 4, 15, 8, 2)
    [turn] = stream.turns
    assert (turn.text, turn.usage, turn.model) == ("one two", stream.usage, "m-1")
    assert (turn.finish_reason, turn.finish_reason_raw) == ("length", "length")
    assert turn.id
    assert stream.timings == (stream.timing,)


def test_usage_that_was_not_sent_is_estimated_and_marked(simulate: Simulate, reader: Reader) -> None:
    usage = reader.read(agent_at(simulate("one two", usage=False))).stream.usage
    # "Go." and "one two", at four bytes a token and four tokens a message.
    assert usage == Usage(5, 6, 11, estimated=True)


def test_a_stream_that_was_read_to_its_end_stays_at_its_end(simulate: Simulate, reader: Reader) -> None:
    reading = reader.start(agent_at(simulate("one two")))
    assert reading.to_end().tokens == ["one", " two"]
    again = reading.to_end()
    assert (again.tokens, again.error) == ([], None)


def test_the_repr_has_the_state_of_the_stream(simulate: Simulate, reader: Reader) -> None:
    reading = reader.start(agent_at(simulate("one two")))
    name = type(reading.stream).__name__
    assert repr(reading.stream) == f"<{name} pending, 0 characters>"
    reading.to_end()
    assert repr(reading.stream) == f"<{name} complete, 7 characters>"
