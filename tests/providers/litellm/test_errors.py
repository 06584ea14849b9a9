"""What litellm cannot build is told before anything is sent, and nobody gets another's key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from headrace import ConfigurationError, MissingKeyError
from headrace._providers import prepare, requests
from headrace.types import ModelCall, ModelSettings
from support.litellm_conversations import CONVERSATIONS
from support.litellm_network import call_of
from support.litellm_providers import KEY, PROVIDERS, Provider

if TYPE_CHECKING:
    from support.litellm_fixtures import Introduce
    from support.litellm_network import Network

OPENAIS: Final = "sk-of-openai-0123456789"

# Servers of one's own, that want no key: litellm sends none, or a placeholder.
KEYLESS: Final = {"docker_model_runner", "hosted_vllm", "llamafile", "lm_studio", "ollama", "ollama_chat"}

# OpenAI itself, or whatever is called so.
OPENAI: Final = {"openai", "custom_openai"}

# Their credentials are more than a key, or they are not looked for under one name.
OTHERWISE: Final = {"azure", "vertex_ai", "vertex_ai_beta", "watsonx", "xinference"}

# One way to ask of each.
BY_NAME: Final = {provider.name: provider for provider in reversed(PROVIDERS)}
WANT_A_KEY: Final = sorted(BY_NAME.keys() - KEYLESS - OPENAI - OTHERWISE)


def asked(model: str, **settled: Any) -> ModelCall:
    return ModelCall(ModelSettings(model, **settled), ({"role": "user", "content": "Hi."},))


def without_a_key(provider: Provider) -> ModelCall:
    settled = call_of(provider, CONVERSATIONS["text"]).settings
    return asked(settled.model, base_url=settled.base_url, parameters=settled.parameters)


@pytest.mark.parametrize("name", WANT_A_KEY)
def test_a_missing_key_is_named_as_it_is_read(
    name: str, network: Network, introduce: Introduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI's library would take OpenAI's key for anybody."""
    provider = BY_NAME[name]
    introduce(provider)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAIS)
    with pytest.raises(MissingKeyError, match=re.escape(provider.model)) as raised:
        prepare.preparation(without_a_key(provider)).request()
    assert OPENAIS not in str(raised.value)
    told = re.search(r"environment variables? ([A-Z0-9_, ]+) or", str(raised.value))
    assert told is not None
    # What the message says is what helps.
    for variable in told[1].split(", "):
        if variable not in provider.environment or "KEY" in variable:
            monkeypatch.setenv(variable, KEY)
    prepared = prepare.preparation(without_a_key(provider)).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert KEY in str(prepared.headers)
    assert OPENAIS not in str(prepared.headers)
    assert [sent for sent in network.take() if not sent.path.endswith(provider.aside)] == []


def test_a_key_that_is_looked_for_nowhere_is_to_be_passed(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAIS)
    with pytest.raises(MissingKeyError, match="'xinference/some-model': pass llm_api_key"):
        prepare.preparation(without_a_key(BY_NAME["xinference"])).request()
    assert network.take() == []


@pytest.mark.parametrize("name", sorted(KEYLESS))
def test_a_server_of_ones_own_does_not_get_openais_key(
    name: str, network: Network, introduce: Introduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = BY_NAME[name]
    introduce(provider)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAIS)
    prepared = prepare.preparation(without_a_key(provider)).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert OPENAIS not in str(prepared.headers)
    assert [sent for sent in network.take() if not sent.path.endswith(provider.aside)] == []


def test_openais_key_goes_to_whom_it_is_given(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAIS)
    given = prepare.preparation(asked("hyperbolic/some-model", api_key=OPENAIS)).request()
    assert isinstance(given, requests.PreparedRequest)
    assert OPENAIS in str(given.headers)
    monkeypatch.setenv("HYPERBOLIC_API_KEY", OPENAIS)
    found = prepare.preparation(asked("hyperbolic/some-model")).request()
    assert isinstance(found, requests.PreparedRequest)
    assert OPENAIS in str(found.headers)
    own = prepare.preparation(asked("gpt-4o")).request()
    assert isinstance(own, requests.PreparedRequest)
    assert OPENAIS in str(own.headers)
    assert network.take() == []


@pytest.mark.parametrize("model", ["hosted_vllm/m", "litellm_proxy/m", "lm_studio/m", "xinference/m"])
def test_a_server_that_nobody_has_placed_is_not_looked_for_at_openai(model: str, network: Network) -> None:
    with pytest.raises(ConfigurationError, match="llm_base_url"):
        prepare.preparation(asked(model, api_key=KEY)).request()
    assert network.take() == []


@pytest.mark.parametrize("model", ["nobody/some-model", "some-model", "/", "anthropic", ""])
def test_an_unknown_provider_is_told_how_to_be_named(model: str, network: Network) -> None:
    with pytest.raises(ConfigurationError, match="PROVIDER/NAME"):
        prepare.preparation(asked(model, api_key=KEY)).request()
    assert network.take() == []


def test_a_parameter_that_the_model_does_not_take_is_told_or_left_out(network: Network) -> None:
    with pytest.raises(ConfigurationError, match=r"logprobs.*drop_params.*allowed_openai_params") as raised:
        prepare.preparation(asked("anthropic/claude-sonnet-4-5", api_key=KEY, parameters={"logprobs": True})).request()
    assert "proxy" not in str(raised.value)
    prepared = prepare.preparation(
        asked("anthropic/claude-sonnet-4-5", api_key=KEY, parameters={"logprobs": True, "drop_params": True})
    ).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert b"logprobs" not in prepared.body
    assert network.take() == []


def test_a_parameter_that_is_not_taken_is_no_missing_key(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials may be where litellm's own check does not look."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    with pytest.raises(ConfigurationError, match="logprobs") as raised:
        prepare.preparation(asked("bedrock/us.amazon.nova-lite-v1:0", parameters={"logprobs": True})).request()
    assert not isinstance(raised.value, MissingKeyError)
    assert network.take() == []


def test_a_key_is_not_shown_by_an_error(network: Network) -> None:
    with pytest.raises(ConfigurationError) as raised:
        prepare.preparation(asked("azure/a-deployment", api_key=KEY)).request()
    assert KEY not in str(raised.value)
    assert network.take() == []
