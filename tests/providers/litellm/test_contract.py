"""The contract with litellm: the captured request is the one that litellm would have sent.

It is tested for every provider of the catalog that ``is_captured``, with the litellm that is installed;
``make test-litellm-floor`` tests it with the oldest version that is allowed.
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

# The parts of headers that depend on the time of day.
TIME_OF_DAY: Final = re.compile(r"(?<=Signature=)[0-9a-f]{64}|(?<=Credential=AKIDEXAMPLE/)\d{8}|^\d{8}T\d{6}Z$")


def test_the_table_covers_all_captured_providers() -> None:
    assert {provider.name for provider in PROVIDERS} == CAPTURED
    assert {provider.dialect for provider in PROVIDERS} == DIALECTS


@pytest.mark.parametrize(("provider", "conversation"), ASKED)
def test_the_captured_request_is_the_one_that_litellm_sends(
    provider: Provider, conversation: str, network: Network, introduce: Introduce
) -> None:
    introduce(provider)
    prepared = prepare.preparation(call_of(provider, CONVERSATIONS[conversation])).request()
    first = network.take()
    by_litellm(provider, CONVERSATIONS[conversation])
    *others, sent = network.take()
    # No request to the model was sent, and no other request except those that litellm itself makes.
    assert [each for each in [*first, *others] if not each.path.endswith(provider.side_requests)] == []
    assert isinstance(prepared, requests.PreparedRequest)
    assert prepared.url == sent.url
    assert prepared.body == sent.body
    headers = dict(prepared.headers)
    assert timeless(headers) == timeless(sent.provider_headers)
    assert len(headers) == len(prepared.headers)
    assert signed_headers(headers) <= {*headers, "host"}
    assert prepared.dialect == provider.dialect == dialect_of(sent.url, sent.body)
    assert prepared.provider == provider.name


def timeless(headers: dict[str, str]) -> dict[str, str]:
    """The headers without the parts that depend on the time of day."""
    return {name: TIME_OF_DAY.sub("…", value) for name, value in headers.items()}


def signed_headers(headers: dict[str, str]) -> set[str]:
    """The headers that AWS checks, all of which have to be sent as they were signed."""
    match = re.search(r"SignedHeaders=([^,]*)", headers.get("authorization", ""))
    return set(match[1].split(";")) if match else set()


@pytest.mark.parametrize("provider", OF_EACH_DIALECT, ids=lambda provider: provider.dialect)
def test_litellms_own_core_in_rust_is_not_used(
    provider: Provider, network: Network, introduce: Introduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would send without httpx, and so without the guard."""
    monkeypatch.setenv("LITELLM_RUST", "true")
    introduce(provider)
    prepared = prepare.preparation(call_of(provider, CONVERSATIONS["text"])).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert [each for each in network.take() if not each.path.endswith(provider.side_requests)] == []


def test_chats_are_not_in_the_catalog_of_litellms_own_core(monkeypatch: pytest.MonkeyPatch) -> None:
    rust_catalog: Any = pytest.importorskip("litellm.rust_bridge.catalog", reason="this litellm has no core in Rust")
    monkeypatch.setenv("LITELLM_RUST", "true")
    asked = {"features": frozenset({rust_catalog.Feature.STREAMING})} if hasattr(rust_catalog, "Feature") else {}
    for route in (rust_catalog.Route.CHAT_COMPLETIONS, rust_catalog.Route.RESPONSES):
        for provider in [None, *CAPTURED]:
            assert rust_catalog.decision(rust_catalog.RouteContext(route, provider, **asked)).name == "PYTHON"


def test_a_capture_leaves_no_threads_handlers_or_event_loops(network: Network, introduce: Introduce) -> None:
    def capture() -> None:
        for provider in OF_EACH_DIALECT:
            prepare.preparation(call_of(provider, CONVERSATIONS["tools"])).request()

    for provider in OF_EACH_DIALECT:
        introduce(provider)
    capture()  # The first time, litellm imports modules and makes objects that it keeps.
    before = left_behind()
    capture()
    assert left_behind() == before
    assert [sent.path for sent in network.take() if sent.path != "/api/show"] == []


def left_behind() -> tuple[set[threading.Thread], list[object], set[int]]:
    """The threads, log handlers and event loops of this process."""
    loggers: list[Any] = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    gc.collect()
    event_loops = {id(each) for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop)}
    return set(threading.enumerate()), handlers, event_loops


def test_the_guard_is_installed_at_the_first_use_and_the_process_exits_silently() -> None:
    """With Bedrock, because there litellm reports the duration of its requests to hooks that are coroutines."""
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

        async def on_an_event_loop():
            tasks = asyncio.all_tasks()
            assert prepare.preparation(asked).request().dialect == "bedrock"
            assert asyncio.all_tasks() == tasks

        asyncio.run(on_an_event_loop())
    """
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION_NAME": "us-east-1"}
    ended = run_python(program, environment=environment)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("bedrock\n", "", 0)
