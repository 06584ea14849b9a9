"""The autonomous loop: its phases (plan, execute, summary), with which tools, and what the model is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ServerError
from headrace.events import PhaseStart, Token, ToolCallRequested, ToolResultReturned
from support.autonomous import (
    ADDS,
    WHOLE,
    assert_every_call_is_answered,
    bot_at,
    completes,
    done,
    offered,
    phases,
    plans,
    results,
    says,
    step,
)
from support.conversations import bodies, calling, conversation, sent

if TYPE_CHECKING:
    from pathlib import Path

    from support.harness import Reader, Simulate


# --- the phases ------------------------------------------------------------------------------------------------


def test_a_run_has_the_phases_plan_execute_and_summary(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=WHOLE)
    result = reader.read(bot_at(simulator), "What is 17 + 25?", with_events=True)
    assert (result.error, result.stream.state, result.stream.final) == (None, "complete", "The sum is 42.")
    assert phases(result.tokens) == [
        *[("phase_start", "plan", None), ("phase_end", "plan", None)],
        *[("phase_start", "execute", "sum"), ("phase_end", "execute", "sum")],
        *[("phase_start", "execute", "check"), ("phase_end", "execute", "check")],
        *[("phase_start", "summary", None), ("phase_end", "summary", None)],
    ]
    assert len(bodies(simulator)) == 5


def test_the_text_of_every_phase_streams_including_the_summary(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(bot_at(simulate(turns=WHOLE)))
    assert "".join(result.tokens) == result.stream.text == "Let me plan.Adding.It checks.The sum is 42."


def test_each_token_comes_between_the_start_and_end_of_its_phase(simulate: Simulate, reader: Reader) -> None:
    events: list[Any] = reader.read(bot_at(simulate(turns=WHOLE)), with_events=True).tokens
    said: dict[tuple[str, str | None], str] = {}
    phase: tuple[str, str | None] = ("", None)
    for event in events:
        if isinstance(event, PhaseStart):
            phase = (event.phase, event.subtask)
        elif isinstance(event, Token):
            said[phase] = said.get(phase, "") + event.text
    assert said == {
        ("plan", None): "Let me plan.",
        ("execute", "sum"): "Adding.",
        ("execute", "check"): "It checks.",
        ("summary", None): "The sum is 42.",
    }


def test_run_returns_the_summary(simulate: Simulate) -> None:
    assert bot_at(simulate(turns=WHOLE)).run("What is 17 + 25?") == "The sum is 42."


# --- tools and prompts of each phase ---------------------------------------------------------------------------


def test_each_phase_offers_its_own_tools(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=WHOLE)
    reader.read(bot_at(simulator))
    plan, first, again, second, summary = map(set, offered(simulator))
    assert plan == {"create_plan", "think", "respond_to_user"}
    assert first == again == second == {"add", "subtask_done", "complete_task", "think", "respond_to_user"}
    assert summary == {"complete_task", "respond_to_user"}


def test_the_parameters_of_own_tools_are_the_same_as_in_swarms(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=WHOLE)
    reader.read(bot_at(simulator))
    schemas = {tool["function"]["name"]: tool["function"] for body in bodies(simulator) for tool in body["tools"]}
    fields = {name: set(schema["parameters"]["properties"]) for name, schema in schemas.items()}
    assert fields["create_plan"] == {"task_description", "steps"}
    assert fields["subtask_done"] == {"task_id", "summary", "success"}
    assert fields["complete_task"] == {"task_id", "summary", "success", "results", "lessons_learned"}
    assert fields["respond_to_user"] == {"message", "message_type"}
    steps = schemas["create_plan"]["parameters"]["properties"]["steps"]["items"]["properties"]
    assert set(steps) == {"step_id", "description", "priority", "dependencies"}
    assert steps["priority"]["enum"] == ["low", "medium", "high", "critical"]
    optional = {"results", "lessons_learned"}
    assert optional.isdisjoint(schemas["complete_task"]["parameters"]["required"])


def test_the_prompt_of_a_subtask_has_its_id_and_description(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=WHOLE)
    reader.read(bot_at(simulator), "What is 17 + 25?")
    assert sent(simulator, 0)[0]["content"] == "What is 17 + 25?"
    for number, name in [(1, "sum"), (3, "check")]:
        asked = sent(simulator, number)[-1]
        assert asked["role"] == "user"
        assert name in asked["content"]
        assert f"Work on {name}." in asked["content"]


def test_the_conversation_is_valid_for_providers(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=WHOLE)
    result = reader.read(bot_at(simulator, system_prompt="You are a bot."))
    for body in bodies(simulator):
        assert body["messages"][0] == {"role": "system", "content": "You are a bot."}
        assert_every_call_is_answered(body["messages"])
    assert_every_call_is_answered(list(result.stream.messages))


def test_the_users_tools_run_in_a_subtask(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=WHOLE)
    events: list[Any] = reader.read(bot_at(simulator), with_events=True).tokens
    assert results(simulator, 2)[-1] == "42"
    returned = [event for event in events if isinstance(event, ToolResultReturned) and event.call.name == "add"]
    assert [event.content for event in returned] == ["42"]


def test_results_of_mixed_calls_of_one_turn_keep_the_models_order(simulate: Simulate, reader: Reader) -> None:
    three = {"tool_calls": [*says("Now.")["tool_calls"], *ADDS["tool_calls"], *done("sum")["tool_calls"]]}
    simulator = simulate(turns=conversation(plans("sum"), three, completes("42")))
    result = reader.read(bot_at(simulator))
    assert result.error is None
    answers = [message for message in sent(simulator) if message["role"] == "tool"][-3:]
    assert [message["tool_call_id"] for message in answers] == ["call_1_0", "call_1_1", "call_1_2"]
    assert answers[1]["content"] == "42"
    assert "sum" in answers[2]["content"]


def test_calls_of_own_tools_are_events_too(simulate: Simulate, reader: Reader) -> None:
    events: list[Any] = reader.read(bot_at(simulate(turns=WHOLE)), with_events=True).tokens
    called = [event.call.name for event in events if isinstance(event, ToolCallRequested)]
    assert called == ["create_plan", "add", "subtask_done", "subtask_done", "complete_task"]


def test_results_of_own_tools_are_events_too(simulate: Simulate, reader: Reader) -> None:
    turns = conversation(plans(step("a", "b")), plans("sum"), done("sum"), completes("42"))
    events: list[Any] = reader.read(bot_at(simulate(turns=turns)), with_events=True).tokens
    returned = [(event.call.name, event.error) for event in events if isinstance(event, ToolResultReturned)]
    assert returned == [
        ("create_plan", "invalid_arguments"),
        ("create_plan", None),
        ("subtask_done", None),
        ("complete_task", None),
    ]


# --- how subtasks end ------------------------------------------------------------------------------------------


def test_a_failed_subtask_is_in_the_prompt_of_the_summary(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(
        turns=conversation(
            plans("dig", "fly"),
            done("dig", "The earth is hard.", success=False),
            done("fly", "The sky is blue."),
            completes("Half of it went well."),
        )
    )
    result = reader.read(bot_at(simulator))
    assert (result.error, result.stream.final) == (None, "Half of it went well.")
    asked = sent(simulator)[-1]["content"]
    [dig] = [line for line in asked.splitlines() if "dig" in line]
    [fly] = [line for line in asked.splitlines() if "fly" in line]
    assert "failed" in dig
    assert "The earth is hard." in dig
    assert "failed" not in fly
    assert "The sky is blue." in fly


def test_a_subtask_that_was_done_with_another_one_is_skipped(simulate: Simulate, reader: Reader) -> None:
    both = {"tool_calls": [*done("a")["tool_calls"], *done("b")["tool_calls"]]}
    simulator = simulate(turns=conversation(plans("a", "b", "c"), both, done("c"), completes("Done.")))
    events: list[Any] = reader.read(bot_at(simulator), with_events=True).tokens
    assert [subtask for kind, phase, subtask in phases(events) if (kind, phase) == ("phase_start", "execute")] == [
        "a",
        "c",
    ]


def test_an_unknown_subtask_is_reported_to_the_model(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("sum"), done("summ"), done("sum"), completes("42")))
    assert reader.read(bot_at(simulator)).stream.final == "42"
    error = results(simulator, 2)[-1]
    assert "summ" in error
    assert "'sum'" in error


@pytest.mark.parametrize("arguments", ['{"task_id": "sum", "su', "[]", '"sum"'])
def test_arguments_that_cannot_be_read_are_reported_to_the_model(
    simulate: Simulate, reader: Reader, arguments: str
) -> None:
    broken = {"tool_calls": [calling("subtask_done", arguments)]}
    simulator = simulate(turns=conversation(plans("sum"), broken, done("sum"), completes("42")))
    assert reader.read(bot_at(simulator)).stream.final == "42"
    assert "JSON" in results(simulator, 2)[-1]
    for call in [call for message in sent(simulator) for call in message.get("tool_calls") or []]:
        json.loads(call["function"]["arguments"])


def test_a_model_that_answers_a_subtask_in_plain_text_is_asked_once_more(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("sum"), {"text": "It is 42."}, done("sum"), completes("42!")))
    result = reader.read(bot_at(simulator))
    assert (result.error, result.stream.text) == (None, "It is 42.42!")
    asked = sent(simulator, 2)[-1]
    assert asked["role"] == "user"
    assert "subtask_done" in asked["content"]


def test_a_model_that_only_answers_in_plain_text_completes_the_run(simulate: Simulate, reader: Reader) -> None:
    answer = {"text": "It is 42."}
    simulator = simulate(
        turns=conversation(plans("sum"), answer, {"text": "As I said, 42."}, {"text": "The sum is 42."})
    )
    result = reader.read(bot_at(simulator))
    assert (result.error, result.stream.final) == (None, "The sum is 42.")
    assert "As I said, 42." in sent(simulator)[-1]["content"]
    assert "".join(result.tokens) == "It is 42.As I said, 42.The sum is 42."


def test_the_task_may_be_completed_early(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("a", "b", "c"), completes("That was easy.")))
    result = reader.read(bot_at(simulator), with_events=True)
    assert (result.error, result.stream.final) == (None, "That was easy.")
    assert len(bodies(simulator)) == 2
    started = [(phase, subtask) for kind, phase, subtask in phases(result.tokens) if kind == "phase_start"]
    assert started == [("plan", None), ("execute", "a")]


# --- the summary -----------------------------------------------------------------------------------------------


def test_a_summary_in_plain_text_is_the_answer(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("sum"), done("sum"), {"text": "The sum is 42."}))
    result = reader.read(bot_at(simulator))
    assert (result.error, result.stream.final) == (None, "The sum is 42.")
    assert len(bodies(simulator)) == 3


def test_a_summary_that_cannot_be_read_is_asked_for_again(simulate: Simulate, reader: Reader) -> None:
    broken = {"tool_calls": [calling("complete_task", '{"task_id": 1, "summary"')]}
    simulator = simulate(turns=conversation(plans("sum"), done("sum"), broken, completes("The sum is 42.")))
    assert reader.read(bot_at(simulator)).stream.final == "The sum is 42."
    assert "JSON" in results(simulator)[-1]


@pytest.mark.parametrize("arguments", [{"task_id": "main", "success": True}, {"summary": None}, {"summary": " "}])
def test_an_empty_summary_is_asked_for_again(simulate: Simulate, reader: Reader, arguments: dict[str, Any]) -> None:
    empty = {"tool_calls": [calling("complete_task", arguments)]}
    simulator = simulate(turns=conversation(plans("sum"), done("sum"), empty, completes("The sum is 42.")))
    assert reader.read(bot_at(simulator)).stream.final == "The sum is 42."
    assert "summary" in results(simulator)[-1]


BROKEN = {"tool_calls": [calling("complete_task", '{"task_id": 1, "summ')]}


@pytest.mark.parametrize(
    ("before", "answer"),
    [
        ([plans("a", text="Let me plan."), done("a", text="It is 42.")], "It is 42."),
        ([plans("a", text="Let me plan."), says("It is 42."), done("a")], "It is 42."),
        ([plans("a", "b"), done("a", "It is 41."), done("b", "It is 42.")], "It is 42."),
    ],
)
def test_without_a_readable_summary_the_answer_is_the_last_text(
    simulate: Simulate, reader: Reader, before: list[dict[str, Any]], answer: str
) -> None:
    simulator = simulate(turns=conversation(*before, BROKEN, BROKEN, BROKEN))
    result = reader.read(bot_at(simulator))
    assert (result.error, result.stream.final) == (None, answer)


def test_a_summary_before_steering_counts_if_no_later_one_can_be_read(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("a"), done("a"), completes("It is 42."), BROKEN, BROKEN))

    def steer(_token: str) -> None:
        reading.stream.steer("In Roman.")

    reading = reader.start(bot_at(simulator), streaming_callback=steer)
    result = reading.to_end()
    assert (result.error, result.stream.final) == (None, "It is 42.")
    assert sent(simulator)[-1]["role"] == "tool"


def test_without_a_plan_and_text_the_answer_is_the_last_text_before(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"text": "It is 42."}, {}, {}, {}))
    result = reader.read(bot_at(simulator))
    assert (result.error, result.stream.final) == (None, "It is 42.")


# --- what all runs have ----------------------------------------------------------------------------------------


def test_an_error_in_any_phase_ends_the_run_after_the_tokens(simulate: Simulate, reader: Reader) -> None:
    for number in range(5):
        turns = [dict(turn) for turn in WHOLE]
        turns[number]["fault"] = {"kind": "status", "status": 500}
        result = reader.read(bot_at(simulate(turns=turns)))
        assert isinstance(result.error, ServerError)
        assert "Let me plan.Adding.It checks.".startswith("".join(result.tokens))


def test_turns_of_any_phase_are_retried(simulate: Simulate, reader: Reader) -> None:
    turns = [{**turn, "fault": {"kind": "status", "status": 503, "times": 1}} for turn in WHOLE]
    simulator = simulate(turns=turns)
    result = reader.read(bot_at(simulator, retry_attempts=1, retry_interval=0))
    assert (result.error, result.stream.text) == (None, "Let me plan.Adding.It checks.The sum is 42.")
    assert len(bodies(simulator)) == 10


def test_usage_is_that_of_all_phases(simulate: Simulate, reader: Reader) -> None:
    turns = [{**turn, "usage": {"input_tokens": 10, "output_tokens": 2}} for turn in WHOLE]
    stream = reader.read(bot_at(simulate(turns=turns))).stream
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens, stream.usage.total_tokens) == (50, 10, 60)
    assert len(stream.turns) == 5


def test_an_autonomous_run_is_added_to_the_memory(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    simulator = simulate(turns=WHOLE)
    bot = bot_at(simulator, persistent_memory=True, memory_path=tmp_path / "memory.sqlite3")
    result = reader.read(bot, "What is 17 + 25?")
    assert bot.memory is not None
    assert bot.memory.read() == list(result.stream.messages)
    assert bot.memory.read()[0] == {"role": "user", "content": "What is 17 + 25?"}
    assert_every_call_is_answered(bot.memory.read())


def test_a_second_autonomous_run_continues_from_the_first(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    again = conversation(*WHOLE, plans("again"), done("again"), completes("Still 42."))
    for position, turn in enumerate(again):
        turn["when"] = {"turn": position}
    simulator = simulate(turns=again)
    options = {"persistent_memory": True, "memory_path": tmp_path / "memory.sqlite3"}
    assert reader.read(bot_at(simulator, **options), "What is 17 + 25?").stream.final == "The sum is 42."
    result = reader.read(bot_at(simulator, **options), "And now?")
    assert (result.error, result.stream.text) == (None, "Still 42.")
    assert result.stream.messages[0]["content"] == "And now?"
    assert "The sum is 42." in json.dumps(sent(simulator, 5))


def test_an_image_belongs_to_the_task_of_an_autonomous_run(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=WHOLE)
    url = "https://example.invalid/a.png"
    assert reader.read(bot_at(simulator), "What is it?", img=url).error is None
    for body in bodies(simulator):
        assert body["messages"][0]["content"][1]["image_url"]["url"] == url


def test_many_autonomous_runs_at_once_are_not_mixed_up(simulate: Simulate, reader: Reader) -> None:
    bot = bot_at(simulate(turns=WHOLE))
    readings = [reader.start(bot, f"Task {number}.") for number in range(5)]
    first = [reading.take(2) for reading in readings]
    for reading, taken in zip(reversed(readings), first, strict=True):
        assert "".join(taken + reading.to_end().tokens) == "Let me plan.Adding.It checks.The sum is 42."
        assert reading.stream.final == "The sum is 42."
