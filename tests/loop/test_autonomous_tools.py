"""The tools of an autonomous run: its own and those of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConfigurationError
from headrace.events import ToolResultReturned
from support.autonomous import ADDS, bot_at, completes, done, offered, plans, results
from support.conversations import bodies, calling, conversation, sent
from support.harness import agent_at

if TYPE_CHECKING:
    from support.harness import Reader, Simulate

ONE_SUBTASK = conversation(plans("a"), done("a"), completes("Done."))

# --- a model that reasons --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"reasoning_effort": "low"}, {"thinking_tokens": 1024}])
def test_a_model_that_is_set_to_reason_is_not_offered_think(
    simulate: Simulate, reader: Reader, options: dict[str, Any]
) -> None:
    simulator = simulate(turns=ONE_SUBTASK)
    # An endpoint that is known to take both.
    reader.read(bot_at(simulator, model_name="openrouter/sim", **options))
    assert all("think" not in names for names in offered(simulator))


def test_a_model_that_has_reasoned_is_no_longer_offered_think(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({**plans("a"), "reasoning": "Hm."}, done("a"), completes("Done.")))
    reader.read(bot_at(simulator))
    plan, execute, _ = offered(simulator)
    assert "think" in plan
    assert "think" not in execute


def test_other_models_are_offered_think(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=ONE_SUBTASK)
    reader.read(bot_at(simulator))
    plan, execute, summary = offered(simulator)
    assert ["think" in names for names in (plan, execute, summary)] == [True, True, False]


# --- selected_tools --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        ("all", {"create_plan", "subtask_done", "complete_task", "respond_to_user", "think"}),
        (["create_plan", "subtask_done", "complete_task"], {"create_plan", "subtask_done", "complete_task"}),
        (("create_plan", "subtask_done"), {"create_plan", "subtask_done"}),
        ({"create_plan"}, {"create_plan"}),
    ],
)
def test_only_selected_own_tools_are_offered_and_all_of_the_users(
    simulate: Simulate, reader: Reader, selected: Any, expected: set[str]
) -> None:
    simulator = simulate(turns=conversation(plans("a"), *[{"text": "As you wish."}] * 3))
    result = reader.read(bot_at(simulator, selected_tools=selected))
    assert (result.error, result.stream.final) == (None, "As you wish.")
    assert {name for names in offered(simulator) for name in names} == {*expected, "add"}


def test_without_create_plan_there_is_no_plan(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    result = reader.read(bot_at(simulator, selected_tools=["respond_to_user"]))
    assert (result.error, result.stream.final) == (None, "It is 42.")
    assert offered(simulator) == [["add"], ["add"]]


def test_an_unknown_own_tool_is_refused_with_the_known_names(simulate: Simulate) -> None:
    with pytest.raises(ConfigurationError, match=r"run_bash.*create_plan"):
        bot_at(simulate(), selected_tools=["create_plan", "run_bash"])


def test_an_own_tool_that_is_not_selected_is_not_run(simulate: Simulate, reader: Reader) -> None:
    early = completes("SECRET")
    simulator = simulate(turns=conversation(plans("a"), early, done("a"), {"text": "Done."}))
    result = reader.read(bot_at(simulator, selected_tools=["create_plan", "subtask_done"]))
    assert result.stream.final == "Done."
    assert "no tool 'complete_task'" in results(simulator, 2)[-1]


# --- the user's tools ------------------------------------------------------------------------------------------


def test_an_autonomous_run_works_without_tools_of_the_user(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=ONE_SUBTASK)
    assert reader.read(bot_at(simulator, tools=None)).stream.final == "Done."


def test_errors_of_tools_in_a_subtask_are_reported_to_the_model(simulate: Simulate, reader: Reader) -> None:
    wrong = {"tool_calls": [calling("add", '{"a": 1'), calling("ad", {"a": 1, "b": 2})]}
    simulator = simulate(turns=conversation(plans("a"), wrong, done("a"), completes("Done.")))
    events: list[Any] = reader.read(bot_at(simulator), with_events=True).tokens
    errors = [event.error for event in events if isinstance(event, ToolResultReturned) and event.error]
    assert errors == ["invalid_arguments", "unknown_tool"]
    malformed, unknown = results(simulator, 2)[-2:]
    assert "JSON" in malformed
    assert "'add'" in unknown


def test_the_error_for_an_unknown_tool_lists_all_offered_tools(simulate: Simulate, reader: Reader) -> None:
    wrong = {"tool_calls": [calling("subtask_finished", {})]}
    simulator = simulate(turns=conversation(wrong, plans("a"), wrong, done("a"), wrong, completes("Done.")))
    helper = agent_at(simulator, agent_name="Ada")
    events = list[Any](reader.read(bot_at(simulator, handoffs=[helper]), with_events=True).tokens)
    errors = [event.content for event in events if isinstance(event, ToolResultReturned) and event.error]
    lists = [content.partition("The tools are: ")[2] for content in errors]
    assert lists == [f"{', '.join(names)}." for names in (offered(simulator)[turn] for turn in (0, 2, 4))]
    assert "handoff_task" in lists[1]
    assert "'subtask_done'?" in errors[1]
    # The model gets the same.
    assert [results(simulator, turn)[-1] for turn in (1, 3, 5)] == errors


@pytest.mark.parametrize("name", ["create_plan", "subtask_done", "complete_task", "respond_to_user", "think"])
def test_a_users_tool_with_the_name_of_an_own_tool_is_refused(simulate: Simulate, name: str) -> None:
    def tool(text: str) -> str:
        return text

    tool.__name__ = name
    simulator = simulate("Fine.")
    with pytest.raises(ConfigurationError, match=name):
        bot_at(simulator, tools=[tool]).run("Go.")


def test_in_a_loop_of_turns_such_a_name_is_allowed(simulate: Simulate, reader: Reader) -> None:
    def think(text: str) -> str:
        return text.upper()

    simulator = simulate(turns=conversation({"tool_calls": [calling("think", {"text": "hm"})]}, {"text": "Done."}))
    assert reader.read(bot_at(simulator, tools=[think], max_loops=3)).stream.final == "Done."
    assert sent(simulator)[-1]["content"] == "HM"


def test_approve_is_asked_for_the_users_tools_only(simulate: Simulate, reader: Reader) -> None:
    asked: list[str] = []

    def approve(call: Any, _arguments: dict[str, Any]) -> str:
        asked.append(call.name)
        return "not today"

    simulator = simulate(turns=conversation(plans("a"), ADDS, done("a", success=False), completes("No.")))
    assert reader.read(bot_at(simulator, approve=approve)).stream.final == "No."
    assert asked == ["add"]
    assert "not today" in results(simulator, 2)[-1]


def test_a_tool_choice_is_sent_only_with_requests_that_offer_the_tool(simulate: Simulate, reader: Reader) -> None:
    choice = {"type": "function", "function": {"name": "add"}}
    simulator = simulate(turns=conversation(plans("a"), ADDS, done("a"), completes("Done.")))
    reader.read(bot_at(simulator, tool_choice=choice))
    for body in bodies(simulator):
        if "tool_choice" in body:
            assert "add" in [tool["function"]["name"] for tool in body["tools"]]


@pytest.mark.parametrize("named", [False, True])
def test_a_choice_that_demands_a_call_is_sent_once(simulate: Simulate, reader: Reader, named: bool) -> None:
    choice: object = {"type": "function", "function": {"name": "add"}} if named else "required"
    simulator = simulate(turns=conversation(plans("a"), ADDS, done("a"), completes("Done.")))
    reader.read(bot_at(simulator, tool_choice=choice))
    assert [body.get("tool_choice") for body in bodies(simulator)].count(choice) == 1


def test_a_choice_that_demands_a_call_is_sent_once_also_without_a_plan(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"text": "No plan."}, ADDS, {"text": "Done."}))
    reader.read(bot_at(simulator, tool_choice="required", max_plan_attempts=1))
    assert [body.get("tool_choice") for body in bodies(simulator)] == ["required", None, None]


# --- what all runs have ----------------------------------------------------------------------------------------


def test_steering_comes_before_the_next_turn(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("a", text="Planning."), done("a"), completes("Done.")))
    reading = reader.start(bot_at(simulator))
    reading.take(1)
    reading.stream.steer("Hurry.")
    assert reading.to_end().error is None
    assert "Hurry." in [message["content"] for message in sent(simulator, 1)]
    assert "Hurry." not in [message["content"] for message in sent(simulator, 0)]


def test_steering_during_the_summary_gets_another_turn(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(plans("a"), done("a"), completes("It is 42."), completes("XLII.")))
    reading = reader.start(bot_at(simulator))
    reading.take(1)  # of the summary
    reading.stream.steer("In Roman.")
    result = reading.to_end()
    assert (result.error, result.stream.final) == (None, "XLII.")
    assert "In Roman." in [message["content"] for message in sent(simulator)]


STOPS: dict[str, dict[str, Any]] = {
    "stopping_token": {"stopping_token": "Stop"},
    "stopping_func": {"stopping_func": lambda text: "Stop" in text},
}


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_condition_ends_an_autonomous_run(simulate: Simulate, reader: Reader, stop: str) -> None:
    simulator = simulate(turns=conversation(plans("a"), {**ADDS, "text": "Stop here."}, done("a"), completes("No.")))
    result = reader.read(bot_at(simulator, **STOPS[stop]))
    assert (result.error, result.stream.text) == (None, "Stop here.")
    assert len(bodies(simulator)) == 2


def test_the_loop_interval_lies_between_the_turns_of_an_autonomous_run(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=ONE_SUBTASK)
    reader.read(bot_at(simulator, loop_interval=0.02))
    first, *_, last = simulator.report()["requests"]
    assert last["received_ns"] - first["first_byte_ns"] >= 40_000_000


def looks_up_much(simulate: Simulate, reader: Reader) -> list[dict[str, Any]]:
    """The requests of an autonomous run with a subtask whose tool results do not fit into the context."""

    def lookup(n: int) -> str:
        return f"{n}: " + "word " * 400

    looks = [{"when": {"contains": f"{n - 1}: "}, "tool_calls": [calling("lookup", {"n": n})]} for n in range(1, 6)]
    turns = [
        {"when": {"contains": "First make a plan"}, **plans("a")},
        {"when": {"contains": "Now do subtask a"}, "tool_calls": [calling("lookup", {"n": 0})]},
        *looks,
        {"when": {"contains": "5: "}, **done("a")},
        {"when": {"contains": "All subtasks"}, **completes("Done.")},
    ]
    simulator = simulate(turns=turns)
    bot = bot_at(simulator, tools=[lookup], context_length=2000, system_prompt="You look up.")
    assert reader.read(bot, "Look everything up.").stream.final == "Done."
    return bodies(simulator)


def test_the_context_is_trimmed_in_an_autonomous_run_too(simulate: Simulate, reader: Reader) -> None:
    requests = looks_up_much(simulate, reader)
    assert max(len(str(body["messages"])) for body in requests) < 12_000
    assert all(body["messages"][0]["content"] == "You look up." for body in requests)


def test_trimming_keeps_the_task_of_an_autonomous_run(simulate: Simulate, reader: Reader) -> None:
    for body in looks_up_much(simulate, reader):
        assert "Look everything up." in [message["content"] for message in body["messages"]]
