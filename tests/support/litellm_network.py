"""A network that nothing leaves: it notes what headrace and litellm send through httpx, and refuses it."""

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

OF_THE_CONNECTION: Final = {
    "host",
    "content-length",
    "accept-encoding",
    "connection",
    "user-agent",
    "transfer-encoding",
}
"""Headers that headrace's own client writes."""


@dataclass(frozen=True)
class Sent:
    """A request that was noted."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def kept(self) -> dict[str, str]:
        """The headers that are for the provider, and go out whoever sends them."""
        return {
            name: value
            for name, value in self.headers.items()
            if name not in OF_THE_CONNECTION and not name.startswith("x-stainless-")
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
"""What is answered to requests that are not for a model. Those are refused."""


class Network:
    """Takes all that httpx and httpx2 send, from beneath their transports."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def take(self) -> list[Sent]:
        """What was sent since the last time."""
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
    """No request leaves, whether the guard stands above or not."""
    with pytest.MonkeyPatch.context() as patch:
        network = Network()
        for name in ("httpcore", "httpcore2"):
            if importlib.util.find_spec(name) is not None:
                library = importlib.import_module(name)
                patch.setattr(library.ConnectionPool, "handle_request", network.answering(library))
        yield network


def call_of(provider: Provider, conversation: Conversation) -> ModelCall:
    """What headrace is asked."""
    settings = ModelSettings(
        provider.model,
        provider.base_url,
        provider.key,
        {**provider.parameters, **conversation.parameters},
        {"x-of-the-user": "a value"},
    )
    return ModelCall(settings, conversation.asked, conversation.tools)


def by_litellm(provider: Provider, conversation: Conversation) -> None:
    """The same, asked of litellm by a user of its own. Whatever becomes of it, the network has seen the request."""
    litellm: Any = build.load()
    arguments: dict[str, Any] = {
        "model": provider.model,
        "messages": [dict(message) for message in conversation.told or conversation.asked],
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
        with suppress(Exception):  # The network refuses.
            next(litellm.completion(**{name: value for name, value in arguments.items() if value is not None}))

    # In the main thread litellm would make an event loop and leave it.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask).result()
