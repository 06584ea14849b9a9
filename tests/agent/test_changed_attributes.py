"""An agent's attributes may be changed between two runs; the next run has them as they are then."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent, ConfigurationError
from support.conversations import add, bodies
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.testing import Simulator


def set_temperature(agent: Agent) -> None:
    agent.temperature = 0.25


def set_system_prompt(agent: Agent) -> None:
    agent.system_prompt = "You are new."


def set_model(agent: Agent) -> None:
    agent.model_name = "openai/other"


def add_parameter(agent: Agent) -> None:
    agent.llm_args["seed"] = 7


def change_within_a_parameter(agent: Agent) -> None:
    agent.llm_args["metadata"]["of"] = "after"


def set_toolbox(agent: Agent) -> None:
    agent.toolbox = Agent(model_name="openai/sim", tools=[add]).toolbox


def update_dict(agent: Agent) -> None:
    vars(agent).update(top_p=0.5)


CHANGES: list[tuple[Callable[[Agent], None], str, Any]] = [
    (set_temperature, "temperature", 0.25),
    (set_model, "model", "other"),
    (add_parameter, "seed", 7),
    (change_within_a_parameter, "metadata", {"of": "after"}),
    (update_dict, "top_p", 0.5),
]


def two_bodies(
    simulator: Simulator, reader: Reader, change: Callable[[Agent], None], **options: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body of a request before a change of the agent and after it. The agent has run twice before."""
    agent = agent_at(simulator, llm_args={"metadata": {"of": "before"}}, **options)
    for _ in range(2):
        reader.read(agent)
    change(agent)
    reader.read(agent)
    first, _, last = bodies(simulator)
    return first, last


@pytest.mark.parametrize(("change", "member", "value"), CHANGES)
def test_the_next_request_has_the_changed_value(
    simulate: Simulate, reader: Reader, change: Callable[[Agent], None], member: str, value: Any
) -> None:
    before, after = two_bodies(simulate(turns=[{"text": "Yes."}] * 3), reader, change)
    assert before.get(member) != value
    assert after[member] == value


def test_the_next_request_has_a_changed_system_prompt(simulate: Simulate, reader: Reader) -> None:
    before, after = two_bodies(simulate(turns=[{"text": "Yes."}] * 3), reader, set_system_prompt)
    assert [message["role"] for message in before["messages"]] == ["user"]
    assert after["messages"][0] == {"role": "system", "content": "You are new."}


def test_the_next_request_has_the_tools_of_another_toolbox(simulate: Simulate, reader: Reader) -> None:
    before, after = two_bodies(simulate(turns=[{"text": "Yes."}] * 3), reader, set_toolbox)
    assert "tools" not in before
    assert [tool["function"]["name"] for tool in after["tools"]] == ["add"]


def test_the_next_request_has_a_changed_header(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"text": "Yes."}] * 2)
    agent = agent_at(simulator)
    reader.read(agent)
    agent.headers["x-team"] = "mill"
    reader.read(agent)
    before, after = (request["headers"] for request in simulator.report()["requests"])
    assert "x-team" not in before
    assert after["x-team"] == "mill"


def test_the_next_request_goes_where_the_environment_says_by_then(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = simulate(turns=[{"text": "First."}]), simulate(turns=[{"text": "Second."}])
    agent = Agent(model_name="openai/sim", llm_api_key="sk-simulator", print_on=False)
    answers: list[str] = []
    for simulator in (first, second):
        monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
        answers.append("".join(reader.read(agent).tokens))
    assert answers == ["First.", "Second."]


def test_an_option_that_a_subclass_computes_is_computed_for_each_run(simulate: Simulate, reader: Reader) -> None:
    class Counting(Agent):
        runs = 0

        @property
        def system_prompt(self) -> str:
            self.runs += 1
            return f"This is run {self.runs}."

        @system_prompt.setter
        def system_prompt(self, _value: str | None) -> None: ...

    simulator = simulate(turns=[{"text": "Yes."}] * 2)
    agent = Counting(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
    for _ in range(2):
        reader.read(agent)
    prompts = [body["messages"][0]["content"] for body in bodies(simulator)]
    assert prompts[0] != prompts[1]


def test_a_change_of_an_agent_of_handoffs_is_noticed(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"text": "Yes."}] * 2)
    other = agent_at(simulator, agent_name="other", agent_description="Knows mills.")
    agent = agent_at(simulator, handoffs=[other])
    reader.read(agent)
    other.agent_description = "Knows rivers."
    reader.read(agent)
    before, after = (str(body["tools"]) for body in bodies(simulator))
    assert "Knows mills." in before
    assert "Knows rivers." in after


def test_a_wrong_value_is_refused_at_the_next_run_and_may_be_repaired(simulate: Simulate, reader: Reader) -> None:
    agent = agent_at(simulate(turns=[{"text": "Yes."}] * 2))
    reader.read(agent)
    agent.max_loops = 0
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="max_loops"):
            agent.run_stream("Go.")
    agent.max_loops = 1
    assert "".join(reader.read(agent).tokens) == "Yes."


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_and_its_original_change_apart(
    simulate: Simulate, reader: Reader, copied: Callable[[Agent], Agent]
) -> None:
    simulator = simulate(turns=[{"text": "Yes."}] * 3)
    agent = agent_at(simulator, temperature=0.5)
    reader.read(agent)
    other = copied(agent)
    other.temperature = 0.75
    reader.read(other)
    reader.read(agent)
    assert [body["temperature"] for body in bodies(simulator)] == [0.5, 0.75, 0.5]
