"""A single thing where a list is meant, and None where a default is meant: refused or taken, before any request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent, ConfigurationError
from headrace.workflow import AgentRearrange, ConcurrentWorkflow, SequentialWorkflow
from support.harness import Reader, Simulate, agent_at, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

NOWHERE = "http://127.0.0.1:1/v1"


def look() -> str:
    """Looks."""
    return "seen"


def of_many(method: str, agent: Agent, tasks: Any) -> Any:
    made = getattr(agent, method)(tasks)
    return asyncio.run(made) if method.startswith("a") else made


# --- tasks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", ["hi", "", b"hi", {"hi": 1}, 7], ids=repr)
@pytest.mark.parametrize("method", ["run_batched", "run_concurrent", "arun_concurrent"])
def test_tasks_that_are_no_list_are_refused_before_any_request(simulate: Simulate, method: str, tasks: object) -> None:
    simulator = simulate()
    with pytest.raises(TypeError, match="tasks must be a list of strings") as raised:
        of_many(method, agent_at(simulator), tasks)
    assert isinstance(raised.value, ConfigurationError)
    assert outcomes(simulator) == []


@pytest.mark.parametrize("method", ["run_batched", "run_concurrent", "arun_concurrent"])
def test_a_wrong_task_among_good_ones_is_refused_before_any_request(simulate: Simulate, method: str) -> None:
    simulator = simulate()
    with pytest.raises(ConfigurationError, match="task"):
        of_many(method, agent_at(simulator), ["Go.", ""])
    assert outcomes(simulator) == []


@pytest.mark.parametrize("method", ["run_batched", "run_concurrent", "arun_concurrent"])
@pytest.mark.parametrize("make", [list, tuple, iter], ids=lambda make: make.__name__)
def test_any_iterable_of_tasks_is_taken(simulate: Simulate, method: str, make: Callable[[list[str]], Any]) -> None:
    assert of_many(method, agent_at(simulate("Done.")), make(["Go.", "Go on."])) == ["Done.", "Done."]


@pytest.mark.parametrize("imgs", ["a.png", b"a.png", {"a.png": 1}, 7], ids=repr)
def test_images_that_are_no_list_are_refused(reader: Reader, imgs: object) -> None:
    with pytest.raises(TypeError, match="imgs must be a list"):
        reader.start(agent_at(NOWHERE), imgs=imgs)


@pytest.mark.parametrize("options", [{"imgs": [7]}, {"img": 7}, {"img": ["a.png"]}], ids=repr)
def test_images_that_are_no_strings_are_refused(reader: Reader, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="img"):
        reader.start(agent_at(NOWHERE), **options)


# --- the agent -----------------------------------------------------------------------------------------------

NOT_LISTS: list[tuple[str, object]] = [
    ("tools", look),
    ("tools", "look"),
    ("tools", {"look": look}),
    ("tools_list_dictionary", {"type": "function", "function": {"name": "look"}}),
    ("tools_list_dictionary", "look"),
    ("tools_list_dictionary", ["look"]),
    ("mcp_urls", "http://127.0.0.1:1/mcp"),
    ("mcp_urls", {"here": "http://127.0.0.1:1/mcp"}),
    ("mcp_urls", [7]),
    ("mcp_url", ["http://127.0.0.1:1/mcp"]),
    ("handoffs", Agent(agent_name="Other", model_name="openai/sim", llm_base_url=NOWHERE)),
    ("handoffs", Agent),
    ("handoffs", "Other"),
    ("handoffs", ["Other"]),
    ("fallback_models", "openai/gpt-4o"),
    ("fallback_models", {"openai/gpt-4o": 1}),
    ("fallback_models", [7]),
    ("fallback_model_name", ["openai/gpt-4o"]),
    ("selected_tools", 7),
    ("selected_tools", [7]),
    ("llm_args", "seed"),
    ("llm_args", ["seed"]),
    ("transforms", "middle-out"),
    ("transforms", ["middle-out"]),
    ("stopping_func", "stop"),
    ("stopping_condition", ["stop"]),
    ("stopping_token", ["stop"]),
    ("streaming_callback", "print"),
    ("approve", "yes"),
    ("retry_attempts", "3"),
    ("retry_interval", "1"),
    ("retry_budget", [1]),
    ("loop_interval", "1"),
    ("max_plan_attempts", "1"),
    ("max_subtask_loops", "1"),
]


@pytest.mark.parametrize(("name", "value"), NOT_LISTS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_option_of_the_wrong_type_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name) as raised:
        agent_at(NOWHERE, **{name: value})
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("handoffs", "Other"),
        ("handoffs", ["Other"]),
        ("fallback_models", "openai/gpt-4o"),
        ("selected_tools", 7),
        ("transforms", "middle-out"),
        ("retry_attempts", "3"),
        ("stopping_token", 7),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_when_it_is_set_later(
    reader: Reader, simulate: Simulate, name: str, value: object
) -> None:
    simulator = simulate()
    agent = agent_at(simulator)
    setattr(agent, name, value)
    with pytest.raises(ConfigurationError, match=name):
        reader.start(agent)
    assert outcomes(simulator) == []


@pytest.mark.parametrize("workflow", [SequentialWorkflow, ConcurrentWorkflow])
@pytest.mark.parametrize("agents", [agent_at(NOWHERE), "AB", {"A": 1}, 7], ids=["agent", "string", "dict", "number"])
def test_agents_that_are_no_list_are_refused(workflow: type[Any], agents: object) -> None:
    with pytest.raises(TypeError, match="agents must be a list"):
        workflow(agents=agents)


def test_agents_of_a_flow_that_are_no_list_are_refused() -> None:
    agents: Any = agent_at(NOWHERE, agent_name="A")
    with pytest.raises(TypeError, match="agents must be a list"):
        AgentRearrange(agents=agents, flow="A")


def test_a_subclass_of_agent_hands_over_to_another(simulate: Simulate) -> None:
    class Special(Agent):
        pass

    simulator = simulate("Done.")
    options: dict[str, Any] = {"model_name": "openai/sim", "llm_base_url": simulator.base_url, "print_on": False}
    assert Special(handoffs=[Agent(agent_name="Other", **options)], **options).run("Go.") == "Done."


# --- None ----------------------------------------------------------------------------------------------------

WITH_DEFAULTS = (
    *("tools", "tools_list_dictionary", "handoffs", "fallback_models", "selected_tools", "loop_interval"),
    *("retry_attempts", "retry_interval", "retry_budget", "tool_retry_attempts", "max_plan_attempts"),
    *("max_subtask_loops", "llm_args", "mcp_urls", "timeouts", "fallback_model_name"),
)


@pytest.mark.parametrize("name", WITH_DEFAULTS)
def test_none_is_the_default(reader: Reader, simulate: Simulate, name: str) -> None:
    agent = agent_at(simulate("Done."), **{name: None})
    assert reader.read(agent).tokens == ["Done."]
    if hasattr(agent, name):
        assert getattr(agent, name) == getattr(agent_at(NOWHERE), name)


@pytest.mark.parametrize("name", ["handoffs", "fallback_models", "selected_tools", "loop_interval", "retry_attempts"])
def test_none_is_the_default_when_it_is_set_later(reader: Reader, simulate: Simulate, name: str) -> None:
    agent = agent_at(simulate("Done."))
    setattr(agent, name, None)
    assert reader.read(agent).tokens == ["Done."]


def test_none_among_the_retries_of_a_run_that_fails(reader: Reader, simulate: Simulate) -> None:
    simulator = simulate(fault={"kind": "status", "status": 500})
    result = reader.read(agent_at(simulator, retry_attempts=None, retry_interval=None, fallback_models=None))
    assert result.error is not None
    assert len(outcomes(simulator)) == 1
