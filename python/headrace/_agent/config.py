"""Checks an agent's attributes, and makes the specification of a run from them."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from headrace._conversation.output import check_output_type
from headrace._loop.calls import HANDOFF
from headrace._loop.spec import AgentSpec, AutoSpec, ResultLimit, RetryPolicy, Stop, Transform
from headrace._loop.turns import agent_turns
from headrace._providers.prepare import checked_key
from headrace._run.limits import RunLimits
from headrace.connection import Connection
from headrace.errors import ConfigurationError
from headrace.types import ModelSettings, Timeouts

from . import display, on_demand
from .arguments import check_type, checked_function, checked_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .options import AgentOptions

__all__ = [
    "check_agent",
    "check_images",
    "check_task",
    "check_tasks",
    "checked_headers",
    "default_model",
    "limits_of",
    "or_default",
    "spec_of",
]

_DEFAULT_MODEL = "local/smollm2-135m"
_DEFAULT_MAX_TURNS = 100

_DEFAULTS: Final[dict[str, float]] = {
    "retry_attempts": 0,
    "retry_interval": 1.0,
    "loop_interval": 0.0,
    "max_plan_attempts": 3,
    "max_subtask_loops": 20,
}
"""The numbers for which None means the default."""

_OF_THE_CONNECTION: Final = frozenset({"content-length", "transfer-encoding", "host"})
"""Headers that belong to the connection. Another value would break the request, or lead it elsewhere."""

_Number = TypeVar("_Number", int, float)


def or_default(name: str, value: _Number | None) -> _Number:
    """The value of an agent's numeric option; its default if it is None."""
    default: Any = _DEFAULTS[name]
    return default if value is None else value


def spec_of(agent: AgentOptions, inbox: list[str]) -> AgentSpec:
    """Makes the specification of a run from the agent's attributes as they are now.

    Agents may hand over to each other, also in a circle, so each one is read only once.
    """
    spec = _spec_without_handoffs(agent, inbox)
    handed_to: dict[AgentOptions, AgentSpec] = {}
    pending = [(agent, spec)]
    while pending:
        agent, source = pending.pop()
        for target in agent.handoffs or ():
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
        agent_id=id(agent),
        description=agent.agent_description,
        settings=settings,
        toolbox=agent.toolbox,
        loop=on_demand.autonomous_loop() if agent.max_loops == "auto" else agent_turns,
        inbox=inbox,
        handoffs=[],
        system_prompt=agent.system_prompt,
        max_loops=agent.max_loops if isinstance(agent.max_loops, int) else None,
        allow_empty=agent.allow_empty,
        tool_choice=agent.tool_choice,
        tool_choice_every_turn=agent.tool_choice_every_turn,
        result_limit=ResultLimit(agent.max_tool_result_tokens, _results_of_a_turn(agent)),
        stops=tuple(_stops(agent)),
        loop_interval=or_default("loop_interval", agent.loop_interval),
        retries=RetryPolicy(
            attempts=or_default("retry_attempts", agent.retry_attempts),
            interval=or_default("retry_interval", agent.retry_interval),
            budget=agent.retry_budget,
            fallbacks=_fallbacks(agent, settings),
            resumes=agent.resume_on_error,
        ),
        servers=agent.mcp,
        memory=agent.memory,
        answer=on_demand.structured(agent.output_type),
        output_retries=agent.output_retries,
        strict_end=agent.strict_end,
        transform=_transform(agent),
        keeps_task=agent.transforms is None,
        auto=AutoSpec(
            tools=_selected(agent.selected_tools),
            plan_attempts=or_default("max_plan_attempts", agent.max_plan_attempts),
            subtask_turns=or_default("max_subtask_loops", agent.max_subtask_loops),
        ),
    )


def _settings(agent: AgentOptions) -> ModelSettings:
    extra = dict(agent.llm_args)
    headers = {
        **checked_headers("headers", agent.headers),
        **checked_headers("extra_headers", extra.pop("extra_headers", None)),
    }
    thinking = {"type": "enabled", "budget_tokens": agent.thinking_tokens} if agent.thinking_tokens else None
    given = {
        "temperature": agent.temperature,
        "max_tokens": agent.max_tokens,
        "top_p": agent.top_p,
        "reasoning_effort": agent.reasoning_effort,
        "thinking": thinking,
    }
    key: Any = agent.llm_api_key
    return ModelSettings(
        model=agent.model_name,
        base_url=agent.llm_base_url,
        api_key=None if callable(key) else checked_key(key),
        key_source=key if callable(key) else None,
        parameters={name: value for name, value in given.items() if value is not None} | extra,
        headers=headers,
        timeouts=agent.timeouts,
        connection=agent.connection,
        max_event_bytes=agent.max_event_bytes,
        llm=agent.llm,
        prompt_caching=agent.prompt_caching,
        as_given=frozenset(extra),
    )


def _fallbacks(agent: AgentOptions, settings: ModelSettings) -> tuple[ModelSettings, ...]:
    """The settings of the fallback models."""
    names = [agent.fallback_model_name] if agent.fallback_model_name else []
    return tuple(_fallback(settings, name) for name in (*names, *(agent.fallback_models or ())))


def _fallback(settings: ModelSettings, model: str) -> ModelSettings:
    """A fallback model has the URL and the key of the first model, unless it belongs to another provider."""
    provider, slash, _ = model.partition("/")
    if not slash or settings.model.startswith(f"{provider}/"):
        # It is asked at the first model's URL, so it is that provider's key that may be sent there.
        first, has_provider, _ = settings.model.partition("/")
        return replace(settings, model=model, llm=None, key_of=first if has_provider and settings.base_url else None)
    return replace(settings, model=model, llm=None, base_url=None, api_key=None, key_source=None)


def checked_headers(option: str, given: object) -> dict[str, str]:
    """The headers of an option; empty for None.

    Raises:
        ConfigurationError: They are no dict of strings, or one of them is not for the caller to write.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{option} must be a dict of strings, not {type(given).__name__}")
    headers = cast("Mapping[object, object]", given)
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            # Without the value in the message: it may be a secret.
            raise ConfigurationError(f"{option}: the header {name!r} must be a string with a string for its value")
        if name.strip().lower() in _OF_THE_CONNECTION:
            raise ConfigurationError(f"{option}: {name!r} is written by headrace, which knows the body and the URL")
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


def _selected(names: str | Iterable[str] | None) -> frozenset[str] | None:
    if names is None or names == "all":
        return None
    chosen = frozenset([names] if isinstance(names, str) else checked_list("selected_tools", names, "names", str))
    known = on_demand.autonomous_tools()
    unknown = chosen.difference(known)
    if unknown:
        raise ConfigurationError(f"selected_tools names {sorted(unknown)}; known: {', '.join(known)}")
    return chosen


def check_agent(agent: AgentOptions) -> None:
    """Raises ``ConfigurationError`` for options that cannot work."""
    _check_loops(agent.max_loops)
    _check_types(agent)
    for name in (*_DEFAULTS, "retry_budget"):
        value: Any = getattr(agent, name)
        check_type(name, value, int | float, "a number")
        if value is not None and not value >= 0:
            raise ConfigurationError(f"{name} must not be negative, but is {value!r}")
    _check_result_limit(agent.max_tool_result_tokens)
    check_type("reasoning_effort", agent.reasoning_effort, str, "a string, such as 'low'")
    budget: Any = agent.thinking_tokens
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 0):
        raise ConfigurationError(f"thinking_tokens must be a whole number of tokens, or None, not {budget!r}")
    for name, kind in (("timeouts", Timeouts), ("connection", Connection)):
        if not isinstance(getattr(agent, name), kind):
            raise ConfigurationError(
                f"{name} must be a headrace.{kind.__name__}, not {type(getattr(agent, name)).__name__}"
            )
    for name in ("max_turns", "max_total_tokens", "max_cost", "max_event_bytes"):
        most: Any = getattr(agent, name)
        if most is not None and (isinstance(most, bool) or not isinstance(most, (int, float)) or most <= 0):
            raise ConfigurationError(f"{name} must be a number above 0, or None, but is {most!r}")
    for name in ("fallback_model_name", "stopping_token", "turn_separator"):
        check_type(name, getattr(agent, name), str, "a string")
    for name in ("stopping_func", "stopping_condition", "transforms", "streaming_callback"):
        checked_function(name, getattr(agent, name))
    if isinstance(agent.fallback_models, str):
        raise ConfigurationError("fallback_models must be a list of models' names; fallback_model_name is one name")
    checked_list("fallback_models", agent.fallback_models, "models' names", str)
    if isinstance(agent.output_type, str):
        check_output_type(agent.output_type)
    check_type("output_retries", agent.output_retries, int, "a whole number")
    if agent.output_retries < 0:
        raise ConfigurationError(f"output_retries must not be negative, but is {agent.output_retries}")
    _check_handoffs(agent)
    if agent.max_loops == "auto":
        _check_names(agent.toolbox.names)
    _selected(agent.selected_tools)


def _check_types(agent: AgentOptions) -> None:
    for name in ("agent_name", "model_name"):
        if not isinstance(getattr(agent, name), str):
            raise ConfigurationError(f"{name} must be a string, not {type(getattr(agent, name)).__name__}")
    for name in ("agent_description", "system_prompt", "llm_base_url"):
        check_type(name, getattr(agent, name), str, "a string")
    for name in ("temperature", "top_p"):
        check_type(name, getattr(agent, name), int | float, "a number")
    check_type("max_tokens", agent.max_tokens, int, "a whole number")
    if agent.max_tokens is not None and agent.max_tokens < 1:
        raise ConfigurationError(f"max_tokens must be at least 1, not {agent.max_tokens}")
    if not callable(agent.llm_api_key):
        checked_key(agent.llm_api_key)


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
    others = checked_list("handoffs", agent.handoffs, "agents")
    for other in others:
        if not hasattr(other, "toolbox"):
            raise ConfigurationError(f"handoffs must be a list of agents, but contains {reprlib.repr(other)}")
    names = [other.agent_name for other in others]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(
            f"two agents of handoffs are called {sorted(twice)}: the model could not tell them apart"
        )
    if names and HANDOFF in agent.toolbox.names:
        raise ConfigurationError(f"a tool is called {HANDOFF!r}, which is the tool by which the model uses handoffs")


def limits_of(agent: AgentOptions) -> RunLimits:
    """What one run of an agent may cost."""
    loops = agent.max_loops if isinstance(agent.max_loops, int) else 0
    turns = max(_DEFAULT_MAX_TURNS, loops) if agent.max_turns is None else agent.max_turns
    return RunLimits(turns, agent.max_total_tokens, agent.max_cost)


def check_task(task: object) -> None:
    """Raises ``ConfigurationError`` for a task that is empty or not a string."""
    if not isinstance(task, str):
        raise ConfigurationError(f"the task must be a string, not {type(task).__name__}")
    if not task.strip():
        raise ConfigurationError("the task is empty: say what the agent is to do")


def check_tasks(tasks: object) -> tuple[str, ...]:
    """The tasks of a list. Raises ``ConfigurationError`` for a wrong task, and for a single one in its place."""
    checked = checked_list("tasks", tasks, "strings")
    for task in checked:
        check_task(task)
    return checked


def check_images(img: object, imgs: object) -> list[str]:
    """The images of a task, in one list. Raises ``ConfigurationError`` for what cannot be images."""
    check_type("img", img, str | PathLike, "a string: a path, URL, data URI or base64 text")
    others = checked_list("imgs", imgs, "strings", str | PathLike)
    return [*([cast("str", img)] if img is not None else []), *others]


def default_model() -> str:
    """The model of an agent without ``model_name``."""
    named = os.environ.get("HEADRACE_MODEL")
    if named:
        return named
    display.note(f"no model_name and no HEADRACE_MODEL, so this uses {_DEFAULT_MODEL} on this machine")
    return _DEFAULT_MODEL
