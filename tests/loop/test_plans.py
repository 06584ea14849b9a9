"""Plans: the order of their steps, plans that are not valid, and models that make no plan."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace import EmptyAnswerError
from headrace.events import PhaseStart, ToolResultReturned
from support.autonomous import ADDS, bot_at, completes, done, offered, plans, results, says, step
from support.conversations import bodies, calling, conversation, sent
from support.harness import agent_at

if TYPE_CHECKING:
    from support.harness import Reader, Simulate


def executed(events: list[Any]) -> list[str | None]:
    """The subtasks in the order in which they were started."""
    return [event.subtask for event in events if isinstance(event, PhaseStart) and event.phase == "execute"]


def does(*order: str) -> list[dict[str, Any]]:
    """A script's turns that do subtasks in this order, and end the task."""
    return [*map(done, order), completes("Done.")]


# --- the order -------------------------------------------------------------------------------------------------

ORDERS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "as written": ([step("a"), step("b"), step("c")], "abc"),
    "dependencies first": ([step("a", "b"), step("b", "c"), step("c")], "cba"),
    "the most urgent first": (
        [step("a", priority="low"), step("b"), step("c", priority="critical"), step("d", priority="high")],
        "cdba",
    ),
    "dependencies before priority": (
        [step("a", "b", priority="critical"), step("b", priority="low"), step("c")],
        "cba",
    ),
    "a diamond": ([step("d", "b", "c"), step("b", "a"), step("c", "a", priority="high"), step("a")], "acbd"),
    "a dependency named twice": ([step("a", "b", "b"), step("b")], "ba"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_subtasks_are_ordered_by_dependencies_then_priority_then_position(
    simulate: Simulate, reader: Reader, order: str
) -> None:
    steps, expected = ORDERS[order]
    simulator = simulate(turns=conversation(plans(*steps), *does(*expected)))
    result = reader.read(bot_at(simulator), with_events=True)
    assert result.error is None
    assert executed(result.tokens) == list(expected)


def test_the_order_is_in_the_result_of_create_plan(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans(step("first", "second"), "second"), *does("second", "first")))
    reader.read(bot_at(simulator))
    assert "second, first" in results(simulator, 1)[0]


def test_a_large_plan_is_executed(simulate: Simulate, reader: Reader) -> None:
    names = [f"s{number}" for number in range(30)]
    steps = [step(name, *names[:number][-1:]) for number, name in enumerate(names)]
    simulator = simulate(turns=conversation(plans(*reversed(steps)), *does(*names)))
    events: list[Any] = reader.read(bot_at(simulator), with_events=True).tokens
    assert executed(events) == names


# --- plans that are not valid ----------------------------------------------------------------------------------

WRONG: dict[str, tuple[object, list[str]]] = {
    "a cycle": ([step("a", "b"), step("b", "a"), step("c")], ["circle", "'a'", "'b'"]),
    "a step that needs itself": ([step("a", "a")], ["circle", "'a'"]),
    "an unknown dependency": ([step("a"), step("b", "z")], ["'b'", "'z'"]),
    "two of one id": ([step("a"), step("a")], ["two", "'a'"]),
    "no steps": ([], ["at least one step"]),
    "steps that are no list": ("a, b", ["list"]),
    "a step that is no object": (["a"], ["step 1"]),
    "a step without id": ([{"description": "Work."}], ["step_id"]),
    "a step without description": ([{"step_id": "a"}], ["'a'", "description"]),
    "an unknown priority": ([step("a", priority="urgent")], ["'urgent'", "critical"]),
    "dependencies that are no list": ([{**step("a"), "dependencies": "b"}], ["'a'", "list"]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_plan_that_is_not_valid_is_refused_with_the_reason(simulate: Simulate, reader: Reader, wrong: str) -> None:
    steps, reasons = WRONG[wrong]
    broken = {"tool_calls": [calling("create_plan", {"task_description": "The task.", "steps": steps})]}
    simulator = simulate(turns=conversation(broken, plans("a"), *does("a")))
    result = reader.read(bot_at(simulator), with_events=True)
    assert (result.error, result.stream.final) == (None, "Done.")
    [result_text] = results(simulator, 1)
    assert all(reason in result_text for reason in reasons)
    assert executed(result.tokens) == ["a"]


@pytest.mark.parametrize("arguments", ['{"steps": [', "[]", "null", '"plan"', ""])
def test_a_plan_that_cannot_be_read_is_refused(simulate: Simulate, reader: Reader, arguments: str) -> None:
    broken = {"tool_calls": [calling("create_plan", arguments)]}
    simulator = simulate(turns=conversation(broken, plans("a"), *does("a")))
    assert reader.read(bot_at(simulator)).stream.final == "Done."
    [result_text] = results(simulator, 1)
    assert "error" in result_text


def test_optional_members_of_a_step_may_be_left_out(simulate: Simulate, reader: Reader) -> None:
    steps = [{"step_id": 1, "description": "Work."}, {**step("b"), "priority": None, "dependencies": [1]}]
    broken = {"tool_calls": [calling("create_plan", {"steps": steps})]}
    simulator = simulate(turns=conversation(broken, *does("1", "b")))
    events: list[Any] = reader.read(bot_at(simulator), with_events=True).tokens
    assert executed(events) == ["1", "b"]


def test_a_second_plan_is_refused(simulate: Simulate, reader: Reader) -> None:
    two = {"tool_calls": [*plans("a")["tool_calls"], *plans("b")["tool_calls"]]}
    simulator = simulate(turns=conversation(two, plans("c"), *does("a")))
    events: list[Any] = reader.read(bot_at(simulator), with_events=True).tokens
    assert executed(events) == ["a"]
    assert "already" in results(simulator, 1)[1]
    assert "already" in results(simulator, 2)[-1]


# --- models that do not plan -----------------------------------------------------------------------------------


def test_a_model_that_never_plans_works_without_one(simulate: Simulate, reader: Reader) -> None:
    talks = [{"text": f"Well {number}. "} for number in range(3)]
    simulator = simulate(turns=conversation(*talks, ADDS, {"text": "It is 42."}))
    result = reader.read(bot_at(simulator), with_events=True)
    assert (result.error, result.stream.final) == (None, "It is 42.")
    assert result.stream.text == "Well 0. Well 1. Well 2. Adding.It is 42."
    assert [phase.phase for phase in list[Any](result.tokens) if isinstance(phase, PhaseStart)] == ["plan"]
    # Then it is a loop without phases: with only the user's tools, and with the same conversation.
    assert offered(simulator)[3:] == [["add"], ["add"]]
    assert sent(simulator)[0]["content"] == "Go."
    assert [event.content for event in list[Any](result.tokens) if isinstance(event, ToolResultReturned)] == ["42"]
    assert [dict(message) for message in result.stream.messages][:-1] == sent(simulator)


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_number_of_attempts_for_a_plan_can_be_set(simulate: Simulate, reader: Reader, attempts: int) -> None:
    simulator = simulate("No.")
    assert reader.read(bot_at(simulator, max_plan_attempts=attempts)).error is None
    asked_for = [name for names in offered(simulator) for name in names if name == "create_plan"]
    assert len(asked_for) == attempts
    assert len(bodies(simulator)) == attempts + 1


def test_the_model_may_think_and_speak_before_it_plans(simulate: Simulate, reader: Reader) -> None:
    thought = {"current_state": "new", "analysis": "easy", "next_actions": ["plan"], "confidence": 0.9}
    thinks = {"tool_calls": [calling("think", thought)]}
    simulator = simulate(turns=conversation(thinks, says("I plan now."), plans("a"), *does("a")))
    result = reader.read(bot_at(simulator))
    assert (result.error, "".join(result.tokens)) == (None, "I plan now.Done.")


def test_attempts_with_invalid_plans_are_limited_too(simulate: Simulate, reader: Reader) -> None:
    bad = plans(step("a", "a"))
    simulator = simulate(turns=conversation(bad, bad, bad, {"text": "Then just so: 42."}))
    assert reader.read(bot_at(simulator)).stream.final == "Then just so: 42."


def test_the_loop_without_a_plan_has_a_limit(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"when": {"turn": 0}, "text": "No."}, ADDS])
    result = reader.read(bot_at(simulator, max_plan_attempts=1, max_subtask_loops=4))
    assert result.error is None
    assert len(bodies(simulator)) == 1 + 4


def test_a_stop_condition_ends_the_loop_without_a_plan(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"when": {"turn": 0}, "text": "No."}, {**ADDS, "text": "Stop here."}])
    reader.read(bot_at(simulator, max_plan_attempts=1, stopping_token="Stop"))
    assert len(bodies(simulator)) == 2


# --- limits ----------------------------------------------------------------------------------------------------


def test_a_subtask_that_takes_too_many_turns_ends_as_failed(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(
        turns=[
            *conversation(plans("a", "b")),
            {"when": {"contains": "complete_task: its summary"}, "text": "Half done."},
            {"when": {"contains": "subtask b"}, **done("b")},
            ADDS,
        ]
    )
    result = reader.read(bot_at(simulator, max_subtask_loops=3), with_events=True)
    assert (result.error, result.stream.final) == (None, "Half done.")
    assert executed(result.tokens) == ["a", "b"]
    # One turn for the plan, three for one subtask, one for the other, one for the summary.
    assert len(bodies(simulator)) == 1 + 3 + 1 + 1
    assert "too many turns" in sent(simulator)[-1]["content"]


@pytest.mark.parametrize(
    "turn",
    [
        {"text": "Hm."},
        ADDS,
        {"tool_calls": [calling("think", {})]},
        says("Still here."),
        {"tool_calls": [calling("no_such_tool", {"a": 1})]},
        {"tool_calls": [calling("create_plan", "{")]},
        {"tool_calls": [calling("subtask_done", {"task_id": "?", "summary": "?", "success": True})]},
        plans(step("a", "a")),
        plans("a"),
    ],
    ids=["text", "tool", "think", "respond", "unknown", "broken", "done", "cycle", "plan"],
)
def test_a_run_ends_even_if_the_model_always_does_the_same(
    simulate: Simulate, reader: Reader, turn: dict[str, Any]
) -> None:
    simulator = simulate(turns=[turn])
    result = reader.read(bot_at(simulator, max_plan_attempts=3, max_subtask_loops=4))
    assert (result.error, result.stream.state) == (None, "complete")
    assert len(bodies(simulator)) <= 3 + 4 + 3


def test_a_run_ends_even_if_the_model_never_says_anything(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"text": ""}])
    result = reader.read(bot_at(simulator, max_plan_attempts=3, max_subtask_loops=4))
    assert (type(result.error), result.stream.state) == (EmptyAnswerError, "error")
    assert len(bodies(simulator)) == 3 + 1


def test_a_subtask_about_which_the_model_says_nothing_has_failed(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(
        turns=[
            {**plans("a"), "when": {"contains": "First make a plan"}},
            {**completes("It failed."), "when": {"contains": "All subtasks"}},
            {},
        ]
    )
    result = reader.read(bot_at(simulator))
    assert (result.error, result.stream.final) == (None, "It failed.")
    assert "- a (failed): given up: nothing was said about it" in sent(simulator)[-1]["content"]


def test_a_subtask_has_twenty_turns_by_default(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[*conversation(plans("a")), {"when": {"contains": "All subtasks"}, "text": "."}, ADDS])
    reader.read(bot_at(simulator))
    assert len(bodies(simulator)) == 1 + 20 + 1


def test_every_request_of_an_autonomous_run_is_longer_than_the_one_before(simulate: Simulate, reader: Reader) -> None:
    """The model never gets the same conversation twice."""
    simulator = simulate(turns=[ADDS])
    reader.read(bot_at(simulator, max_subtask_loops=4))
    lengths = [len(body["messages"]) for body in bodies(simulator)]
    assert all(earlier < later for earlier, later in itertools.pairwise(lengths))


# --- arguments as models write them ----------------------------------------------------------------------------


def test_a_plan_that_is_json_in_a_string_is_read(simulate: Simulate, reader: Reader) -> None:
    steps = [{**step("a"), "dependencies": '["b"]'}, step("b")]
    plan = {"tool_calls": [calling("create_plan", {"task_description": "x", "steps": json.dumps(steps)})]}
    whole = {"tool_calls": [calling("subtask_done", json.dumps(json.dumps({"task_id": "b", "summary": "Yes."})))]}
    simulator = simulate(turns=conversation(plan, whole, done("a"), completes("Done.")))
    assert reader.read(bot_at(simulator)).stream.final == "Done."
    assert "b, a" in results(simulator, 1)[0]
    # Providers want an object, and the model reads what it has called.
    [call] = next(message for message in reversed(sent(simulator, 2)) if message["role"] == "assistant")["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"task_id": "b", "summary": "Yes."}


def deep(name: str, levels: int, kind: str) -> str:
    """Arguments with one member that is nested this deep."""
    begin, end = {"list": ("[", "]"), "object": ('{"a":', "}")}[kind]
    return f'{{"{name}": {begin * levels}{"1" if kind == "object" else ""}{end * levels}}}'


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("levels", [150, 3000, 50_000])
@pytest.mark.parametrize("with_events", [False, True])
def test_arguments_of_any_depth_are_told_to_the_model(
    simulate: Simulate, reader: Reader, levels: int, kind: str, with_events: bool
) -> None:
    def keep(x: Any) -> str:
        return json.dumps(x)

    calls = [
        calling("create_plan", deep("steps", levels, kind)),
        calling("respond_to_user", deep("message", levels, kind)),
        calling("complete_task", deep("summary", levels, kind)),
    ]
    worked = [
        calling("keep", deep("x", levels, kind)),
        calling("recorded", deep("x", levels, kind)),
        calling("handoff_task", deep("task", levels, kind)),
        calling("subtask_done", deep("task_id", levels, kind)),
    ]
    raw = {"type": "function", "function": {"name": "recorded", "parameters": {"type": "object"}}}
    turns = [{"tool_calls": calls}, plans("a"), {"tool_calls": worked}, done("a"), completes("Done.")]
    simulator = simulate(turns=conversation(*turns))
    other = agent_at(simulator, agent_name="Ada")
    bot = bot_at(simulator, tools=[keep], tools_list_dictionary=[raw], handoffs=[other], max_plan_attempts=5)
    result = reader.read(bot, with_events=with_events)
    assert (result.error, result.stream.final) == (None, "Done.")
    if levels > 200:
        for number in (1, 3):
            told = [message["content"] for message in sent(simulator, number) if message["role"] == "tool"]
            assert all("nested too deeply" in content for content in told[-4:] if "plan is accepted" not in content)
