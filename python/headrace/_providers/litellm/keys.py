"""Which key a request has, and where the user can set one that is missing."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from headrace._models.catalog import provider_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.types import ModelSettings

__all__ = ["goes_to_openai_by_mistake", "has_key", "is_about_a_key", "sends_openai_key_elsewhere", "variables"]

_HEADERS: Final = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "x-api-token"})

_NO_KEYS: Final = frozenset({"", "Bearer", "Bearer None", "Bearer fake-api-key"})
"""The values that litellm writes into a header if it has no key."""

_ABOUT_A_KEY: Final = re.compile(r"api[ _-]?key|credential|authenticat", re.IGNORECASE)


def variables(litellm: Any, model: str, provider: str) -> Sequence[str]:
    """The environment variables in which litellm looks for a provider's key; empty if it has to be passed."""
    known = provider_named(provider).key_variables
    if known is not None:
        return known
    try:
        missing: list[str] = litellm.validate_environment(model)["missing_keys"]
    except Exception:  # noqa: BLE001 — we only want a name
        missing = []
    return missing or [f"{provider.upper().replace('-', '_')}_API_KEY"]


def has_key(url: str, headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a request contains a key."""
    in_header = any(name.lower() in _HEADERS and value.strip() not in _NO_KEYS for name, value in headers)
    return in_header or "key=" in url


def sends_openai_key_elsewhere(headers: Sequence[tuple[str, str]], settings: ModelSettings, provider: str) -> bool:
    """Whether a request sends OpenAI's key to another provider.

    If litellm finds no key for the provider, OpenAI's library uses ``OPENAI_API_KEY``, whatever the provider is.
    """
    key = os.environ.get("OPENAI_API_KEY")
    if not key or provider_named(provider).takes_openai_key or settings.api_key is not None:
        return False
    is_providers_own = any(value == key for name, value in os.environ.items() if name != "OPENAI_API_KEY")
    return not is_providers_own and ("authorization", f"Bearer {key}") in headers


def goes_to_openai_by_mistake(url: str, provider: str) -> bool:
    """Whether a request goes to OpenAI only because OpenAI's library was not given the provider's URL."""
    return not provider_named(provider).takes_openai_key and urlsplit(url).hostname == "api.openai.com"


def is_about_a_key(error: Exception) -> bool:
    """Whether litellm could not build a request because a key is missing, judging by its error message."""
    return type(error).__name__ != "UnsupportedParamsError" and _ABOUT_A_KEY.search(str(error)) is not None
