"""Whom to ask: the requests for an endpoint or a model."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace._providers.prepare import preparation
from headrace._providers.requests import PreparedRequest
from headrace.defaults import defaults, stream_options
from headrace.errors import ConfigurationError
from headrace.types import ModelCall, ModelSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace import _native

    from .prompts import Messages

__all__ = ["Target", "prepared"]

_PATIENCE: float = 10.0
"""Seconds that the endpoint may take to list its models."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask.

    Attributes:
        name: A URL of an OpenAI-compatible endpoint, or the name of a model.
        model: For a URL, the model's name there; None for the first one that it lists.
        api_key: The key; None to look in the environment, for a model.
        headers: More headers.
        parameters: Members of the requests' bodies, such as ``max_tokens``.
    """

    name: str
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def is_url(self) -> bool:
        """Whether it is a URL."""
        return self.name.startswith(("http://", "https://"))


def prepared(target: Target, prompts: Iterable[Messages]) -> tuple[list[PreparedRequest], _native.StreamOptions, str]:
    """The requests for a target.

    Args:
        target: Whom to ask.
        prompts: What to ask.

    Returns:
        The requests, how to send them, and the model's name.

    Raises:
        ConfigurationError: The target cannot be asked in this way; the message says why.
        MissingKeyError: The provider needs a key, and there is none.
    """
    settings = _settings(target)
    requests = [_request(ModelCall(settings, messages), target) for messages in prompts]
    return requests, stream_options(settings, is_local=requests[0].is_local), settings.model


def _settings(target: Target) -> ModelSettings:
    if not target.is_url and ":" in target.name and "/" not in target.name:
        raise ConfigurationError(
            f"{target.name!r} is no URL and no model; to measure an agent, run `headrace serve {target.name}` and give"
            " its URL"
        )
    if target.model is not None and not target.is_url:
        raise ConfigurationError(f"a model besides a URL: {target.name!r} is none, and names the model itself")
    model = (target.model or _first_model(target)) if target.is_url else target.name
    return ModelSettings(
        # A model of an endpoint may have any name, even one that begins with a provider's.
        model=f"openai/{model}" if target.is_url else model,
        base_url=target.name.rstrip("/") if target.is_url else None,
        api_key=target.api_key,
        parameters=dict(target.parameters),
        headers={**defaults.headers, **target.headers},
        timeouts=defaults.timeouts,
        connection=defaults.connection,
        as_given=frozenset(target.parameters) if target.is_url else frozenset(),
    )


def _request(call: ModelCall, target: Target) -> PreparedRequest:
    request = preparation(call).request()
    if not isinstance(request, PreparedRequest):
        raise ConfigurationError(
            f"{target.name!r} is asked through litellm's own client, whose latency would be measured instead"
        )
    return request


def _first_model(target: Target) -> str:
    """The first model that an endpoint lists."""
    url = f"{target.name.rstrip('/')}/models"
    request = urllib.request.Request(url)  # noqa: S310 - `Target.is_url`: http or https
    key = {} if target.api_key is None else {"Authorization": f"Bearer {target.api_key}"}
    for name, value in {**key, **target.headers}.items():
        request.add_unredirected_header(name, value)  # another host must not get the key
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310 - as above
            return str(json.load(response)["data"][0]["id"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        why = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
        raise ConfigurationError(f"{url} lists no model ({why}); name one with `model`") from None
