"""The contract with litellm: the request that is taken from litellm's hands is the one that it would have sent.

Held for every provider of the catalogue that ``is_captured``, against the litellm that is installed;
``make test-litellm-floor`` holds it against the oldest that is allowed.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from headrace._models.catalog import CATALOG
from headrace._providers import prepare, requests
from headrace._providers.dialects import dialect_of
from support.harness import run_python
from support.litellm_conversations import CONVERSATIONS
from support.litellm_network import by_litellm, call_of
from support.litellm_providers import PROVIDERS, Provider

if TYPE_CHECKING:
    from support.litellm_fixtures import Introduce
    from support.litellm_network import Network

ASKED: Final = [
    pytest.param(provider, conversation, id=f"{provider.model}: {conversation}")
    for provider in PROVIDERS
    for conversation in provider.conversations
]

CAPTURED: Final = {row.name for row in CATALOG.values() if row.is_captured}

DIALECTS: Final = {"openai_chat", "openai_responses", "anthropic", "gemini", "cohere", "bedrock", "ollama"}

OF_EACH_DIALECT: Final = [next(each for each in PROVIDERS if each.dialect == dialect) for dialect in sorted(DIALECTS)]

# What the time of day goes into.
OF_THE_TIME: Final = re.compile(r"(?<=Signature=)[0-9a-f]{64}|(?<=Credential=AKIDEXAMPLE/)\d{8}|^\d{8}T\d{6}Z$")


def test_the_table_covers_the_providers_that_are_captured() -> None:
    assert {provider.name for provider in PROVIDERS} == CAPTURED
    assert {provider.dialect for provider in PROVIDERS} == DIALECTS


@pytest.mark.parametrize(("provider", "conversation"), ASKED)
def test_what_is_captured_is_what_litellm_sends(
    provider: Provider, conversation: str, network: Network, introduce: Introduce
) -> None:
    introduce(provider)
    prepared = prepare.preparation(call_of(provider, CONVERSATIONS[conversation])).request()
    asides = network.take()
    by_litellm(provider, CONVERSATIONS[conversation])
    *others, sent = network.take()
    # Nothing for the model has left, and nothing else that litellm does not send on its own.
    assert [aside for aside in [*asides, *others] if not aside.path.endswith(provider.aside)] == []
    assert isinstance(prepared, requests.PreparedRequest)
    assert prepared.url == sent.url
    assert prepared.body == sent.body
    headers = dict(prepared.headers)
    assert timeless(headers) == timeless(sent.kept)
    assert len(headers) == len(prepared.headers)
    assert signed_headers(headers) <= {*headers, "host"}
    assert prepared.dialect == provider.dialect == dialect_of(sent.url, sent.body)
    assert prepared.provider == provider.name


def timeless(headers: dict[str, str]) -> dict[str, str]:
    """The headers without what a signature has of the time of day."""
    return {name: OF_THE_TIME.sub("…", value) for name, value in headers.items()}


def signed_headers(headers: dict[str, str]) -> set[str]:
    """The headers that AWS checks, all of which have to be sent as they were signed."""
    told = re.search(r"SignedHeaders=([^,]*)", headers.get("authorization", ""))
    return set(told[1].split(";")) if told else set()


@pytest.mark.parametrize("provider", OF_EACH_DIALECT, ids=lambda provider: provider.dialect)
def test_litellms_own_core_in_rust_is_not_asked(
    provider: Provider, network: Network, introduce: Introduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would send without httpx, past the guard."""
    monkeypatch.setenv("LITELLM_RUST", "true")
    introduce(provider)
    prepared = prepare.preparation(call_of(provider, CONVERSATIONS["text"])).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert [aside for aside in network.take() if not aside.path.endswith(provider.aside)] == []


def test_chats_are_not_in_the_catalog_of_litellms_own_core(monkeypatch: pytest.MonkeyPatch) -> None:
    rust_catalog: Any = pytest.importorskip("litellm.rust_bridge.catalog", reason="this litellm has no core in Rust")
    monkeypatch.setenv("LITELLM_RUST", "true")
    asked = {"features": frozenset({rust_catalog.Feature.STREAMING})} if hasattr(rust_catalog, "Feature") else {}
    for route in (rust_catalog.Route.CHAT_COMPLETIONS, rust_catalog.Route.RESPONSES):
        for provider in [None, *CAPTURED]:
            assert rust_catalog.decision(rust_catalog.RouteContext(route, provider, **asked)).name == "PYTHON"


def test_capturing_leaves_nothing_behind(network: Network, introduce: Introduce) -> None:
    def capture() -> None:
        for provider in OF_EACH_DIALECT:
            prepare.preparation(call_of(provider, CONVERSATIONS["tools"])).request()

    for provider in OF_EACH_DIALECT:
        introduce(provider)
    capture()  # litellm imports late, and makes what it keeps.
    before = left_behind()
    capture()
    assert left_behind() == before
    assert [sent.path for sent in network.take() if sent.path != "/api/show"] == []


def left_behind() -> tuple[set[threading.Thread], list[object], set[int]]:
    """The threads, the log handlers and the event loops that there are."""
    loggers: list[Any] = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    gc.collect()
    loops = {id(each) for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop)}
    return set(threading.enumerate()), handlers, loops


def test_the_guard_stands_from_the_first_use_on_and_the_process_ends_in_silence() -> None:
    """Bedrock, because litellm tells the time of its requests to hooks that are coroutines."""
    program = """
        import asyncio, gc, sys
        import httpx
        real = httpx.HTTPTransport.handle_request
        from headrace._providers import prepare
        from headrace.types import ModelCall, ModelSettings

        assert httpx.HTTPTransport.handle_request is real
        assert "litellm" not in sys.modules
        settings = ModelSettings("bedrock/invoke/us.amazon.nova-lite-v1:0")
        asked = ModelCall(settings, ({"role": "user", "content": "Hi."},))
        print(prepare.preparation(asked).request().dialect)
        assert httpx.HTTPTransport.handle_request is not real
        assert httpx.HTTPTransport.handle_request.__wrapped__ is real
        gc.collect()
        assert not any(isinstance(each, asyncio.AbstractEventLoop) for each in gc.get_objects())

        async def inside_a_loop():
            tasks = asyncio.all_tasks()
            assert prepare.preparation(asked).request().dialect == "bedrock"
            assert asyncio.all_tasks() == tasks

        asyncio.run(inside_a_loop())
    """
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION_NAME": "us-east-1"}
    ended = run_python(program, environment=environment)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("bedrock\n", "", 0)
