"""What a pickle and a deep copy of an agent contain: everything but its secrets."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, cast

from headrace._mcp.secrets import headers_without_secrets, settings_without_secrets, url_without_secrets
from headrace._providers.prepare import checked_key

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["copied_state", "state_without_secrets"]

_BY_REFERENCE: Final = frozenset(
    {
        *("toolbox", "mcp", "memory", "llm", "transforms"),
        *("streaming_callback", "stopping_func", "stopping_condition"),
    }
)
"""Attributes that a deep copy shares: functions, connections, and the caller's own objects."""


def state_without_secrets(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's attributes without its key, the secrets of ``llm_args`` and of its headers, and those of its URL.

    Args:
        attributes: The attributes.

    Returns:
        A new dict.
    """
    given, url = attributes["llm_api_key"], attributes["llm_base_url"]
    key = None if callable(given) else checked_key(given)
    llm_args = settings_without_secrets(attributes["llm_args"])
    return {
        **attributes,
        "llm_api_key": None,
        "llm_args": _without_value(llm_args, key) if key else llm_args,
        "headers": headers_without_secrets(attributes["headers"]),
        "llm_base_url": url if url is None else url_without_secrets(url),
    }


def copied_state(state: Mapping[str, Any], memo: dict[int, Any]) -> dict[str, Any]:
    """A deep copy of an agent's attributes. Tools, MCP servers, memory and functions are shared."""
    return {name: value if name in _BY_REFERENCE else copy.deepcopy(value, memo) for name, value in state.items()}


def _without_value(settings: Any, secret: str) -> Any:
    """Settings without the texts that contain a secret, however they are called."""
    if isinstance(settings, dict):
        members = cast("dict[str, Any]", settings)
        kept: dict[str, Any] = {name: _without_value(value, secret) for name, value in members.items()}
        return {name: value for name, value in kept.items() if not (isinstance(value, str) and secret in value)}
    return settings
