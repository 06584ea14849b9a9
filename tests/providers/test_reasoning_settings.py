"""Reasoning settings go to an endpoint in the form that it takes, or are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import ConfigurationError
from support.conversations import bodies
from support.harness import KEY, Reader, Simulate, agent_at

EFFORT, NONE, BUDGET = {"reasoning_effort": "high"}, {"reasoning_effort": "none"}, {"thinking_tokens": 2048}
ANTHROPIC = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
MEMBERS = {"reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget"}

TAKEN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("openai/sim", EFFORT, EFFORT),
    ("groq/sim", EFFORT, EFFORT),
    ("xai/sim", EFFORT, EFFORT),
    ("hosted_vllm/sim", EFFORT, EFFORT),
    ("sim", EFFORT, EFFORT),
    ("deepseek/sim", EFFORT, {"thinking": {"type": "enabled"}}),
    ("deepseek/sim", NONE, {"thinking": {"type": "disabled"}}),
    ("zai/sim", EFFORT, {"thinking": {"type": "enabled"}}),
    ("moonshot/sim", NONE, {"thinking": {"type": "disabled"}}),
    ("openrouter/sim", EFFORT, {"reasoning": {"effort": "high"}}),
    ("openrouter/sim", BUDGET, {"reasoning": {"max_tokens": 2048}}),
    ("dashscope/sim", EFFORT, {"enable_thinking": True}),
    ("dashscope/sim", NONE, {"enable_thinking": False}),
    ("dashscope/sim", BUDGET, {"enable_thinking": True, "thinking_budget": 2048}),
    ("litellm_proxy/sim", BUDGET, ANTHROPIC),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("openai/sim", BUDGET),
    ("sim", BUDGET),
    ("groq/sim", BUDGET),
    ("deepseek/sim", BUDGET),
    ("zai/sim", BUDGET),
    ("moonshot/sim", BUDGET),
    ("openrouter/sim", EFFORT | BUDGET),
]


@pytest.mark.parametrize(("model", "options", "members"), TAKEN)
def test_a_setting_is_sent_in_the_endpoints_form(
    simulate: Simulate, reader: Reader, model: str, options: dict[str, Any], members: dict[str, Any]
) -> None:
    simulator = simulate()
    agent = agent_at(simulator, model_name=model, llm_api_key=KEY, **options)
    assert reader.read(agent).error is None
    [body] = bodies(simulator)
    assert {name: body[name] for name in MEMBERS.intersection(body)} == members


@pytest.mark.parametrize(("model", "options"), REFUSED)
def test_a_setting_that_an_endpoint_does_not_take_is_refused_before_anything_is_sent(
    simulate: Simulate, reader: Reader, model: str, options: dict[str, Any]
) -> None:
    simulator = simulate()
    error = reader.read(agent_at(simulator, model_name=model, llm_api_key=KEY, **options)).error
    assert isinstance(error, ConfigurationError)
    assert model in str(error)
    assert "thinking_tokens" in str(error)
    assert simulator.report()["requests"] == []


def test_what_the_user_wrote_for_the_server_is_sent_as_it_is(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    given = {"thinking": {"type": "enabled", "budget_tokens": 5}, "reasoning_effort": "max"}
    for model in ("sim", "deepseek/sim", "openrouter/sim"):
        reader.read(agent_at(simulator, model_name=model, llm_api_key=KEY, llm_args=given))
    for body in bodies(simulator):
        assert {name: body[name] for name in MEMBERS.intersection(body)} == given


@pytest.mark.parametrize("options", [{"thinking_tokens": "many"}, {"thinking_tokens": -1}, {"reasoning_effort": 3}])
def test_settings_of_a_wrong_type_are_refused(simulate: Simulate, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        agent_at(simulate(), **options)


def test_a_model_of_litellms_that_does_not_take_a_budget_is_not_asked(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    simulator = simulate()
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    agent = agent_at(simulator, model_name="openai/gpt-4o", thinking_tokens=2048)
    agent.llm_base_url = None
    error = reader.read(agent).error
    assert isinstance(error, ConfigurationError)
    assert "thinking" in str(error)
