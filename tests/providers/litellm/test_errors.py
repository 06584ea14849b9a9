"""Requests that litellm cannot build are errors before anything is sent, and no provider gets another one's key."""

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

OPENAI_KEY: Final = "sk-of-openai-0123456789"

# Servers that users run themselves and that need no key: litellm sends none, or a placeholder.
KEYLESS: Final = {"docker_model_runner", "hosted_vllm", "llamafile", "lm_studio", "ollama", "ollama_chat"}

# OpenAI itself, and custom endpoints with OpenAI's key.
OPENAI: Final = {"openai", "custom_openai"}

# Their credentials are more than a key, or have no single environment variable.
OTHER_CREDENTIALS: Final = {"azure", "vertex_ai", "vertex_ai_beta", "watsonx", "xinference"}

# One entry for each provider.
BY_NAME: Final = {provider.name: provider for provider in reversed(PROVIDERS)}
NEED_A_KEY: Final = sorted(BY_NAME.keys() - KEYLESS - OPENAI - OTHER_CREDENTIALS)


def asked(model: str, **model_settings: Any) -> ModelCall:
    return ModelCall(ModelSettings(model, **model_settings), ({"role": "user", "content": "Hi."},))


def without_a_key(provider: Provider) -> ModelCall:
    model_settings = call_of(provider, CONVERSATIONS["text"]).settings
    return asked(model_settings.model, base_url=model_settings.base_url, parameters=model_settings.parameters)


@pytest.mark.parametrize("name", NEED_A_KEY)
def test_the_error_for_a_missing_key_names_the_variable_that_is_read(
    name: str, network: Network, introduce: Introduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI's library would use OpenAI's key for any provider."""
    provider = BY_NAME[name]
    introduce(provider)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    with pytest.raises(MissingKeyError, match=re.escape(provider.model)) as raised:
        prepare.preparation(without_a_key(provider)).request()
    assert OPENAI_KEY not in str(raised.value)
    match = re.search(r"environment variables? ([A-Z0-9_, ]+) or", str(raised.value))
    assert match is not None
    # Setting the variables that the message names helps.
    for variable in match[1].split(", "):
        if variable not in provider.environment or "KEY" in variable:
            monkeypatch.setenv(variable, KEY)
    prepared = prepare.preparation(without_a_key(provider)).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert KEY in str(prepared.headers)
    assert OPENAI_KEY not in str(prepared.headers)
    assert [sent for sent in network.take() if not sent.path.endswith(provider.side_requests)] == []


def test_a_key_without_an_environment_variable_has_to_be_passed(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    with pytest.raises(MissingKeyError, match="'xinference/some-model': pass llm_api_key"):
        prepare.preparation(without_a_key(BY_NAME["xinference"])).request()
    assert network.take() == []


@pytest.mark.parametrize("name", sorted(KEYLESS))
def test_a_users_own_server_does_not_get_openais_key(
    name: str, network: Network, introduce: Introduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = BY_NAME[name]
    introduce(provider)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    prepared = prepare.preparation(without_a_key(provider)).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert OPENAI_KEY not in str(prepared.headers)
    assert [sent for sent in network.take() if not sent.path.endswith(provider.side_requests)] == []


def test_openais_key_is_sent_where_the_user_sets_it(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    given = prepare.preparation(asked("hyperbolic/some-model", api_key=OPENAI_KEY)).request()
    assert isinstance(given, requests.PreparedRequest)
    assert OPENAI_KEY in str(given.headers)
    monkeypatch.setenv("HYPERBOLIC_API_KEY", OPENAI_KEY)
    found = prepare.preparation(asked("hyperbolic/some-model")).request()
    assert isinstance(found, requests.PreparedRequest)
    assert OPENAI_KEY in str(found.headers)
    own = prepare.preparation(asked("gpt-4o")).request()
    assert isinstance(own, requests.PreparedRequest)
    assert OPENAI_KEY in str(own.headers)
    assert network.take() == []


@pytest.mark.parametrize("model", ["hosted_vllm/m", "litellm_proxy/m", "lm_studio/m", "xinference/m"])
def test_a_server_without_a_url_is_not_replaced_by_openai(model: str, network: Network) -> None:
    with pytest.raises(ConfigurationError, match="llm_base_url"):
        prepare.preparation(asked(model, api_key=KEY)).request()
    assert network.take() == []


@pytest.mark.parametrize("model", ["nobody/some-model", "some-model", "/", "anthropic", ""])
def test_the_error_for_an_unknown_provider_says_how_to_name_it(model: str, network: Network) -> None:
    with pytest.raises(ConfigurationError, match="PROVIDER/NAME"):
        prepare.preparation(asked(model, api_key=KEY)).request()
    assert network.take() == []


def test_an_unsupported_parameter_is_an_error_or_left_out(network: Network) -> None:
    with pytest.raises(ConfigurationError, match=r"logprobs.*drop_params.*allowed_openai_params") as raised:
        prepare.preparation(asked("anthropic/claude-sonnet-4-5", api_key=KEY, parameters={"logprobs": True})).request()
    assert "proxy" not in str(raised.value)
    prepared = prepare.preparation(
        asked("anthropic/claude-sonnet-4-5", api_key=KEY, parameters={"logprobs": True, "drop_params": True})
    ).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert b"logprobs" not in prepared.body
    assert network.take() == []


def test_an_unsupported_parameter_is_not_reported_as_a_missing_key(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """litellm's own check for credentials does not know all places."""
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
