"""Handoffs: a model hands its task, or a part of it, to another agent."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConfigurationError, ServerError
from headrace.events import AgentEnd, AgentStart, Token, ToolCallRequested, ToolResultReturned, TurnStart
from support.conversations import add, bodies, calling, conversation, sent
from support.harness import Reader, Simulate, agent_at, wait_for_outcomes

if TYPE_CHECKING:
    from headrace import Agent
    from headrace.testing import Simulator


def hand(name: str, task: str) -> dict[str, Any]:
    """A script's tool call that hands a task to an agent."""
    return calling("handoff_task", {"agent_name": name, "task": task})


def script(*turns: dict[str, Any], chief: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """A script for a chief that asks the model "chief", and the turns of others, that ask "sim"."""
    own = chief or [{"text": "Ask Ada.", "tool_calls": [hand("Ada", "17 + 25?")]}, {"text": "She says 42."}]
    of_chief = [{**turn, "when": {**turn["when"], "model": "chief"}} for turn in conversation(*own)]
    of_others = [{**turn, "when": {"model": "sim", **turn.get("when", {})}} for turn in turns]
    return [*of_chief, *of_others]


def ada_at(simulator: Simulator, **options: Any) -> Agent:
    return agent_at(simulator, agent_name="Ada", agent_description="Calculates.", **options)


def chief_at(simulator: Simulator, *others: Agent, **options: Any) -> Agent:
    options = {"model_name": "openai/chief", "agent_name": "Chief", "max_loops": 3, **options}
    return agent_at(simulator, handoffs=others, **options)


def test_the_answer_of_the_other_agent_is_the_result_of_the_tool_call(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=script({"text": "It is 42."}))
    result = reader.read(chief_at(simulator, ada_at(simulator, system_prompt="You are Ada.")), "Calculate.")
    assert "".join(result.tokens) == "Ask Ada.It is 42.She says 42."
    assert (result.error, result.stream.final) == (None, "She says 42.")
    # The other agent gets its own prompt and the task, and nothing of the conversation.
    assert sent(simulator, 1) == [
        {"role": "system", "content": "You are Ada."},
        {"role": "user", "content": "17 + 25?"},
    ]
    assert [message["role"] for message in sent(simulator)] == ["user", "assistant", "tool"]
    assert (sent(simulator)[-1]["tool_call_id"], sent(simulator)[-1]["content"]) == ("call_0_0", "It is 42.")


def test_the_other_agents_tokens_have_its_name_and_come_between_start_and_end(
    simulate: Simulate, reader: Reader
) -> None:
    simulator = simulate(turns=script({"text": "It is 42."}))
    events: list[Any] = reader.read(chief_at(simulator, ada_at(simulator)), with_events=True).tokens
    spoken = [(event.agent, event.text) for event in events if isinstance(event, Token)]
    assert [who for who, _ in spoken] == ["Chief"] * 2 + ["Ada"] * 3 + ["Chief"] * 3
    [start] = [event for event in events if isinstance(event, AgentStart)]
    [end] = [event for event in events if isinstance(event, AgentEnd)]
    assert (start.agent, end.agent, end.output) == ("Ada", "Ada", "It is 42.")
    inside = [event for event in events if start.seq < event.seq < end.seq]
    assert {event.agent for event in inside} == {"Ada"}
    outside = [event for event in events if not start.seq <= event.seq <= end.seq]
    assert {event.agent for event in outside} == {"Chief"}
    assert [event.seq for event in events] == list(range(len(events)))
    assert [event.turn for event in events if isinstance(event, TurnStart)] == [1, 2, 3]


def test_the_tokens_of_the_other_agent_arrive_one_by_one(simulate: Simulate, reader: Reader) -> None:
    stalled = {"text": "It is 42.", "fault": {"kind": "stall", "after": 2}}
    simulator = simulate(turns=script(stalled))
    with reader.start(chief_at(simulator, ada_at(simulator))) as reading:
        assert reading.take(4) == ["Ask", " Ada.", "It", " is"]
        assert reading.stream.state == "streaming"
    wait_for_outcomes(simulator, "disconnected")


def test_the_other_agent_uses_its_own_tools_model_and_limits(simulate: Simulate, reader: Reader) -> None:
    adds = {"when": {"role": "user"}, "tool_calls": [calling("add", {"a": 17, "b": 25})]}
    simulator = simulate(turns=script(adds, {"when": {"role": "tool"}, "text": "42"}))
    agent = chief_at(simulator, ada_at(simulator, tools=[add], max_loops=2, temperature=0.5), max_loops=2)
    assert reader.read(agent).stream.final == "She says 42."
    [chief, first, second, _] = bodies(simulator)
    assert [tool["function"]["name"] for tool in chief["tools"]] == ["handoff_task"]
    assert [tool["function"]["name"] for tool in first["tools"]] == ["add"]
    assert "temperature" not in chief
    assert first["temperature"] == 0.5
    assert second["messages"][-1]["content"] == "42"


def test_the_request_names_the_agents_that_may_be_handed_to(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=script(chief=[{"text": "I do it myself."}]))
    bob = agent_at(simulator, agent_name="Bob", agent_description="Writes.")
    reader.read(chief_at(simulator, ada_at(simulator), bob, tools=[add]))
    [body] = bodies(simulator)
    own, offered = [tool["function"] for tool in body["tools"]]
    assert (own["name"], offered["name"]) == ("add", "handoff_task")
    assert offered["parameters"]["properties"]["agent_name"]["enum"] == ["Ada", "Bob"]
    assert all(word in offered["description"] for word in ("Ada: Calculates.", "Bob: Writes."))


def test_without_handoffs_there_is_no_handoff_tool(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=script(chief=[{"text": "", "tool_calls": [hand("Ada", "17 + 25?")]}, {"text": "No."}]))
    assert reader.read(chief_at(simulator)).stream.final == "No."
    assert "no tool 'handoff_task'" in sent(simulator)[-1]["content"]
    assert "tools" not in bodies(simulator)[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (hand("Adda", "17 + 25?"), "'Ada'"),
        (calling("handoff_task", '{"agent_name": "Ada"'), "agent_name and task"),
        (calling("handoff_task", {"agent_name": "Ada"}), "agent_name and task"),
        (calling("handoff_task", "[]"), "agent_name and task"),
        (calling("handoff_task", "null"), "agent_name and task"),
    ],
)
def test_an_invalid_handoff_is_an_error_for_the_model(
    simulate: Simulate, reader: Reader, call: dict[str, Any], words: str
) -> None:
    simulator = simulate(turns=script(chief=[{"text": "", "tool_calls": [call]}, {"text": "Then I do it."}]))
    result = reader.read(chief_at(simulator, ada_at(simulator)))
    assert (result.error, result.stream.final) == (None, "Then I do it.")
    content = sent(simulator)[-1]["content"]
    assert words in content or words.strip("'") in content


@pytest.mark.parametrize(("name", "error"), [("Ada", None), ("Bob", "unknown_tool")])
def test_the_result_of_a_handoff_is_an_event(simulate: Simulate, reader: Reader, name: str, error: str | None) -> None:
    chief: list[dict[str, Any]] = [{"text": "", "tool_calls": [hand(name, "17 + 25?")]}, {"text": "Done."}]
    simulator = simulate(turns=script({"text": "It is 42."}, chief=chief))
    events: list[Any] = reader.read(chief_at(simulator, ada_at(simulator)), with_events=True).tokens
    [called] = [event for event in events if isinstance(event, ToolCallRequested)]
    [returned] = [event for event in events if isinstance(event, ToolResultReturned)]
    assert (returned.call, returned.error) == (called.call, error)


def test_handoffs_and_tools_of_one_turn_answer_in_the_models_order(simulate: Simulate, reader: Reader) -> None:
    three = [hand("Bob", "Write."), calling("add", {"a": 1, "b": 2}), hand("Ada", "17 + 25?")]
    simulator = simulate(
        turns=script(
            {"when": {"contains": "17"}, "text": "It is 42."},
            {"when": {"contains": "Write"}, "text": "Words."},
            chief=[{"text": "", "tool_calls": three}, {"text": "All done."}],
        )
    )
    bob = agent_at(simulator, agent_name="Bob")
    assert reader.read(chief_at(simulator, ada_at(simulator), bob, tools=[add])).error is None
    answers = [message for message in sent(simulator) if message["role"] == "tool"]
    assert [(message["tool_call_id"], message["content"]) for message in answers] == [
        ("call_0_0", "Words."),
        ("call_0_1", "3"),
        ("call_0_2", "It is 42."),
    ]


def test_the_other_agent_may_hand_on(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(
        turns=script(
            {"when": {"contains": "17"}, "tool_calls": [hand("Bob", "Count.")]},
            {"when": {"contains": "Count"}, "text": "One, two."},
            {"when": {"role": "tool"}, "text": "Bob counted."},
        )
    )
    bob = agent_at(simulator, agent_name="Bob")
    agent = chief_at(simulator, ada_at(simulator, handoffs=[bob], max_loops=2))
    events: list[Any] = reader.read(agent, with_events=True).tokens
    borders = [(event.type, event.agent) for event in events if isinstance(event, AgentStart | AgentEnd)]
    assert borders == [("agent_start", "Ada"), ("agent_start", "Bob"), ("agent_end", "Bob"), ("agent_end", "Ada")]
    assert sent(simulator)[-1]["content"] == "Bob counted."


def test_an_error_of_the_other_agent_ends_the_run_after_its_tokens(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=script({"text": "It is", "fault": {"kind": "status", "status": 500}}))
    result = reader.read(chief_at(simulator, ada_at(simulator)))
    assert "".join(result.tokens) == "Ask Ada."
    assert isinstance(result.error, ServerError)


def test_the_other_agent_has_its_own_retries(simulate: Simulate, reader: Reader) -> None:
    fault = {"kind": "status", "status": 503, "times": 1}
    simulator = simulate(turns=script({"text": "It is 42.", "fault": fault}))
    result = reader.read(chief_at(simulator, ada_at(simulator, retry_attempts=1, retry_interval=0)))
    assert (result.error, result.stream.final) == (None, "She says 42.")


def test_the_other_agent_has_its_own_memory(simulate: Simulate, reader: Reader, tmp_path: Any) -> None:
    simulator = simulate(turns=script({"text": "It is 42."}))
    ada = ada_at(simulator, persistent_memory=True, memory_path=tmp_path / "memory.sqlite3")
    for _ in range(2):
        assert reader.read(chief_at(simulator, ada)).error is None
    assert ada.memory is not None
    said = [message["content"] for message in ada.memory.read()]
    assert said == ["17 + 25?", "It is 42."] * 2
    # It was sent what it remembers: its second request.
    assert [message["content"] for message in sent(simulator, 4)] == [*said[:2], "17 + 25?"]


def test_steering_is_for_the_agent_that_the_user_talks_to(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=script({"text": "It is 42."}))
    reading = reader.start(chief_at(simulator, ada_at(simulator)))
    reading.take(3)  # the third is the other agent's
    reading.stream.steer("Hurry.")
    assert reading.to_end().error is None
    assert "Hurry." not in json.dumps(sent(simulator, 1))
    assert sent(simulator, 2)[-1]["content"] == "Hurry."


def test_one_agent_may_be_handed_to_by_many_runs_at_once(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=script({"text": "It is 42."}))
    agent = chief_at(simulator, ada_at(simulator))
    readings = [reader.start(agent) for _ in range(5)]
    first = [reading.take(3) for reading in readings]
    rest = [reading.to_end().tokens for reading in readings]
    assert ["".join(a + b) for a, b in zip(first, rest, strict=True)] == ["Ask Ada.It is 42.She says 42."] * 5


def test_an_autonomous_agent_that_is_handed_a_task_works_autonomously(simulate: Simulate, reader: Reader) -> None:
    steps = [{"step_id": "a", "description": "Add.", "priority": "high", "dependencies": []}]
    plan = calling("create_plan", {"task_description": "Add.", "steps": steps})
    done = calling("subtask_done", {"task_id": "a", "summary": "added", "success": True})
    summary = calling("complete_task", {"task_id": "main", "summary": "It is 42.", "success": True})
    ada_says = conversation({"tool_calls": [plan]}, {"tool_calls": [done]}, {"tool_calls": [summary]})
    simulator = simulate(turns=script(*ada_says))
    assert reader.read(chief_at(simulator, ada_at(simulator, max_loops="auto"))).error is None
    assert sent(simulator)[-1]["content"] == "It is 42."


def test_an_autonomous_agent_may_hand_tasks_on(simulate: Simulate, reader: Reader) -> None:
    steps = [{"step_id": "a", "description": "Add.", "priority": "high", "dependencies": []}]
    chief: list[dict[str, Any]] = [
        {"tool_calls": [calling("create_plan", {"task_description": "Add.", "steps": steps})]},
        {"tool_calls": [hand("Ada", "17 + 25?")]},
        {"tool_calls": [calling("subtask_done", {"task_id": "a", "summary": "added", "success": True})]},
        {"tool_calls": [calling("complete_task", {"task_id": "main", "summary": "42!", "success": True})]},
    ]
    simulator = simulate(turns=script({"text": "It is 42."}, chief=chief))
    result = reader.read(chief_at(simulator, ada_at(simulator), max_loops="auto"))
    assert "".join(result.tokens) == "It is 42.42!"


def test_two_agents_of_one_name_are_refused(simulate: Simulate) -> None:
    simulator = simulate(turns=script(chief=[{"text": "Fine."}]))
    with pytest.raises(ConfigurationError, match="Ada"):
        chief_at(simulator, ada_at(simulator), ada_at(simulator)).run("Go.")


def test_a_users_tool_of_the_same_name_is_refused(simulate: Simulate) -> None:
    def handoff_task(agent_name: str, task: str) -> str:
        return f"{agent_name} {task}"

    simulator = simulate(turns=script(chief=[{"text": "Fine."}]))
    with pytest.raises(ConfigurationError, match="handoff_task"):
        chief_at(simulator, ada_at(simulator), tools=[handoff_task]).run("Go.")


@pytest.mark.parametrize("text", ["", "Ask Ada."])
def test_if_the_last_turn_hands_over_the_answer_is_the_other_agents(
    simulate: Simulate, reader: Reader, text: str
) -> None:
    simulator = simulate(
        turns=script({"text": "It is 42."}, chief=[{"text": text, "tool_calls": [hand("Ada", "Go.")]}])
    )
    result = reader.read(chief_at(simulator, ada_at(simulator), max_loops=1))
    assert (result.error, result.stream.final) == (None, "It is 42.")
    assert result.stream.text == f"{text}It is 42."


def test_if_the_last_turn_hands_over_twice_the_answer_is_both_answers(simulate: Simulate, reader: Reader) -> None:
    both = [hand("Ada", "17 + 25?"), hand("Bob", "Write."), hand("Nobody", "Go.")]
    others = [{"when": {"contains": "17"}, "text": "It is 42."}, {"when": {"contains": "Write"}, "text": "Words."}]
    simulator = simulate(turns=script(*others, chief=[{"text": "", "tool_calls": both}]))
    bob = agent_at(simulator, agent_name="Bob")
    result = reader.read(chief_at(simulator, ada_at(simulator), bob, max_loops=1))
    assert (result.error, result.stream.final) == (None, "It is 42.\n\nWords.")


# --- in a circle -----------------------------------------------------------------------------------------------


def circle_at(simulator: Simulator, **options: Any) -> tuple[Agent, Agent]:
    """Two agents who may hand to each other."""
    ada = ada_at(simulator, max_loops=3)
    chief = chief_at(simulator, ada, **options)
    ada.handoffs = (chief,)
    return chief, ada


def test_agents_that_may_hand_to_each_other_do_not_recurse_endlessly(simulate: Simulate, reader: Reader) -> None:
    chief, _ = circle_at(simulate(turns=script({"text": "It is 42."})))
    assert reader.read(chief).stream.final == "She says 42."


def test_a_task_is_not_handed_to_an_agent_that_waits_for_the_answer(simulate: Simulate, reader: Reader) -> None:
    turns = [
        {"when": {"contains": "Start."}, "tool_calls": [hand("Ada", "Calculate.")]},
        {"when": {"contains": "Calculate."}, "tool_calls": [hand("Chief", "Which numbers?")]},
        {"when": {"contains": "it waits for your answer"}, "text": "It is 42."},
        {"when": {"contains": "It is 42."}, "text": "She says 42."},
    ]
    chief, _ = circle_at(simulate(turns=turns))
    events: list[Any] = reader.read(chief, "Start.", with_events=True).tokens
    refused, handed = [event for event in events if isinstance(event, ToolResultReturned)]
    assert (refused.agent, refused.error) == ("Ada", "refused")
    assert (handed.agent, handed.error) == ("Chief", None)
    answers = [(event.agent, event.output) for event in events if isinstance(event, AgentEnd)]
    assert answers == [("Ada", "It is 42.")]
    assert events[-1].text == "It is 42.She says 42."


def test_an_agent_is_not_handed_its_own_task(simulate: Simulate, reader: Reader) -> None:
    turns = [
        {"when": {"contains": "Start."}, "tool_calls": [hand("Chief", "Calculate.")]},
        {"when": {"contains": "it waits for your answer"}, "text": "It is 42."},
    ]
    chief = chief_at(simulate(turns=turns), ada_at(simulate("No.")))
    chief.handoffs = (chief,)
    result = reader.read(chief, "Start.")
    assert (result.error, result.stream.final) == (None, "It is 42.")


def test_steering_reaches_only_the_agent_that_the_user_talks_to(simulate: Simulate, reader: Reader) -> None:
    turns = [
        {"when": {"contains": "Start."}, "text": "Ask Ada.", "tool_calls": [hand("Ada", "Calculate.")]},
        {"when": {"contains": "Calculate."}, "text": "It is 42."},
        {"when": {"contains": "Hurry."}, "text": "She says 42."},
    ]
    simulator = simulate(turns=turns)
    reading = reader.start(circle_at(simulator)[0], "Start.")
    reading.take(1)
    reading.stream.steer("Hurry.")
    result = reading.to_end()
    assert (result.error, result.stream.final) == (None, "She says 42.")
    assert ["Hurry." in json.dumps(body) for body in bodies(simulator)] == [False, False, True]


def test_a_chain_of_handoffs_ends_after_eight(simulate: Simulate, reader: Reader) -> None:
    """Ten agents, each of which hands its task to the next."""
    turns: list[Any] = [
        {"when": {"role": "user", "model": f"model-{n}"}, "tool_calls": [hand(f"Agent {n + 1}", "You do it.")]}
        for n in range(9)
    ]
    simulator = simulate(turns=[*turns, {"when": {"role": "tool"}, "text": "Done."}])
    agents = [
        agent_at(simulator, agent_name=f"Agent {n}", model_name=f"openai/model-{n}", max_loops=2) for n in range(10)
    ]
    for agent, following in itertools.pairwise(agents):
        agent.handoffs = (following,)
    result = reader.read(agents[0], with_events=True)
    events = list[Any](result.tokens)
    assert result.error is None
    assert [event.agent for event in events if isinstance(event, AgentStart)] == [f"Agent {n}" for n in range(1, 9)]
    first, *others = [event for event in events if isinstance(event, ToolResultReturned)]
    assert (first.agent, first.error) == ("Agent 8", "refused")
    assert "8 times" in first.content
    assert [event.error for event in others] == [None] * 8


@pytest.mark.parametrize("which", [0, 1])
def test_each_agent_of_a_circle_is_checked(simulate: Simulate, which: int) -> None:
    agents = circle_at(simulate("Fine."))
    agents[which].max_loops = 0
    with pytest.raises(ConfigurationError, match="max_loops"):
        agents[0].run_stream("Go.")
