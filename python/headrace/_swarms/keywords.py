"""The keywords of swarms' ``Agent``, and what becomes of each here."""

from __future__ import annotations

import warnings
from typing import Any, Final, NamedTuple

__all__ = ["ALIASES", "KEYWORDS", "Keyword", "SwarmsCompatWarning", "warn_without_effect"]


class SwarmsCompatWarning(UserWarning):
    """An option of swarms has no effect here."""


class Keyword(NamedTuple):
    """A keyword of swarms' ``Agent``.

    Attributes:
        default: Its default in swarms; for those that have no effect, so that only another value is worth a warning.
        works: Whether it has an effect.
        note: What it does, or what to use instead.
    """

    default: Any
    works: bool
    note: str


def _same(default: Any = None, note: str = "the same") -> Keyword:
    return Keyword(default, True, note)


def _none(default: Any, note: str) -> Keyword:
    return Keyword(default, False, note)


_OWN_DEFAULT: Final = "the same; the default is the provider's own, not swarms'"

KEYWORDS: Final[dict[str, Keyword]] = {
    "id": _same(note="an attribute"),
    "agent_name": _same("swarm-worker-01"),
    "agent_description": _same(),
    "system_prompt": _same(note="the same; the default is none, not swarms' long one"),
    "llm": _same(note="a function, or an object with a method run"),
    "max_loops": _same(1),
    "stopping_condition": _same(),
    "loop_interval": _same(0),
    "retry_attempts": _same(3, "after temporary errors, as long as no token came"),
    "retry_interval": _same(1),
    "stopping_token": _same(),
    "dynamic_loops": _same(False, 'max_loops="auto"'),
    "interactive": _none(False, "nothing is read from the terminal; use `headrace run` or a loop of your own"),
    "dashboard": _none(False, "verbose=True prints each request"),
    "tools": _same(),
    "dynamic_temperature_enabled": _none(False, "a temperature that changes by chance is none here"),
    "sop": _same(note="added to the system prompt"),
    "sop_list": _same(note="added to the system prompt"),
    "saved_state_path": _none(None, "call save(path)"),
    "autosave": _none(False, "call save(path), or use persistent_memory=True"),
    "context_length": _same(),
    "transforms": _same(note="a function of the messages"),
    "user_name": _same("Human", "the user's name in short_memory"),
    "multi_modal": _none(None, "images are arguments of run: img, imgs"),
    "tokenizer": _none(None, "tokens are estimated, or counted by the provider"),
    "long_term_memory": _none(None, "give retrieval as a tool"),
    "fallback_model_name": _same(),
    "fallback_models": _same(),
    "preset_stopping_token": _same(False, 'stopping_token="<DONE>"'),
    "streaming_on": _same(False),
    "stream": _same(False),
    "streaming_callback": _same(),
    "verbose": _same(False),
    "stopping_func": _same(),
    "custom_exit_command": _none("exit", "nothing is read from the terminal"),
    "tool_schema": _none(None, "schemas are made of the functions; tools_list_dictionary takes your own"),
    "output_type": _same("str-all-except-first", "the same forms"),
    "output_cleaner": _same(note="called with the answer"),
    "list_base_models": _none(None, "output_type of headrace.Agent takes types"),
    "rules": _same(note="added to the system prompt"),
    "planning_prompt": _none(None, "the plan has its own instructions"),
    "max_tokens": _same(note=_OWN_DEFAULT),
    "temperature": _same(note=_OWN_DEFAULT),
    "tags": _same(note="an attribute"),
    "auto_generate_prompt": _none(False, "write a system_prompt"),
    "plan_enabled": _none(False, 'max_loops="auto" plans'),
    "model_name": _same(note="the default is HEADRACE_MODEL, else the local model"),
    "llm_args": _same(),
    "prompt_caching": _same(False),
    "cache_config": _none(None, "prompt_caching=True marks the prompt where a provider wants that"),
    "load_state_path": _same(note="load(path) when the agent is made"),
    "role": _same("worker", "an attribute"),
    "print_on": _same(True),
    "tools_list_dictionary": _same(note="the same; the calls come back from run()"),
    "mcp_url": _same(),
    "mcp_urls": _same(),
    "react_on": _none(False, "tools are called natively"),
    "safety_prompt_on": _none(False, "write it into system_prompt"),
    "random_models_on": _none(False, "fallback_models are asked in order"),
    "mcp_config": _same(note="a dict of a server, or of mcpServers"),
    "mcp_configs": _same(note="a list of such dicts"),
    "mcp_api_key": _same(note="sent as a bearer token"),
    "mcp_authorization_token": _same(note="sent as a bearer token"),
    "mcp_oauth": _none(None, "give a token"),
    "mcp_headers": _same(),
    "mcp_transport": _none(None, "streamable HTTP or stdio, by what the config says"),
    "mcp_timeout": _same(note="of connecting and of each call, in seconds"),
    "top_p": _same(),
    "llm_base_url": _same(),
    "llm_api_key": _same(),
    "tool_call_summary": _none(True, "the model reads the results itself, in its next turn"),
    "summarize_multiple_images": _none(False, "imgs are asked one by one; sum up with another run"),
    "tool_retry_attempts": _same(note="the same; the default is 0, since a tool may have done something"),
    "reasoning_prompt_on": _none(True, "nothing is added to the conversation between turns"),
    "dynamic_context_window": _none(True, "context_length trims"),
    "show_tool_execution_output": _none(True, "events have the results"),
    "reasoning_effort": _same(note=_OWN_DEFAULT),
    "thinking_tokens": _same(note=_OWN_DEFAULT),
    "reasoning_enabled": _same(False, 'reasoning_effort="medium", if no effort is given'),
    "handoffs": _same(),
    "capabilities": _same(note="an attribute"),
    "mode": _none("standard", "there is one mode"),
    "publish_to_marketplace": _none(False, "there is no marketplace here"),
    "use_cases": _same(note="an attribute"),
    "marketplace_prompt_id": _none(None, "there is no marketplace here"),
    "skills_dir": _none(None, "read the files into system_prompt"),
    "selected_tools": _same("all", "the same; tools for files and the shell are off unless they are named"),
    "context_compression": _none(True, "context_length trims"),
    "persistent_memory": _same(False),
}
"""All keywords of swarms 12's ``Agent``."""

ALIASES: Final = {
    "name": "agent_name",
    "description": "agent_description",
    "max_planning_attempts": "max_plan_attempts",
    "max_subtask_iterations": "max_subtask_loops",
    "max_subtask_loops": "max_subtask_loops",
}
"""Other names that programs use, and those of headrace."""


def warn_without_effect(given: dict[str, Any]) -> None:
    """Warns once of all options that have no effect, if they have another value than in swarms by default."""
    known = {name: KEYWORDS[name] for name in given if name in KEYWORDS}
    said = [
        f"{name} ({known[name].note})"
        for name, value in given.items()
        if name in known and value != known[name].default
    ]
    said += [f"{name} (swarms has no such option)" for name in given if name not in KEYWORDS]
    if said:
        warnings.warn(f"without effect here: {'; '.join(said)}", SwarmsCompatWarning, stacklevel=4)
