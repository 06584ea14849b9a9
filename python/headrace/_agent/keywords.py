"""Keywords that an agent or a workflow does not have: which one was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Signature", "refuse_keywords", "refuse_unknown"]

_MEANT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("model", "model_id", "llm_model", "model_string"), "model_name"),
    **dict.fromkeys(("name", "agent", "id"), "agent_name"),
    **dict.fromkeys(("instructions", "instruction", "system", "system_message", "prompt", "preamble"), "system_prompt"),
    **dict.fromkeys(("description",), "agent_description"),
    **dict.fromkeys(("api_key", "openai_api_key", "key"), "llm_api_key"),
    **dict.fromkeys(("base_url", "api_base", "endpoint", "url"), "llm_base_url"),
    **dict.fromkeys(("max_retries", "retries", "num_retries"), "retry_attempts"),
    **dict.fromkeys(("fallbacks", "fallback"), "fallback_models"),
    **dict.fromkeys(("max_iterations", "max_iter", "max_steps", "loops"), "max_loops"),
    **dict.fromkeys(("functions", "tool", "toolkit"), "tools"),
    **dict.fromkeys(("result_type", "response_model", "output_schema", "output_cls", "schema"), "output_type"),
    **dict.fromkeys(("callback", "callbacks", "on_token", "token_callback"), "streaming_callback"),
    **dict.fromkeys(("max_completion_tokens", "max_output_tokens", "max_new_tokens"), "max_tokens"),
    **dict.fromkeys(("memory", "long_term_memory", "storage"), "persistent_memory"),
    **dict.fromkeys(("mcp_servers", "mcp"), "mcp_config"),
    **dict.fromkeys(("extra_headers", "default_headers"), "headers"),
    **dict.fromkeys(("extra_body", "model_kwargs", "model_settings", "generation_config"), "llm_args"),
    **dict.fromkeys(("http_client", "proxy", "verify", "proxies"), "connection"),
    **dict.fromkeys(("reasoning", "thinking", "effort"), "reasoning_effort"),
}
"""What people call an option elsewhere, and its name here."""

_SAID: Final[Mapping[str, str]] = {
    "timeout": "timeouts=headrace.Timeouts(total=…)",
    "request_timeout": "timeouts=headrace.Timeouts(total=…)",
    "response_format": "output_type, or llm_args={'response_format': …}",
    "json_mode": "output_type",
    "stop": "llm_args={'stop': …}, or stopping_token to end a run",
    "messages": "messages of run_stream",
    "task": "the task of run and run_stream",
    **{
        name: f"llm_args={{'{name}': …}}"
        for name in (
            *("seed", "top_k", "min_p", "n", "logprobs", "top_logprobs", "logit_bias", "presence_penalty"),
            *("frequency_penalty", "repetition_penalty", "service_tier", "user", "store", "verbosity"),
        )
    },
}
"""Options that are written in another way here."""

_OF_SWARMS: Final = frozenset(
    {
        *("dynamic_temperature_enabled", "autosave", "interactive", "saved_state_path", "user_name", "dashboard"),
        *("max_planning_attempts", "max_subtask_iterations", "return_step_meta", "sop", "dynamic_loops"),
        *("preset_stopping_token", "tree_of_thoughts", "artifacts_on", "publish_to_marketplace", "verbose_output"),
        *(
            "dynamic_context_window",
            "context_compression",
            "safety_prompt_on",
            "random_models_on",
            "reasoning_prompt_on",
        ),
    }
)
"""Options of swarms that have no effect there, or another name."""


def refuse_unknown(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Raises ``TypeError`` if one of the keywords is not known to a function.

    Args:
        function: A function, or a class whose instances are made.
        given: The keywords.
    """
    method: Any = getattr(function, "__init__") if isinstance(function, type) else function  # noqa: B009 - as below
    code = method.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    unknown = [name for name in given if name not in known]
    if unknown:
        refuse_keywords(function, unknown, [name for name in known if name != "self"])


def refuse_keywords(function: Callable[..., Any], unknown: Iterable[str], known: Iterable[str]) -> NoReturn:
    """Raises ``TypeError`` for unknown keyword arguments of a function; the message says which was meant."""
    name = next(iter(unknown))
    hint = _hint(name, [*known])
    raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{hint}")


def _hint(name: str, known: list[str]) -> str:
    import difflib

    meant = _MEANT.get(name)
    if meant in known:
        return f"; did you mean {meant!r}?"
    nearest = difflib.get_close_matches(name, known, n=1)
    if name in _SAID and "llm_args" in known:
        return f"; write {_SAID[name]}"
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    if name in _OF_SWARMS:
        return "; headrace.compat.swarms has an Agent that knows it"
    return ""


class Signature:
    """The signature of a class by its ``__init__``: ``inspect`` would take that of ``__new__``, which takes all."""

    def __get__(self, _instance: object, owner: type) -> Any:
        import inspect

        made: Any = getattr(owner, "__init__")  # noqa: B009 - mypy thinks of an instance
        signature = inspect.signature(made)
        return signature.replace(parameters=[*signature.parameters.values()][1:])
