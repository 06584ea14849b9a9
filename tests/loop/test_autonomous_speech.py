"""In an autonomous run, the text for the user in tool calls streams, and nothing else of the calls does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConnectionFailedError, TruncatedError
from headrace.events import Token, ToolCallDelta, TurnEnd
from support.autonomous import ADDS, WHOLE, bot_at, completes, done, plans, says
from support.conversations import bodies, calling, conversation
from support.harness import wait_for_outcomes

if TYPE_CHECKING:
    from support.harness import Reader, Simulate


def ends_with(arguments: str, **members: Any) -> list[dict[str, Any]]:
    """A script of an autonomous run that ends with these arguments of ``complete_task``."""
    call = calling("complete_task", arguments, **members.pop("call", {}))
    return conversation(plans("a"), done("a"), {"tool_calls": [call], **members})


# --- while the arguments arrive --------------------------------------------------------------------------------


def test_the_summary_streams_while_its_arguments_arrive(simulate: Simulate, reader: Reader) -> None:
    arguments = '{"task_id": "main", "summary": "The sum is forty-two, as you can see.", "success": true}'
    # The script sends one delta for the call, and half of its arguments in deltas of eight characters. Then it stalls.
    turns = ends_with(arguments, fault={"kind": "stall", "after": 1 + 6})
    simulator = simulate(turns=turns)
    with reader.start(bot_at(simulator)) as reading:
        said = ""
        while said != "The sum is forty":
            said += reading.next()
            assert "The sum is forty".startswith(said)
        assert reading.stream.text == said
        assert reading.stream.state == "streaming"
    wait_for_outcomes(simulator, "disconnected")


def test_a_message_streams_while_its_arguments_arrive(simulate: Simulate, reader: Reader) -> None:
    turn = says("One moment, please, I am looking.")
    turn["tool_calls"][0]["fragments"] = len(turn["tool_calls"][0]["arguments"])  # One character each.
    sent_so_far = turn["tool_calls"][0]["arguments"].index(" please")
    turns = conversation(plans("a"), {**turn, "fault": {"kind": "stall", "after": 1 + sent_so_far}})
    with reader.start(bot_at(simulate(turns=turns))) as reading:
        assert "".join(reading.take(len("One moment,"))) == "One moment,"


def test_each_delta_becomes_a_token_with_the_time_of_its_arrival(simulate: Simulate, reader: Reader) -> None:
    arguments = json.dumps({"summary": "The sum is forty-two.", "task_id": "main", "success": True})
    turns = ends_with(arguments, call={"fragments": 20}, pacing={"mode": "steady", "interval_ms": 1})
    events: list[Any] = reader.read(bot_at(simulate(turns=turns)), with_events=True).tokens
    tokens = [event for event in events if isinstance(event, Token)]
    assert "".join(token.text for token in tokens) == "The sum is forty-two."
    assert len(tokens) > 3
    # Each token follows the delta that it comes from, and has the same time.
    for token in tokens:
        delta = events[token.seq - 1]
        assert isinstance(delta, ToolCallDelta)
        assert delta.at_ns == token.at_ns
    # Deltas that were read together arrived together.
    assert [token.at_ns for token in tokens] == sorted(token.at_ns for token in tokens)


@pytest.mark.parametrize("fragments", [1, 2, 3, 17, 1000])
def test_the_text_is_the_same_however_the_arguments_are_cut(simulate: Simulate, reader: Reader, fragments: int) -> None:
    summary = 'Grüße 🦜: "quoted" \\ back\\slash,\n\ttabs, \u2028 and {"json": [1, 2]}.'
    for ensure_ascii in (False, True):
        arguments = json.dumps({"task_id": "x", "summary": summary, "success": True}, ensure_ascii=ensure_ascii)
        result = reader.read(bot_at(simulate(turns=ends_with(arguments, call={"fragments": fragments}))))
        assert "".join(result.tokens) == result.stream.text == result.stream.final == summary


def test_the_callback_gets_these_tokens_too(simulate: Simulate, reader: Reader) -> None:
    heard: list[str] = []
    result = reader.read(bot_at(simulate(turns=WHOLE), streaming_callback=heard.append))
    assert heard == result.tokens
    assert "".join(heard).endswith("The sum is 42.")


def test_two_messages_of_one_turn_stream_both(simulate: Simulate, reader: Reader) -> None:
    both = {"tool_calls": [*says("First. ")["tool_calls"], *says("Second. ")["tool_calls"]]}
    simulator = simulate(turns=conversation(plans("a"), both, done("a"), completes("Third.")))
    assert "".join(reader.read(bot_at(simulator)).tokens) == "First. Second. Third."


def interleaved(*messages: str, **members: Any) -> list[dict[str, Any]]:
    """A script of an autonomous run in which the deltas of several messages are interleaved."""
    calls = [call for message in messages for call in says(message)["tool_calls"]]
    both = {"tool_calls": calls, "interleave_calls": True, **members}
    return conversation(plans("a"), both, done("a"), completes("."))


@pytest.mark.parametrize("messages", [("First, a long one. ", "Second. "), ("One. ", "Two, a long one. ", "Three. ")])
def test_messages_that_arrive_interleaved_stream_one_after_the_other(
    simulate: Simulate, reader: Reader, messages: tuple[str, ...]
) -> None:
    result = reader.read(bot_at(simulate(turns=interleaved(*messages))), with_events=True)
    events = list[Any](result.tokens)
    tokens = [event for event in events if isinstance(event, Token)]
    assert "".join(token.text for token in tokens) == result.stream.text == f"{''.join(messages)}."
    # The first message did not wait: some of it came before the last delta of the others.
    deltas = [event.seq for event in events if isinstance(event, ToolCallDelta) and event.name == "respond_to_user"]
    assert tokens[0].seq < deltas[-1]


def test_a_message_waits_until_the_one_before_it_is_complete(simulate: Simulate, reader: Reader) -> None:
    # Four deltas of eight characters for each message: "Two." is complete, and the other message is not.
    turns = interleaved("A long message, in many pieces.", "Two.", fault={"kind": "stall", "after": 2 + 8})
    with reader.start(bot_at(simulate(turns=turns))) as reading:
        said = ""
        while len(said) < len("A long mess"):
            said += reading.next()
        assert "A long message, in many pieces.".startswith(said)


def test_a_message_after_one_with_malformed_json_comes_at_the_end_of_the_turn(
    simulate: Simulate, reader: Reader
) -> None:
    cut_off = calling("respond_to_user", '{"message": "One')
    both = {"tool_calls": [cut_off, *says("Two.")["tool_calls"]]}
    simulator = simulate(turns=conversation(plans("a"), both, done("a"), completes(".")))
    assert "".join(reader.read(bot_at(simulator)).tokens) == "OneTwo.."


def test_a_message_that_waited_comes_before_an_error(simulate: Simulate, reader: Reader) -> None:
    cut_off = calling("respond_to_user", '{"message": "One')
    both = {"tool_calls": [cut_off, *says("Two.")["tool_calls"]], "fault": {"kind": "end", "after": 12}}
    result = reader.read(bot_at(simulate(turns=conversation(plans("a"), both))))
    assert "".join(result.tokens) == result.stream.text == "OneTwo."
    assert isinstance(result.error, TruncatedError)


def test_text_beside_a_summary_streams_too(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("a"), done("a"), completes("It is 42.", text="Well: ")))
    result = reader.read(bot_at(simulator))
    assert "".join(result.tokens) == "Well: It is 42."
    assert result.stream.final == "It is 42."


def test_a_message_streams_in_every_phase(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(says("1 "), plans("a"), says("2 "), done("a"), says("3 "), completes("4")))
    result = reader.read(bot_at(simulator))
    assert (result.error, "".join(result.tokens), result.stream.final) == (None, "1 2 3 4", "4")


def test_the_text_of_a_turn_contains_text_from_tool_calls(simulate: Simulate, reader: Reader) -> None:
    events: list[Any] = reader.read(bot_at(simulate(turns=WHOLE)), with_events=True).tokens
    texts = [event.text for event in events if isinstance(event, TurnEnd)]
    assert texts == ["Let me plan.", "Adding.", "", "It checks.", "The sum is 42."]
    assert events[-1].text == "".join(texts)


def test_an_error_comes_after_the_tokens(simulate: Simulate, reader: Reader) -> None:
    arguments = '{"summary": "The sum is forty-two.", "task_id": "main", "success": true}'
    turns = ends_with(arguments, fault={"kind": "reset", "after": 1 + 3})
    simulator = simulate(turns=turns)
    result = reader.read(bot_at(simulator, retry_attempts=3, retry_interval=0))
    assert isinstance(result.error, ConnectionFailedError)
    assert "".join(result.tokens) == "The sum is "
    # Tokens of the turn were seen, so there is no retry.
    assert len(bodies(simulator)) == 3


# --- and nothing else ------------------------------------------------------------------------------------------


def test_the_json_of_calls_is_never_in_the_text(simulate: Simulate, reader: Reader) -> None:
    thought = {"current_state": "SECRET", "analysis": "SECRET", "next_actions": ["SECRET"]}
    everything = [
        {"tool_calls": [calling("think", thought), *plans("a")["tool_calls"]]},
        {"tool_calls": [*ADDS["tool_calls"], *says("Fine. ")["tool_calls"]]},
        {"tool_calls": [calling("no_such_tool", {"summary": "SECRET", "message": "SECRET"})]},
        done("a", "SECRET"),
        completes("Done.", results="SECRET", lessons_learned="SECRET"),
    ]
    result = reader.read(bot_at(simulate(turns=conversation(*everything))))
    assert (result.error, "".join(result.tokens)) == (None, "Fine. Done.")


def test_an_argument_at_another_depth_or_of_another_tool_does_not_stream(simulate: Simulate, reader: Reader) -> None:
    arguments = '{"results": {"summary": "SECRET"}, "message": "SECRET", "summary": "Done.", "task_id": "summary"}'
    assert "".join(reader.read(bot_at(simulate(turns=ends_with(arguments)))).tokens) == "Done."


def test_a_summary_with_malformed_json_streams_in_part_and_is_asked_for_again(
    simulate: Simulate, reader: Reader
) -> None:
    broken = {"tool_calls": [calling("complete_task", '{"summary": "It is " 42."}')]}
    simulator = simulate(turns=conversation(plans("a"), done("a"), broken, completes("It is 42.")))
    result = reader.read(bot_at(simulator))
    assert "".join(result.tokens) == "It is It is 42."
    assert result.stream.final == "It is 42."


def test_in_a_loop_of_turns_arguments_do_not_stream(simulate: Simulate, reader: Reader) -> None:
    def complete_task(summary: str) -> str:
        return summary

    call = {"text": "Calling.", "tool_calls": [calling("complete_task", {"summary": "SECRET"})]}
    simulator = simulate(turns=conversation(call, {"text": "Done."}))
    result = reader.read(bot_at(simulator, tools=[complete_task], max_loops=2))
    assert "".join(result.tokens) == "Calling.Done."


def test_reasoning_is_not_in_the_text_of_an_autonomous_run(simulate: Simulate, reader: Reader) -> None:
    turns = [{**turn, "reasoning": "SECRET"} for turn in WHOLE]
    result = reader.read(bot_at(simulate(turns=turns)))
    assert "".join(result.tokens) == "Let me plan.Adding.It checks.The sum is 42."
    asked_for = reader.read(bot_at(simulate(turns=turns)), reasoning=True)
    assert "".join(asked_for.tokens).count("SECRET") == 5
    assert asked_for.stream.text == result.stream.text
