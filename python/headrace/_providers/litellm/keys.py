"""Whose key a request carries, and where one is looked for that carries none."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.types import ModelSettings

__all__ = ["borrowed", "is_about_a_key", "is_astray", "present", "variables"]

_HEADERS: Final = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "x-api-token"})

_NO_KEYS: Final = frozenset({"", "Bearer", "Bearer None", "Bearer fake-api-key"})
"""What litellm writes where it has no key."""

_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "apertis": ("STIMA_API_KEY",),
    "azure_ai": ("AZURE_AI_API_KEY",),
    "cloudflare": ("CLOUDFLARE_API_KEY", "CLOUDFLARE_ACCOUNT_ID"),
    "cohere_chat": ("COHERE_API_KEY",),
    "cometapi": ("COMETAPI_KEY",),
    "databricks": ("DATABRICKS_API_KEY", "DATABRICKS_API_BASE"),
    "datarobot": ("DATAROBOT_API_TOKEN",),
    "gemini": ("GEMINI_API_KEY",),
    "lambda_ai": ("LAMBDA_API_KEY",),
    "meta_llama": ("LLAMA_API_KEY",),
    "nano-gpt": ("NANOGPT_API_KEY",),
    "sagemaker_chat": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "scaleway": ("SCW_SECRET_KEY",),
    "scx-ai": ("SCX_API_KEY",),
    "tensormesh": ("TENSORMESH_INFERENCE_API_KEY",),
    "vertex_ai": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "vertex_ai_beta": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "watsonx": ("WATSONX_API_KEY", "WATSONX_URL", "WATSONX_PROJECT_ID"),
    "xinference": (),
}
"""The environment variables of providers, where litellm does not tell or tells others than it reads."""

_OPENAI: Final = frozenset({"openai", "azure", "custom_openai", "openai_like"})
"""Providers for whom OpenAI's key and address may be meant."""

_ABOUT_A_KEY: Final = re.compile(r"api[ _-]?key|credential|authenticat", re.IGNORECASE)


def variables(litellm: Any, model: str, provider: str) -> Sequence[str]:
    """The environment variables in which litellm looks for a provider's key; none where it has to be passed."""
    if provider in _VARIABLES:
        return _VARIABLES[provider]
    try:
        missing: list[str] = litellm.validate_environment(model)["missing_keys"]
    except Exception:  # noqa: BLE001 — it is asked only for a name
        missing = []
    return missing or [f"{provider.upper().replace('-', '_')}_API_KEY"]


def present(url: str, headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a request carries a key."""
    told = any(name.lower() in _HEADERS and value.strip() not in _NO_KEYS for name, value in headers)
    return told or "key=" in url


def borrowed(headers: Sequence[tuple[str, str]], settings: ModelSettings, provider: str) -> bool:
    """Whether a request carries OpenAI's key to somebody else.

    Where litellm finds no key of the provider, OpenAI's library takes ``OPENAI_API_KEY``, whoever is asked.
    """
    key = os.environ.get("OPENAI_API_KEY")
    if not key or provider in _OPENAI or settings.api_key is not None:
        return False
    is_meant = any(value == key for name, value in os.environ.items() if name != "OPENAI_API_KEY")
    return not is_meant and ("authorization", f"Bearer {key}") in headers


def is_astray(url: str, provider: str) -> bool:
    """Whether a request goes to OpenAI because nobody told its library where the provider is."""
    return provider not in _OPENAI and urlsplit(url).hostname == "api.openai.com"


def is_about_a_key(error: Exception) -> bool:
    """Whether a request could not be built for want of a key, as far as litellm's error tells."""
    return type(error).__name__ != "UnsupportedParamsError" and _ABOUT_A_KEY.search(str(error)) is not None
