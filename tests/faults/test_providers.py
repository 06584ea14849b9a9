"""Errors in each provider's own form: they become the same exceptions, which name the provider and contain no key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    Agent,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    MissingKeyError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamError,
    UnsupportedRequestError,
)
from support.conversations import bodies
from support.dialects import SERVICES, Service, agent_on
from support.harness import KEY, Reader, Simulate, agent_at, assert_no_key_in

if TYPE_CHECKING:
    from headrace.testing import Simulator

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def failed(reader: Reader, service: Service, simulator: Simulator, **options: Any) -> StreamError:
    """The error of a run without tokens."""
    result = reader.read(agent_on(service, simulator, tools=[], **options))
    assert result.tokens == []
    assert isinstance(result.error, StreamError), result
    return result.error


# --- errors by status -----------------------------------------------------------------------------------------------


def openai(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def anthropic(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def google(code: int, status: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message}}


TOO_LONG: dict[str, list[tuple[int, Any]]] = {
    "openai_chat": [(400, openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded"))],
    "openai_responses": [(400, openai("The input exceeds the context window.", "context_length_exceeded"))],
    "azure": [(400, openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded"))],
    "anthropic": [
        (400, anthropic("prompt is too long: 210000 tokens > 200000 maximum")),
        (400, anthropic("input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000")),
    ],
    "gemini": [
        (
            400,
            google(400, "INVALID_ARGUMENT", "The input exceeds the maximum number of tokens allowed (8)."),
        )
    ],
    "bedrock_converse": [
        (400, {"message": "Input is too long for requested model."}),
        (400, {"message": "The model returned the following errors: prompt is too long: 21 tokens > 20 maximum"}),
    ],
    "bedrock_invoke": [(400, {"message": "Input is too long for requested model."})],
    "cohere": [(400, {"id": "1", "message": "too many tokens: the prompt cannot exceed 4081"})],
}
AGAINST_RULES: dict[str, list[tuple[int, Any]]] = {
    "openai_chat": [(400, openai("Rejected as a result of our safety system.", "content_policy_violation"))],
    "openai_responses": [(400, openai("Your prompt was flagged as violating our usage policy.", "invalid_prompt"))],
    "azure": [(400, openai("The prompt triggered Azure OpenAI's content management policy.", "content_filter"))],
    "anthropic": [(400, anthropic("Output blocked by content filtering policy"))],
    "bedrock_converse": [
        (400, {"message": "The model returned the following errors: Output blocked by content filtering policy"})
    ],
    "cohere": [(422, {"message": "the message was blocked by our content policy"})],
}
BUSY: dict[str, list[tuple[int, Any]]] = {
    "anthropic": [(529, anthropic("Overloaded", "overloaded_error"))],
    "gemini": [(503, google(503, "UNAVAILABLE", "The model is overloaded."))],
    "bedrock_converse": [(503, {"message": "Bedrock is unable to process your request."})],
    "openai_chat": [(503, openai("The engine is currently overloaded"))],
}
WRONG_KEY: dict[str, list[tuple[int, Any]]] = {
    "openai_chat": [(401, openai("Incorrect API key provided.", "invalid_api_key"))],
    "anthropic": [(401, anthropic("invalid x-api-key", "authentication_error"))],
    "gemini": [(400, google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."))],
}
REFUSALS = [
    (error, name, status, body)
    for error, by_service in (
        (ContextWindowExceededError, TOO_LONG),
        (ContentPolicyViolationError, AGAINST_RULES),
        (OverloadedError, BUSY),
        (AuthenticationError, WRONG_KEY),
    )
    for name, answers in by_service.items()
    for status, body in answers
]


@pytest.mark.parametrize(("error", "name", "status", "body"), REFUSALS)
def test_an_explanation_of_a_provider_becomes_the_right_error(
    simulate: Simulate, reader: Reader, error: type[StreamError], name: str, status: int, body: Any
) -> None:
    service = SERVICES[name]
    raised = failed(reader, service, simulate(fault={"kind": "status", "status": status, "body": body}))
    assert type(raised) is error
    assert (raised.status, raised.provider, raised.model) == (status, service.provider, service.model)
    words = body.get("message") or body["error"]["message"]
    assert words in str(raised)
    assert raised.body is not None
    assert words in raised.body


STATUSES = [
    (400, BadRequestError),
    (401, AuthenticationError),
    (403, PermissionDeniedError),
    (404, NotFoundError),
    (429, RateLimitError),
    (500, ServerError),
    (503, OverloadedError),
]


@each_service
@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_a_status_is_the_same_error_for_every_provider(
    simulate: Simulate, reader: Reader, service: Service, status: int, error: type[StreamError]
) -> None:
    simulator = simulate(fault={"kind": "status", "status": status, "headers": {"retry-after": "3"}})
    raised = failed(reader, service, simulator)
    assert type(raised) is error
    assert (raised.state, raised.status, raised.provider) == ("rejected", status, service.provider)
    assert raised.retry_after == 3.0


@each_service
def test_the_error_for_an_unknown_model_says_what_to_check(
    simulate: Simulate, reader: Reader, service: Service
) -> None:
    raised = failed(reader, service, simulate(fault={"kind": "status", "status": 404}))
    assert "check the model's name and the base URL" in str(raised)
    assert raised.model == service.model


# --- errors inside the stream ---------------------------------------------------------------------------------------

IN_BAND = [
    ("anthropic", {"type": "overloaded_error"}, OverloadedError),
    ("anthropic", {"type": "rate_limit_error"}, RateLimitError),
    ("anthropic", {"type": "api_error"}, ServerError),
    ("gemini", {"code": 503, "status": "UNAVAILABLE"}, OverloadedError),
    ("gemini", {"code": 429, "status": "RESOURCE_EXHAUSTED"}, RateLimitError),
    ("gemini", {"code": 500, "status": "INTERNAL"}, ServerError),
    ("bedrock_converse", {"type": "serviceUnavailableException"}, OverloadedError),
    ("bedrock_converse", {"type": "throttlingException"}, RateLimitError),
    ("bedrock_converse", {"type": "internalServerException"}, ServerError),
    ("bedrock_invoke", {"type": "throttlingException"}, RateLimitError),
    ("openai_responses", {"code": "rate_limit_exceeded"}, RateLimitError),
    ("openai_responses", {"code": "server_error"}, ServerError),
    ("openai_chat", {"type": "overloaded_error"}, OverloadedError),
    ("openai_chat", {"type": "requests", "code": "rate_limit_exceeded"}, RateLimitError),
    ("openai_chat", {"type": "server_error"}, ServerError),
    ("azure", {"type": "server_error"}, ServerError),
    # These have only a message.
    ("cohere", {}, ProviderError),
    ("ollama_chat", {}, ProviderError),
]


@pytest.mark.parametrize(("name", "error", "expected"), IN_BAND)
def test_an_error_inside_the_stream_comes_after_its_tokens(
    simulate: Simulate, reader: Reader, name: str, error: dict[str, Any], expected: type[StreamError]
) -> None:
    service = SERVICES[name]
    fault = {"kind": "error", "after": 1, "error": {"message": "It failed.", **error}}
    result = reader.read(agent_on(service, simulate(["one", " two"], fault=fault), tools=[], retry_attempts=3))
    assert result.tokens == ["one"]
    assert type(result.error) is expected
    assert isinstance(result.error, StreamError)
    assert (result.error.provider, result.error.delivered, result.stream.state) == (service.provider, True, "error")
    assert "It failed." in str(result.error)


# --- answers that are not a provider's ------------------------------------------------------------------------------


@each_service
def test_a_web_page_says_that_the_url_is_wrong(simulate: Simulate, reader: Reader, service: Service) -> None:
    raised = failed(reader, service, simulate(fault={"kind": "html"}))
    assert type(raised) is ProtocolError
    assert "web page" in str(raised)
    assert "is the URL right?" in str(raised)
    assert raised.provider == service.provider


@each_service
def test_a_redirect_says_where_to_and_is_not_followed(simulate: Simulate, reader: Reader, service: Service) -> None:
    other = simulate("I am another.")
    simulator = simulate(fault={"kind": "redirect", "location": f"{other.base_url}/elsewhere"})
    raised = failed(reader, service, simulator)
    assert raised.status == 307
    assert f"{other.base_url}/elsewhere" in str(raised)
    assert bodies(other) == []


@pytest.mark.parametrize("model", ["nonsense/model", "nobody-knows-this-model"])
def test_the_error_for_an_unknown_provider_says_how_to_name_models(reader: Reader, model: str) -> None:
    error = reader.read(Agent(model_name=model, llm_api_key=KEY, print_on=False)).error
    assert type(error) is ConfigurationError
    assert model in str(error)
    assert "PROVIDER/NAME" in str(error)
    assert_no_key_in(error)


NEEDS = {
    "openai/gpt-4o": "OPENAI_API_KEY",
    "anthropic/claude-sonnet-4-5": "ANTHROPIC_API_KEY",
    "gemini/gemini-2.5-flash": "GEMINI_API_KEY",
    "groq/llama-3.1-8b-instant": "GROQ_API_KEY",
    "mistral/mistral-small-latest": "MISTRAL_API_KEY",
    "openrouter/anthropic/claude-sonnet-4": "OPENROUTER_API_KEY",
    "cohere/command-r-plus": "COHERE_API_KEY",
}


@pytest.mark.parametrize("model", NEEDS)
def test_the_error_for_a_missing_key_comes_before_anything_is_sent(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    for name in (*NEEDS.values(), "GOOGLE_API_KEY", "OR_API_KEY", "CO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    result = reader.read(Agent(model_name=model, print_on=False))
    assert type(result.error) is MissingKeyError
    assert NEEDS[model] in str(result.error)
    assert result.stream.state == "failed"


def test_the_error_for_an_unsupported_parameter_says_what_to_do(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    error = reader.read(agent_on(SERVICES["cohere"], simulator, reasoning_effort="high")).error
    assert type(error) is UnsupportedRequestError
    assert "drop_params" in str(error)
    assert bodies(simulator) == []
    options = {"reasoning_effort": "high", "llm_args": {"drop_params": True}}
    assert reader.read(agent_on(SERVICES["cohere"], simulator, **options)).error is None


# --- secrets --------------------------------------------------------------------------------------------------------

SECRET = [service for service in SERVICES.values() if service.options.get("llm_api_key", KEY) is not None]


@pytest.mark.parametrize("service", SECRET, ids=lambda service: str(service.model))
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 401, "body": {"error": {"message": f"bad key {KEY}", "code": KEY}}},
        {"kind": "status", "status": 400, "body": f"<p>{KEY}"},
        {"kind": "error", "after": 1, "error": {"message": f"bad key {KEY}", "type": "authentication_error"}},
        {"kind": "redirect", "location": f"http://127.0.0.1:1/?key={KEY}"},
        {"kind": "raw", "body": f"<html>{KEY}</html>", "content_type": "text/html"},
        {"kind": "raw", "body": f"data: {{{KEY}\n\n"},
    ],
    ids=lambda fault: str(fault["kind"]),
)
def test_no_key_is_in_an_error(simulate: Simulate, reader: Reader, service: Service, fault: dict[str, Any]) -> None:
    error = reader.read(agent_on(service, simulate(fault=fault), tools=[])).error
    assert isinstance(error, StreamError)
    assert_no_key_in(error)


def test_no_key_is_in_the_error_for_a_request_that_cannot_be_built(reader: Reader) -> None:
    agent = agent_at("http://127.0.0.1:1", model_name="cohere/command-r-plus", llm_api_key=KEY, reasoning_effort="high")
    error = reader.read(agent).error
    assert isinstance(error, ConfigurationError)
    assert_no_key_in(error)
    assert KEY not in repr(agent)
