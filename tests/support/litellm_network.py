"""A fake network: it records the requests that headrace and litellm send through httpx, and refuses them."""

from __future__ import annotations

import importlib
import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from headrace._providers.litellm import build
from headrace.types import ModelCall, ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.litellm_conversations import Conversation
    from support.litellm_providers import Provider

CONNECTION_HEADERS: Final = {
    "host",
    "content-length",
    "accept-encoding",
    "connection",
    "user-agent",
    "transfer-encoding",
}
"""Headers of the connection, which each HTTP client writes itself."""


@dataclass(frozen=True)
class Sent:
    """A recorded request."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def provider_headers(self) -> dict[str, str]:
        """The headers for the provider, which are the same whichever client sends them."""
        return {
            name: value
            for name, value in self.headers.items()
            if name not in CONNECTION_HEADERS and not name.startswith("x-stainless-")
        }


_ANSWERS: Final = {
    "/api/show": {"model_info": {}, "template": "{{ .Tools }}", "capabilities": ["completion", "tools"]},
    "/api/models/deepseek-ai/DeepSeek-R1": {
        "inferenceProviderMapping": {
            "together": {"status": "live", "providerId": "deepseek-ai/DeepSeek-R1", "task": "conversational"}
        }
    },
    "/identity/token": {"access_token": "a-token-that-expires", "expires_in": 3600, "token_type": "Bearer"},
}
"""Answers to requests that are not for a model. Requests to a model are refused."""


class Network:
    """Receives all requests of httpx and httpx2, below their transports."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def take(self) -> list[Sent]:
        """The requests since the last call."""
        taken, self.sent = self.sent, []
        return taken

    def answering(self, library: Any) -> Callable[[Any, Any], Any]:
        def handle_request(_pool: object, request: Any) -> Any:
            headers = {name.decode().lower(): value.decode() for name, value in request.headers}
            sent = Sent(request.method.decode(), bytes(request.url).decode(), headers, b"".join(request.stream))
            self.sent.append(sent)
            answer = _ANSWERS.get(sent.path)
            refusal = {"error": {"message": "nothing leaves this test", "type": "invalid_request_error"}}
            content = json.dumps(refusal if answer is None else answer).encode()
            status = 400 if answer is None else 200
            return library.Response(status, headers=[(b"content-type", b"application/json")], content=content)

        return handle_request


@contextmanager
def cut_network() -> Iterator[Network]:
    """No request leaves this machine, with or without the guard."""
    with pytest.MonkeyPatch.context() as patch:
        network = Network()
        for name in ("httpcore", "httpcore2"):
            if importlib.util.find_spec(name) is not None:
                library = importlib.import_module(name)
                patch.setattr(library.ConnectionPool, "handle_request", network.answering(library))
        yield network


def call_of(provider: Provider, conversation: Conversation) -> ModelCall:
    """The call for headrace."""
    settings = ModelSettings(
        provider.model,
        provider.base_url,
        provider.key,
        {**provider.parameters, **conversation.parameters},
        {"x-of-the-user": "a value"},
    )
    return ModelCall(settings, conversation.messages, conversation.tools)


def by_litellm(provider: Provider, conversation: Conversation) -> None:
    """The same call, made directly with litellm. It fails, but the network has recorded the request."""
    litellm: Any = build.load()
    arguments: dict[str, Any] = {
        "model": provider.model,
        "messages": [dict(message) for message in conversation.litellm_messages or conversation.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "api_key": provider.key,
        "api_base": provider.base_url,
        "extra_headers": {"x-of-the-user": "a value"},
        "tools": list(conversation.tools) or None,
        "max_retries": 0,
        **provider.parameters,
        **conversation.parameters,
    }

    def ask() -> None:
        with suppress(Exception):  # The network refuses the request.
            next(litellm.completion(**{name: value for name, value in arguments.items() if value is not None}))

    # In the main thread litellm would make an event loop and not close it.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask).result()
