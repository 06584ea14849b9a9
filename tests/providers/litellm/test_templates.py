"""Templates: a call with a template does not enter litellm, sends the same request, and notices changes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace._providers import prepare, requests
from headrace._providers.litellm import templates
from headrace.types import ModelCall, ModelSettings
from support.litellm_conversations import CONVERSATIONS, TOOL
from support.litellm_network import call_of
from support.litellm_providers import KEY, PROVIDERS, Provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.litellm_fixtures import Introduce
    from support.litellm_network import Network

# Their credentials are signatures and tokens that expire.
NEVER_TEMPLATES: Final = {"sagemaker_chat", "vertex_ai", "vertex_ai_beta"}

TRICKY: Final = (
    '"',
    "\\",
    '\\"',
    "\\n",
    "\\u00e9",
    "a\r\nb\tc",
    "\0",
    "\x7f",
    "\u2028",
    "\ufeff",
    "🌧\u200d",
    "é",
    "{{ x }} {0} %s ${y}",
    "[INST] <s> </s> <|im_start|>",
    "### User:",
    "<tool>&amp;</tool>",
    "null",
    '{"role": "system"}',
    "data:image/png;base64,AAAA",
    "https://example.org/cat.png",
    "hEaDrAcE0sLoT",
    templates._PLACEHOLDER.format(0),
    "x" * 100_000,
)

# Only texts for which templates are used: without lone surrogates, and without whitespace at their ends.
TEXT: Final = (st.sampled_from(TRICKY) | st.text(min_size=1, max_size=40)).filter(lambda text: text == text.strip())

ROLES: Final = ("system", *("user", "assistant") * 3, "user")


def asked(*texts: str, **changes: Any) -> ModelCall:
    """A call of Claude, with one message for each text."""
    options: dict[str, Any] = {"parameters": {"max_tokens": 100}, **changes}
    messages = tuple({"role": role, "content": text} for role, text in zip(ROLES, texts, strict=False))
    return ModelCall(ModelSettings("anthropic/claude-sonnet-4-5", **options), messages)


def without_blocking(call: ModelCall) -> requests.PreparedRequest | requests.FedRequest | None:
    """The request, if it can be built without blocking; None otherwise."""
    way = prepare.preparation(call)
    return None if way.blocks else way.request()


def request_for(call: ModelCall) -> requests.PreparedRequest:
    prepared = prepare.preparation(call).request()
    assert isinstance(prepared, requests.PreparedRequest)
    return prepared


@pytest.fixture
def calls_of_litellm(network: Network, litellm: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of all calls of litellm from now on. The key is in the environment."""
    assert network.sent == []
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    calls: list[Any] = []
    completion = litellm.completion

    def counted(**arguments: Any) -> Any:
        calls.append(arguments)
        return completion(**arguments)

    monkeypatch.setattr(litellm, "completion", counted)
    return calls


def test_the_third_call_does_not_enter_litellm(calls_of_litellm: list[Any]) -> None:
    request_for(asked("Be terse.", "One."))
    request_for(asked("Be terse.", "Two."))
    calls_of_litellm.clear()
    third = asked("Be kind.", "Three.")
    prepared = request_for(third)
    assert without_blocking(third) == prepared
    assert calls_of_litellm == []
    body = json.loads(prepared.body)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Three."}]}]
    assert body["system"] == [{"type": "text", "text": "Be kind."}]


# --- the same request as litellm's ---------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.model)
def test_a_filled_template_is_the_request_that_litellm_builds(
    provider: Provider, network: Network, introduce: Introduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    introduce(provider)
    model_settings = call_of(provider, CONVERSATIONS[provider.conversations[0]]).settings

    def call(texts: tuple[str, ...]) -> ModelCall:
        messages = tuple({"role": role, "content": text} for role, text in zip(ROLES, texts, strict=True))
        return ModelCall(model_settings, messages)

    for number in range(2):
        request_for(call(tuple(f"{role} {number}" for role in "abcdefgh")))
    signed = provider.name in NEVER_TEMPLATES or "AWS_ACCESS_KEY_ID" in provider.environment
    assert (templates.fill(call(ROLES)) is None) is signed
    if signed:
        return

    @settings(max_examples=2, database=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*[TEXT] * len(ROLES)))
    @example(TRICKY[:8])
    @example(TRICKY[8:16])
    @example(TRICKY[-8:])
    def is_the_same(texts: tuple[str, ...]) -> None:
        warm = request_for(call(texts))
        with monkeypatch.context() as patch:
            patch.setattr(templates, "fill", lambda _call: None)
            cold = request_for(call(texts))
        assert json.loads(warm.body) == json.loads(cold.body)
        assert replace(warm, body=b"") == replace(cold, body=b"")

    is_the_same()
    assert [sent for sent in network.take() if not sent.path.endswith(provider.side_requests)] == []


@pytest.mark.parametrize(
    "text",
    ["", " ", "Blank at the end.\n", "\tBlank at the start.", "<think>Hm.</think>Yes.", "half a \ud83c character"],
)
def test_a_text_that_litellm_may_change_uses_no_template(text: str, calls_of_litellm: list[Any]) -> None:
    for word in ("One.", "Two.", "Three."):
        request_for(asked("Be terse.", word))
    calls_of_litellm.clear()
    assert without_blocking(asked("Be terse.", text)) is None


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "Hi."}]},
        {"role": "user", "content": "Hi.", "name": "somebody"},
        {"content": "Hi.", "name": "somebody"},
        {"role": "user", "content": None},
    ],
)
def test_a_message_that_is_not_plain_text_has_no_template(message: dict[str, Any], calls_of_litellm: list[Any]) -> None:
    for word in ("One.", "Two.", "Three."):
        request_for(asked("Be terse.", word))
    call = asked("Be terse.", "Four.")
    assert calls_of_litellm
    assert templates.fill(replace(call, messages=(call.messages[0], message))) is None


# --- changes -------------------------------------------------------------------------------------------------


def header(name: str) -> Callable[[requests.PreparedRequest], Any]:
    return lambda prepared: dict(prepared.headers).get(name)


def member(name: str) -> Callable[[requests.PreparedRequest], Any]:
    return lambda prepared: json.loads(prepared.body).get(name)


CHANGES: Final[dict[str, tuple[dict[str, Any], Callable[[requests.PreparedRequest], Any], Any]]] = {
    "the key": ({"api_key": "another"}, header("x-api-key"), "another"),
    "the URL": (
        {"base_url": "https://models.invalid"},
        lambda prepared: prepared.url,
        "https://models.invalid/v1/messages",
    ),
    "a header": ({"headers": {"x-a": "b"}}, header("x-a"), "b"),
    "a parameter": ({"parameters": {"max_tokens": 7}}, member("max_tokens"), 7),
    "a new parameter": ({"parameters": {"max_tokens": 100, "temperature": 0.5}}, member("temperature"), 0.5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_setting_is_noticed(change: str, calls_of_litellm: list[Any]) -> None:
    changed, look, seen = CHANGES[change]
    for word in ("One.", "Two.", "Three."):
        assert look(request_for(asked("Be terse.", word))) != seen
    calls_of_litellm.clear()
    assert look(request_for(asked("Be terse.", "Four.", **changed))) == seen
    assert len(calls_of_litellm) == 1


def test_a_changed_tool_is_noticed(calls_of_litellm: list[Any]) -> None:
    def call(word: str, description: str) -> ModelCall:
        tool = {"type": "function", "function": {**TOOL["function"], "description": description}}
        return replace(asked("Be terse.", word), tools=(tool,))

    for word in ("One.", "Two.", "Three."):
        request_for(call(word, "The weather."))
    assert len(calls_of_litellm) == 3  # The second call is built twice.
    [tool] = json.loads(request_for(call("Four.", "The climate.")).body)["tools"]
    assert tool["description"] == "The climate."
    chosen = json.loads(request_for(replace(call("Five.", "The climate."), tool_choice="required")).body)
    assert chosen["tool_choice"] == {"type": "any"}


def test_a_key_that_is_rotated_in_the_environment_is_noticed(
    calls_of_litellm: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("One.", "Two.", "Three."):
        assert header("x-api-key")(request_for(asked("Be terse.", word))) == KEY
    calls_of_litellm.clear()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "rotated")
    assert header("x-api-key")(request_for(asked("Be terse.", "Four."))) == "rotated"
    monkeypatch.setenv("ANTHROPIC_API_BASE", "https://models.invalid")
    assert request_for(asked("Be terse.", "Five.")).url == "https://models.invalid/v1/messages"
    assert len(calls_of_litellm) == 2


def test_litellms_own_settings_are_noticed(
    calls_of_litellm: list[Any], litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setattr(litellm, "api_key", KEY)
    for word in ("One.", "Two.", "Three."):
        assert header("x-api-key")(request_for(asked("Be terse.", word))) == KEY
    assert len(calls_of_litellm) == 3
    monkeypatch.setattr(litellm, "api_key", "another")
    assert header("x-api-key")(request_for(asked("Be terse.", "Four."))) == "another"
    monkeypatch.setattr(litellm, "api_base", "https://models.invalid")
    assert request_for(asked("Be terse.", "Five.")).url == "https://models.invalid/v1/messages"
    monkeypatch.setattr(litellm, "drop_params", True)
    assert "seed" not in json.loads(request_for(asked("Be terse.", "Six.", parameters={"seed": 1})).body)
    aliases = {"anthropic/claude-sonnet-4-5": "anthropic/claude-opus-4-5"}
    monkeypatch.setattr(litellm, "model_alias_map", aliases)
    assert member("model")(request_for(asked("Be terse.", "Seven."))) == "claude-opus-4-5"
    assert len(calls_of_litellm) == 7


def test_litellms_rules_see_every_text(
    calls_of_litellm: list[Any], litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("One.", "Two.", "Three."):
        request_for(asked("Be terse.", word))
    calls_of_litellm.clear()
    seen: list[str] = []

    def rule(text: str) -> bool:
        seen.append(text)
        return True

    monkeypatch.setattr(litellm, "pre_call_rules", [rule])
    request_for(asked("Be terse.", "Four."))
    assert len(calls_of_litellm) == 1
    assert any("Four." in text for text in seen)


def test_two_classes_with_the_same_name_have_different_templates(calls_of_litellm: list[Any]) -> None:
    """Only the classes themselves differ."""
    pydantic = pytest.importorskip("pydantic")

    def call(word: str, field: str) -> ModelCall:
        shape = pydantic.create_model("Answer", **{field: (str, ...)})
        return asked("Be terse.", word, parameters={"max_tokens": 100, "response_format": shape})

    for word in ("One.", "Two.", "Three."):
        assert b"city" in request_for(call(word, "city")).body
    body = request_for(call("Four.", "country")).body
    assert b"country" in body
    assert b"city" not in body
    assert len(calls_of_litellm) == 4


# --- credentials that expire ---------------------------------------------------------------------------------


def test_an_access_token_that_expires_is_requested_every_time(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """watsonx exchanges the key for a token, by a request that is not captured."""
    monkeypatch.setenv("WATSONX_URL", "https://us-south.ml.cloud.ibm.com")
    monkeypatch.setenv("WATSONX_PROJECT_ID", "a-project")
    monkeypatch.setenv("WATSONX_API_KEY", KEY)
    model_settings = ModelSettings("watsonx/ibm/granite-3-3-8b-instruct")
    for word in ("One.", "Two.", "Three."):
        call = ModelCall(model_settings, ({"role": "user", "content": word},))
        assert header("authorization")(request_for(call)) == "Bearer a-token-that-expires"
        assert without_blocking(call) is None
    assert {sent.path for sent in network.take()} == {"/identity/token"}
