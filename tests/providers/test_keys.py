"""Whose key a request has, which headers a caller may set, and that neither is in a pickle."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConfigurationError
from support.harness import KEY, Reader, Simulate, agent_at, outcomes, receive_request, serving

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

OPENAIS = "sk-openai-0123456789"

CHAT = {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
RESPONSE = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": []}
EVENTS = [CHAT, "[DONE]"]


@contextmanager
def server(status: int = 200) -> Iterator[tuple[str, list[list[tuple[str, str]]]]]:
    """A server, by its URL, and the headers of each of its requests as they came."""
    received: list[list[tuple[str, str]]] = []

    def answer(connection: socket.socket) -> None:
        head = receive_request(connection).partition(b"\r\n\r\n")[0].decode()
        lines = [line.partition(":") for line in head.split("\r\n")[1:]]
        received.append([(name.lower(), value.strip()) for name, _, value in lines])
        body = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in EVENTS)
        head = f"HTTP/1.1 {status} X\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n"
        connection.sendall(f"{head}connection: close\r\n\r\n{body}".encode())

    with serving(answer) as port:
        yield f"http://127.0.0.1:{port}/v1", received


def values(headers: list[tuple[str, str]], name: str = "authorization") -> list[str]:
    return [value for known, value in headers if known == name]


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GROQ_API_KEY", "DEEPSEEK_API_KEY", "TOGETHER_API_KEY", "LLAMA_API_KEY", "HF_TOKEN", "SCW_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAIS)


# --- whose key -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("groq/x", "GROQ_API_KEY"),
        ("deepseek/x", "DEEPSEEK_API_KEY"),
        ("mistral/x", "MISTRAL_API_KEY"),
        ("xai/x", "XAI_API_KEY"),
        ("openrouter/a/b", "OPENROUTER_API_KEY"),
        ("together_ai/x", "TOGETHERAI_API_KEY"),
        ("together_ai/x", "TOGETHER_API_KEY"),
        ("fireworks_ai/x", "FIREWORKS_API_KEY"),
        ("huggingface/x", "HF_TOKEN"),
        ("perplexity/x", "PERPLEXITYAI_API_KEY"),
        ("meta_llama/x", "LLAMA_API_KEY"),
        ("scaleway/x", "SCW_SECRET_KEY"),
        ("nano-gpt/x", "NANOGPT_API_KEY"),
        ("hosted_vllm/x", "HOSTED_VLLM_API_KEY"),
        ("litellm_proxy/x", "LITELLM_PROXY_API_KEY"),
    ],
)
def test_a_provider_at_a_url_gets_its_own_key(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, model: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "sk-its-own")
    with server() as (url, received):
        assert reader.read(agent_at(url, model_name=model)).tokens == ["Hi."]
    assert values(received[0]) == ["Bearer sk-its-own"]


@pytest.mark.parametrize("model", ["groq/x", "deepseek/x", "together_ai/x", "xinference/x", "lm_studio/x"])
def test_a_provider_at_a_url_never_gets_openais_key(reader: Reader, model: str) -> None:
    with server() as (url, received):
        assert reader.read(agent_at(url, model_name=model)).tokens == ["Hi."]
    assert OPENAIS not in str(received)
    assert values(received[0]) == []


@pytest.mark.parametrize("model", ["openai/x", "x", "custom_openai/x", "meta-llama/Llama-3.1-8B"])
def test_openais_key_goes_to_a_url_without_a_provider_of_its_own(reader: Reader, model: str) -> None:
    with server() as (url, received):
        assert reader.read(agent_at(url, model_name=model)).tokens == ["Hi."]
    assert values(received[0]) == [f"Bearer {OPENAIS}"]


def test_the_agents_key_is_for_any_provider(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "sk-its-own")
    with server() as (url, received):
        reader.read(agent_at(url, model_name="groq/x", llm_api_key=KEY))
    assert values(received[0]) == [f"Bearer {KEY}"]


@pytest.mark.parametrize("fallback", ["y", "groq/y"])
@pytest.mark.parametrize("own", ["", "sk-its-own"])
def test_a_fallback_model_at_the_same_url_gets_the_key_of_that_url(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, fallback: str, own: str
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", own)
    with server(500) as (url, received):
        reader.read(agent_at(url, model_name="groq/x", fallback_models=[fallback]))
    assert [values(headers) for headers in received] == [[f"Bearer {own}"] if own else []] * 2


# --- headers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("model", ["openai/x", "groq/x", "openai/responses/x", "text-completion-openai/x"])
def test_the_callers_authorization_wins(reader: Reader, model: str, name: str) -> None:
    options: dict[str, Any] = {"llm_args": {"extra_headers": {name: "Basic mine"}}, "llm_api_key": KEY}
    with server() as (url, received):
        reader.read(agent_at(url, model_name=model, **options))
    assert [values(headers) for headers in received] == [["Basic mine"]]
    assert KEY not in str(received)


def test_the_callers_authorization_is_sent_beside_a_key_of_another_header(reader: Reader) -> None:
    options: dict[str, Any] = {"llm_args": {"extra_headers": {"AUTHORIZATION": "Basic mine"}}, "llm_api_key": KEY}
    with server() as (url, received):
        reader.read(agent_at(url, model_name="anthropic/claude-x", **options))
    assert (values(received[0]), values(received[0], "x-api-key")) == (["Basic mine"], [KEY])


@pytest.mark.parametrize("name", ["content-length", "Content-Length", "Transfer-Encoding", "HOST", " host"])
@pytest.mark.parametrize("model", ["openai/x", "anthropic/claude-x"])
def test_headers_of_the_connection_are_refused(reader: Reader, simulate: Simulate, model: str, name: str) -> None:
    simulator = simulate()
    with pytest.raises(ConfigurationError, match=name):
        reader.start(agent_at(simulator, model_name=model, llm_args={"extra_headers": {name: "1"}}))
    assert outcomes(simulator) == []
