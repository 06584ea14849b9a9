"""Checks an agent's attributes, and makes the specification of a run from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from headrace._conversation.output import check_output_type
from headrace._loop.calls import HANDOFF
from headrace._loop.spec import AgentSpec, AutoSpec, ResultLimit, RetryPolicy, Stop, Transform
from headrace._loop.turns import agent_turns
from headrace.errors import ConfigurationError
from headrace.types import ModelSettings

from . import display, on_demand

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .options import AgentOptions

__all__ = ["check_agent", "check_task", "default_model", "spec_of"]

_DEFAULT_MODEL = "local/smollm2-135m"


def spec_of(agent: AgentOptions, inbox: list[str]) -> AgentSpec:
    """Makes the specification of a run from the agent's attributes as they are now.

    Agents may hand over to each other, also in a circle, so each one is read only once.
    """
    spec = _spec_without_handoffs(agent, inbox)
    handed_to: dict[AgentOptions, AgentSpec] = {}
    pending = [(agent, spec)]
    while pending:
        agent, source = pending.pop()
        for target in agent.handoffs:
            if target not in handed_to:
                # Messages of `steer` are only for the agent that the user talks to, so each target gets its own inbox.
                # That agent gets a second one if a task is handed to it.
                handed_to[target] = _spec_without_handoffs(target, [])
                pending.append((target, handed_to[target]))
            source.handoffs.append(handed_to[target])
    return spec


def _spec_without_handoffs(agent: AgentOptions, inbox: list[str]) -> AgentSpec:
    check_agent(agent)
    settings = _settings(agent)
    return AgentSpec(
        name=agent.agent_name,
        description=agent.agent_description,
        settings=settings,
        toolbox=agent.toolbox,
        loop=on_demand.autonomous_loop() if agent.max_loops == "auto" else agent_turns,
        inbox=inbox,
        handoffs=[],
        system_prompt=agent.system_prompt,
        max_loops=agent.max_loops if isinstance(agent.max_loops, int) else None,
        tool_choice=agent.tool_choice,
        tool_choice_every_turn=agent.tool_choice_every_turn,
        result_limit=ResultLimit(agent.max_tool_result_tokens, _results_of_a_turn(agent)),
        stops=tuple(_stops(agent)),
        loop_interval=agent.loop_interval,
        retries=RetryPolicy(
            attempts=agent.retry_attempts,
            interval=agent.retry_interval,
            budget=agent.retry_budget,
            fallbacks=_fallbacks(agent, settings),
            resumes=agent.resume_on_error,
        ),
        servers=agent.mcp,
        memory=agent.memory,
        transform=_transform(agent),
        keeps_task=agent.transforms is None,
        auto=AutoSpec(
            tools=_selected(agent.selected_tools),
            plan_attempts=agent.max_plan_attempts,
            subtask_turns=agent.max_subtask_loops,
        ),
    )


def _settings(agent: AgentOptions) -> ModelSettings:
    extra = dict(agent.llm_args)
    headers = _headers(extra.pop("extra_headers", None))
    thinking = {"type": "enabled", "budget_tokens": agent.thinking_tokens} if agent.thinking_tokens else None
    given = {
        "temperature": agent.temperature,
        "max_tokens": agent.max_tokens,
        "top_p": agent.top_p,
        "reasoning_effort": agent.reasoning_effort,
        "thinking": thinking,
    }
    return ModelSettings(
        model=agent.model_name,
        base_url=agent.llm_base_url,
        api_key=agent.llm_api_key,
        parameters={name: value for name, value in given.items() if value is not None} | extra,
        headers=headers,
        timeouts=agent.timeouts,
        llm=agent.llm,
        prompt_caching=agent.prompt_caching,
    )


def _fallbacks(agent: AgentOptions, settings: ModelSettings) -> tuple[ModelSettings, ...]:
    """The settings of the fallback models."""
    names = [agent.fallback_model_name] if agent.fallback_model_name else []
    return tuple(_fallback(settings, name) for name in (*names, *agent.fallback_models))


def _fallback(settings: ModelSettings, model: str) -> ModelSettings:
    """A fallback model has the URL and the key of the first model, unless it belongs to another provider."""
    provider, slash, _ = model.partition("/")
    if not slash or settings.model.startswith(f"{provider}/"):
        return replace(settings, model=model, llm=None)
    return replace(settings, model=model, llm=None, base_url=None, api_key=None)


def _headers(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"extra_headers must be a dict of strings, not {type(given).__name__}")
    headers = cast("Mapping[object, object]", given)
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            # Without the value in the message: it may be a secret.
            raise ConfigurationError(f"extra_headers: the header {name!r} must be a string with a string for its value")
    return cast("dict[str, str]", dict(headers))


def _stops(agent: AgentOptions) -> Iterable[Stop]:
    token = agent.stopping_token
    if token:
        yield lambda text: token in text
    for stop in (agent.stopping_func, agent.stopping_condition):
        if stop is not None:
            yield stop


def _results_of_a_turn(agent: AgentOptions) -> int | None:
    """How many tokens the tool results of one turn may have together, so that the conversation can still be sent."""
    return None if agent.context_length is None else max(0, agent.context_length - (agent.max_tokens or 0)) // 2


def _transform(agent: AgentOptions) -> Transform | None:
    if agent.transforms is not None:
        return agent.transforms
    if agent.context_length is None:
        return None
    return on_demand.fitting(agent.context_length, agent.max_tokens or 0)


def _selected(names: str | Iterable[str]) -> frozenset[str] | None:
    if names == "all":
        return None
    chosen = frozenset([names] if isinstance(names, str) else names)
    known = on_demand.autonomous_tools()
    unknown = chosen.difference(known)
    if unknown:
        raise ConfigurationError(f"selected_tools names {sorted(unknown)}; known: {', '.join(known)}")
    return chosen


def check_agent(agent: AgentOptions) -> None:
    """Raises ``ConfigurationError`` for options that cannot work."""
    _check_loops(agent.max_loops)
    for name in ("retry_attempts", "retry_interval", "loop_interval", "max_plan_attempts", "max_subtask_loops"):
        value: Any = getattr(agent, name)
        if value < 0:
            raise ConfigurationError(f"{name} must not be negative, but is {value!r}")
    if agent.retry_budget is not None and agent.retry_budget < 0:
        raise ConfigurationError(f"retry_budget must not be negative, but is {agent.retry_budget!r}")
    _check_result_limit(agent.max_tool_result_tokens)
    if isinstance(agent.fallback_models, str):
        raise ConfigurationError("fallback_models must be a list of models' names; fallback_model_name is one name")
    check_output_type(agent.output_type)
    _check_handoffs(agent)
    if agent.max_loops == "auto":
        _check_names(agent.toolbox.names)
    _selected(agent.selected_tools)


def _check_loops(loops: object) -> None:
    if loops != "auto" and (isinstance(loops, bool) or not isinstance(loops, int) or loops < 1):
        raise ConfigurationError(f"max_loops must be a whole number from 1 or 'auto', not {loops!r}")


def _check_result_limit(limit: object) -> None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ConfigurationError(f"max_tool_result_tokens must be a whole number from 1, or None, not {limit!r}")


def _check_names(names: Iterable[str]) -> None:
    taken = sorted(set(names).intersection(on_demand.autonomous_tools()))
    if taken:
        raise ConfigurationError(f"the tools {taken} have the names of built-in tools of max_loops='auto': rename them")


def _check_handoffs(agent: AgentOptions) -> None:
    names = [other.agent_name for other in agent.handoffs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(
            f"two agents of handoffs are called {sorted(twice)}: the model could not tell them apart"
        )
    if names and HANDOFF in agent.toolbox.names:
        raise ConfigurationError(f"a tool is called {HANDOFF!r}, which is the tool by which the model uses handoffs")


def check_task(task: object) -> None:
    """Raises ``ConfigurationError`` for a task that is empty or not a string."""
    if not isinstance(task, str):
        raise ConfigurationError(f"the task must be a string, not {type(task).__name__}")
    if not task.strip():
        raise ConfigurationError("the task is empty: say what the agent is to do")


def default_model() -> str:
    """The model of an agent without ``model_name``."""
    named = os.environ.get("HEADRACE_MODEL")
    if named:
        return named
    display.note(f"no model_name and no HEADRACE_MODEL, so this uses {_DEFAULT_MODEL} on this machine")
    return _DEFAULT_MODEL
