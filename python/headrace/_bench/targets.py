"""Whom to ask: the requests for an endpoint or a model."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from headrace._providers.prepare import preparation
from headrace._providers.requests import PreparedRequest
from headrace.connection import Connection
from headrace.defaults import defaults, stream_options
from headrace.errors import ConfigurationError
from headrace.types import ModelCall, ModelSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace import _native

    from .prompts import Prompt

__all__ = ["Api", "Connections", "Target", "prepared"]

Api: TypeAlias = Literal["chat", "responses", "completions"]
"""Which of OpenAI's protocols a URL is asked by."""

Connections: TypeAlias = Literal["warm", "cold"]
"""Whether connections are used again, or each request opens one."""

_PATIENCE: Final = 10.0
"""Seconds that the endpoint may take to list its models."""

_CHAT_PATH: Final = "/chat/completions"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask.

    Attributes:
        name: A URL of an OpenAI-compatible endpoint, or the name of a model.
        model: For a URL, the model's name there; None for the first one that it lists.
        api_key: The key; None to look in the environment, for a model.
        headers: More headers.
        parameters: Members of the requests' bodies, such as ``max_tokens``.
        api: For a URL, which protocol it is asked by.
        connections: Whether connections are used again.
    """

    name: str
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    api: Api = "chat"
    connections: Connections = "warm"

    @property
    def is_url(self) -> bool:
        """Whether it is a URL."""
        return self.name.startswith(("http://", "https://"))


def prepared(target: Target, prompts: Iterable[Prompt]) -> tuple[list[PreparedRequest], _native.StreamOptions, str]:
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
    if target.api not in ("chat", "responses", "completions"):
        raise ConfigurationError(f"api must be 'chat', 'responses' or 'completions', not {target.api!r}")
    if target.connections not in ("warm", "cold"):
        raise ConfigurationError(f"connections must be 'warm' or 'cold', not {target.connections!r}")
    if target.api != "chat" and not target.is_url:
        raise ConfigurationError(f"api={target.api!r} is of a URL; {target.name!r} is a model, asked as it wants to be")
    settings = _settings(target)
    requests = [_request(settings, target, prompt) for prompt in prompts]
    return requests, stream_options(settings, is_local=requests[0].is_local), settings.model


def _settings(target: Target) -> ModelSettings:
    if not target.is_url and ":" in target.name and "/" not in target.name:
        raise ConfigurationError(
            f"{target.name!r} is no URL and no model; to measure an agent, give the object itself, or its name as"
            " module:agent on the command line"
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
        connection=_connection(target),
        as_given=frozenset(target.parameters) if target.is_url else frozenset(),
    )


def _connection(target: Target) -> Connection | None:
    if target.connections == "warm":
        return defaults.connection
    return replace(defaults.connection or Connection(), idle=0)


def _request(settings: ModelSettings, target: Target, prompt: Prompt) -> PreparedRequest:
    parameters = {**settings.parameters, **prompt.parameters}
    if prompt.parameters:
        settings = replace(settings, parameters=parameters)
    request = preparation(ModelCall(settings, prompt.messages, prompt.tools)).request()
    if not isinstance(request, PreparedRequest):
        raise ConfigurationError(
            f"{target.name!r} is asked through litellm's own client, whose latency would be measured instead"
        )
    return request if target.api == "chat" else _of_api(request, target.api)


def _of_api(request: PreparedRequest, api: Api) -> PreparedRequest:
    """A request for chat completions, in another of OpenAI's protocols."""
    body: dict[str, Any] = json.loads(request.body)
    messages: list[dict[str, Any]] = body.pop("messages")
    if api == "responses":
        del body["stream_options"]
        if "max_tokens" in body:
            body["max_output_tokens"] = body.pop("max_tokens")
        body["input"] = messages
        dialect = "openai_responses"
    else:
        body["prompt"] = "\n".join(str(message["content"]) for message in messages)
        dialect = request.dialect  # the decoder of chat completions knows the older form, too
    path = "/responses" if api == "responses" else "/completions"
    url = request.url.replace(_CHAT_PATH, path, 1)
    return replace(request, url=url, body=json.dumps(body).encode(), dialect=dialect)


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
