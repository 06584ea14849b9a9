"""From a model's name to the request that asks it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from .errors import ConfigurationError, MissingKeyError

if TYPE_CHECKING:
    from .types import ModelCall, ModelSettings

__all__ = ["PreparedRequest", "is_instant", "prepare"]

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request as it goes over the wire.

    Attributes:
        url: The full URL.
        headers: Names and values.
        body: The body.
        dialect: How the answer is written.
    """

    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes
    dialect: str


def is_instant(settings: ModelSettings) -> bool:
    """Whether ``prepare`` returns without waiting for anything.

    Args:
        settings: The model to ask.

    Returns:
        False for a local model, whose server may have to load it first: call ``prepare`` off the event loop then.
    """
    return settings.base_url is not None or not settings.model.startswith("local/")


def prepare(call: ModelCall) -> PreparedRequest:
    """Builds the request for one turn.

    Args:
        call: The model and the conversation.

    Returns:
        The request.

    Raises:
        MissingKeyError: The provider needs a key, and there is none.
        ConfigurationError: The model's name leads nowhere, or a message or parameter cannot be written as JSON.
    """
    settings = call.settings
    name, base_url, api_key = _endpoint(settings)
    body: dict[str, object] = {
        "model": name,
        "messages": call.messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **settings.parameters,
    }
    if call.tools:
        body["tools"] = call.tools
        if call.tool_choice is not None:
            body["tool_choice"] = call.tool_choice
    headers = list(settings.headers.items())
    if api_key:
        headers.append(("authorization", f"Bearer {api_key}"))
    try:
        encoded = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the request cannot be written as JSON: {error}") from error
    return PreparedRequest(_chat_url(base_url), headers, encoded, "openai_chat")


def _endpoint(settings: ModelSettings) -> tuple[str, str, str | None]:
    """The model's name at its endpoint, the endpoint's base URL, and the key."""
    provider, slash, name = settings.model.partition("/")
    if settings.base_url is not None:
        # Whatever stands at a URL of the user's own speaks OpenAI; only our own prefix is not part of the name.
        known = name if slash and provider == "openai" else settings.model
        return known, _checked(settings.base_url), settings.api_key or os.environ.get("OPENAI_API_KEY")
    if provider == "local" and slash:
        # Here, because the local engine is an extra that most users do not need.
        from .local import serve

        return name, serve(name), None
    if provider == "openai" and slash:
        return (name, *_openai(settings))
    raise ConfigurationError(
        f"no provider is known for the model {settings.model!r}: use 'openai/NAME', 'local/NAME', "
        "or any name with llm_base_url=… for an OpenAI-compatible endpoint"
    )


def _openai(settings: ModelSettings) -> tuple[str, str | None]:
    base_url = os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
    api_key = settings.api_key or os.environ.get("OPENAI_API_KEY")
    if not api_key and base_url == OPENAI_BASE_URL:
        raise MissingKeyError(
            f"no API key for {settings.model!r}: set the environment variable OPENAI_API_KEY or pass llm_api_key=…"
        )
    return _checked(base_url), api_key


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"the base URL must begin with http:// or https:// and name a host, not {base_url!r}")
    return base_url


def _chat_url(base_url: str) -> str:
    """The endpoint's path, before the query that some (Azure) want."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions"))
