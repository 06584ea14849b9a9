"""Requests for OpenAI-compatible endpoints that are known by their URL: no translation, no litellm."""

from __future__ import annotations

import contextlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

# Imported here and not in the first run, although that would make our import 2 ms faster: if the process forks during
# an import in a function, the child inherits the locked import lock.
from urllib.parse import urlsplit, urlunsplit

from headrace._conversation.legal import legal_messages
from headrace._conversation.reasoning import with_reasoning_for
from headrace._models.catalog import has_mistrals_rules, key_names, plain_reasoning, provider_named
from headrace.errors import ConfigurationError, MissingKeyError

from .reasoning_settings import in_form
from .requests import PreparedRequest, encoded, has_authorization

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.types import ModelCall, ModelSettings

__all__ = ["request", "serves"]

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"

_MODEL_DEPENDENT: Final = frozenset({"max_tokens", "reasoning_effort", "thinking"})
"""Parameters that OpenAI's models want under different names or in different forms: litellm knows which."""


def serves(settings: ModelSettings) -> bool:
    """Whether the endpoint is OpenAI-compatible and known by its URL.

    Args:
        settings: The model to ask.

    Returns:
        True for a base URL (unless the model's name begins with a provider that has another dialect, such as
        ``anthropic/…``), for a local model, and for ``openai/NAME`` unless it is at OpenAI's own URL with a parameter
        that depends on the model.
    """
    provider, slash, name = settings.model.partition("/")
    if slash and name.startswith("responses/"):
        return False
    if settings.base_url is not None:
        return not slash or provider_named(provider).speaks_openai
    if slash and provider == "local":
        return True
    if not slash or provider != "openai":
        return False
    return _openai_url() != OPENAI_BASE_URL or _MODEL_DEPENDENT.isdisjoint(settings.parameters)


def request(call: ModelCall) -> PreparedRequest:
    """Builds the request for one turn.

    Args:
        call: The model and the conversation.

    Returns:
        The request.

    Raises:
        MissingKeyError: OpenAI needs a key, and there is none.
        ConfigurationError: The base URL is not valid, or a message or parameter cannot be written as JSON.
    """
    settings = call.settings
    frame = settings.derived.get("openai_compatible")
    if frame is None:
        frame = _frame(settings)
        if settings.base_url is not None and settings.api_key is not None:
            settings.derived["openai_compatible"] = frame  # nothing of it is from the environment, which may change
    plain = frame.plain
    messages = with_reasoning_for(call.messages, "openai_chat", plain=plain != "refused", demanded=plain == "demanded")
    body: dict[str, object] = {
        "model": frame.model,
        "messages": legal_messages(messages, mistral=frame.mistral),
        "stream": True,
        "stream_options": {"include_usage": True},
        **frame.parameters,
    }
    if call.tools:
        body["tools"] = call.tools
        if call.tool_choice is not None:
            body["tool_choice"] = call.tool_choice
    return PreparedRequest(frame.url, frame.headers, encoded(body), "openai_chat", frame.provider, frame.is_local)


class _Frame(NamedTuple):
    """What all requests to a model have in common.

    Attributes:
        url: The full URL.
        headers: Names and values.
        model: The model's name at its endpoint.
        parameters: More members of the body.
        mistral: Whether Mistral's rules hold for the messages.
        plain: What the endpoint does with plain reasoning.
        provider: Who answers; None for an endpoint that is known by its URL alone.
        is_local: It goes to a helper process of ours.
    """

    url: str
    headers: list[tuple[str, str]]
    model: str
    parameters: Mapping[str, Any]
    mistral: bool
    plain: str | None
    provider: str | None
    is_local: bool


def _frame(settings: ModelSettings) -> _Frame:
    name, base_url, api_key = _endpoint(settings)
    prefix = settings.model.partition("/")[0]
    mistral = has_mistrals_rules(prefix, name, base_url)
    headers = list(settings.headers.items())
    if api_key and not has_authorization(settings):
        headers.append(("authorization", f"Bearer {api_key}"))
    return _Frame(
        url=_chat_url(base_url),
        headers=headers,
        model=name,
        parameters=in_form(settings),
        mistral=mistral,
        plain="refused" if mistral else plain_reasoning(prefix, base_url),
        provider="openai" if base_url == OPENAI_BASE_URL else None,
        is_local=settings.base_url is None and prefix == "local",
    )


def _endpoint(settings: ModelSettings) -> tuple[str, str, str | None]:
    """The model's name at its endpoint, the endpoint's base URL, and the key."""
    provider, slash, name = settings.model.partition("/")
    if settings.base_url is not None:
        known = name if slash and provider_named(provider).is_server else settings.model
        return (
            known,
            settings.base_url,
            settings.api_key or _key_in_environment(settings.key_of or (provider if slash else "")),
        )
    if provider == "local":
        # Imported here, because the local engine is an extra that most users do not need.
        from headrace.local import serve

        return name, serve(name), None
    base_url = _openai_url()
    api_key = settings.api_key or os.environ.get("OPENAI_API_KEY")
    if not api_key and base_url == OPENAI_BASE_URL and not has_authorization(settings):
        raise MissingKeyError(
            f"no API key for {settings.model!r}: set the environment variable OPENAI_API_KEY or pass llm_api_key=…"
        )
    return name, base_url, api_key


def _key_in_environment(provider: str) -> str | None:
    """The provider's own key. Never that of another provider, which a URL of the user's must not get to see."""
    return next(filter(None, map(os.environ.get, key_names(provider))), None)


def _openai_url() -> str:
    return os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL


@lru_cache(maxsize=256)
def _chat_url(base_url: str) -> str:
    """The URL of chat completions at an endpoint. A query in the base URL, as Azure wants one, stays at the end."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(base_url)
        if parts.scheme in {"http", "https"} and parts.hostname:
            return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/chat/completions"))
    raise ConfigurationError(f"the base URL must begin with http:// or https:// and name a host, not {base_url!r}")
