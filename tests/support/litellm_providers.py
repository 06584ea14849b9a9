"""The providers whose requests are captured: one line for each way to ask one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = "dummy-key-0123456789"

_DEFAULT: Final = ("tools", "limits")


@dataclass(frozen=True)
class Provider:
    """How to ask a provider.

    ``conversations`` are names in ``CONVERSATIONS``. ``side_requests`` are the paths of requests that litellm makes
    besides the one to the model: for the model's capabilities, for its location, for a token. ``needs`` is a package
    that litellm needs. ``called`` is the provider's name if the model's name does not begin with it. ``since`` is the
    first version of litellm that asks in this way, if the oldest allowed one does not: it needs another package, or
    uses another URL.
    """

    model: str
    dialect: str = "openai_chat"
    conversations: tuple[str, ...] = _DEFAULT
    key: str | None = KEY
    base_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    side_requests: tuple[str, ...] = ()
    needs: str | None = None

    called: str | None = None
    since: tuple[int, int] = (1, 84)

    @property
    def name(self) -> str:
        """What litellm calls the provider."""
        return self.called or self.model.partition("/")[0]


_NEWER: Final = (1, 106)

_AWS: Final = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_REGION_NAME": "us-east-1",
}
_GOOGLE: Final = {"vertex_project": "a-project", "vertex_location": "us-central1"}
_AZURE: Final = "https://somebody.openai.azure.com"
_FOUNDRY: Final = "https://somebody.services.ai.azure.com"
_OWN_SERVER: Final = "http://models.invalid/v1"


def _bedrock(model: str, *conversations: str) -> Provider:
    return Provider(model, "bedrock", conversations, key=None, environment=_AWS)


def _vertex(model: str, dialect: str, *conversations: str, since: tuple[int, int] = (1, 84)) -> Provider:
    return Provider(model, dialect, conversations, key=None, parameters=_GOOGLE, needs="google.auth", since=since)


def _server(name: str) -> Provider:
    """A server that users run themselves. Its URL is in the environment: with llm_base_url litellm is not used."""
    return Provider(f"{name}/some-model", environment={f"{name.upper()}_API_BASE": _OWN_SERVER})


_ORDINARY: Final = (  # noqa: SIM905 — one name a line would be a page
    "ai21_chat aiml amazon_nova baseten cerebras codestral cometapi compactifai dashscope datarobot deepinfra "
    "docker_model_runner empower friendliai galadriel github hyperbolic inception lambda_ai maritalk "
    "meta_llama minimax modelscope moonshot nebius novita nvidia_nim ovhcloud qwen_ai_platform qwencloud sail "
    "tencent vercel_ai_gateway volcengine wandb zai"
).split()
"""Providers at a URL that litellm knows, with tools for any model."""

_WITHOUT_TOOLS: Final = (  # noqa: SIM905 — one name a line would be a page
    "apertis assemblyai charity_engine chutes cognition cortecs darkbloom helicone libertai meta morph nadir "
    "nano-gpt neosantara nscale parasail pinstripes poe prism publicai reka sambanova scaleway scx-ai "
    "synthetic tensormesh v0 xiaomi_mimo"
).split()
"""The same, but litellm refuses tools for models that it does not know."""

PROVIDERS: Final[tuple[Provider, ...]] = (
    *(Provider(f"{name}/some-model") for name in _ORDINARY),
    *(Provider(f"{name}/some-model", conversations=("text", "tools nevertheless")) for name in _WITHOUT_TOOLS),
    *(_server(name) for name in ("hosted_vllm", "litellm_proxy", "llamafile", "lm_studio")),
    *(Provider(f"{name}/some-model", parameters={"api_base": _OWN_SERVER}) for name in ("custom_openai", "xinference")),
    Provider("openai/gpt-4o", conversations=("limits",)),
    Provider("openai/gpt-5-mini", conversations=("effort",)),
    Provider("openai/o3-mini", conversations=("effort",)),
    Provider("gpt-4o", conversations=(*_DEFAULT, "image", "schema"), called="openai"),
    Provider(
        "openai/responses/gpt-5-mini",
        "openai_responses",
        ("text", "tools", "image", "schema", "effort", "signed by openai"),
    ),
    Provider(
        "azure/a-deployment",
        conversations=(*_DEFAULT, "image", "schema"),
        base_url=_AZURE,
        parameters={"api_version": "2024-10-21"},
    ),
    Provider(
        "azure/responses/gpt-5-mini",
        "openai_responses",
        ("text", "tools"),
        base_url=_AZURE,
        parameters={"api_version": "2025-03-01-preview"},
    ),
    Provider("azure_ai/mistral-large", base_url=_FOUNDRY),
    Provider("azure_ai/claude-sonnet-4-5", "anthropic", (*_DEFAULT, "image", "signed by anthropic"), base_url=_FOUNDRY),
    Provider(
        "anthropic/claude-sonnet-4-5", "anthropic", (*_DEFAULT, "image", "schema", "effort", "signed by anthropic")
    ),
    Provider("anthropic/claude-3-haiku-20240307", "anthropic"),
    Provider("gemini/gemini-2.5-flash", "gemini", (*_DEFAULT, "image", "schema", "effort", "signed by gemini")),
    Provider("gemini/gemini-3-pro-preview", "gemini", (*_DEFAULT, "effort", "signed by gemini")),
    _vertex("vertex_ai/gemini-2.5-flash", "gemini", *_DEFAULT, "image", "schema", "effort", "signed by gemini"),
    _vertex("vertex_ai_beta/gemini-2.5-flash", "gemini", *_DEFAULT),
    _vertex("vertex_ai/claude-sonnet-4-5@20250929", "anthropic", *_DEFAULT, "signed by anthropic", since=_NEWER),
    _vertex("vertex_ai/meta/llama-3.3-70b-instruct-maas", "openai_chat", *_DEFAULT, since=_NEWER),
    _vertex("vertex_ai/mistral-large@2411-001", "openai_chat", *_DEFAULT, since=_NEWER),
    _bedrock("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", *_DEFAULT, "image"),
    _bedrock("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", *_DEFAULT, "effort", "signed by anthropic"),
    _bedrock("bedrock/us.amazon.nova-lite-v1:0", *_DEFAULT, "image"),
    _bedrock("bedrock/meta.llama3-1-70b-instruct-v1:0", *_DEFAULT),
    _bedrock("bedrock/invoke/anthropic.claude-3-5-sonnet-20240620-v1:0", *_DEFAULT, "image"),
    _bedrock("bedrock/invoke/us.amazon.nova-lite-v1:0", *_DEFAULT),
    _bedrock("bedrock/invoke/mistral.mistral-7b-instruct-v0:2", "limits"),
    Provider(
        "bedrock/us.amazon.nova-pro-v1:0",
        "bedrock",
        key=None,
        environment={"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_REGION_NAME": "us-east-1"},
    ),
    Provider("sagemaker_chat/an-endpoint", "bedrock", key=None, environment=_AWS),
    Provider("clarifai/openai.chat-completion.gpt-4o"),
    Provider(
        "cloudflare/@cf/meta/llama-3.1-8b-instruct", environment={"CLOUDFLARE_ACCOUNT_ID": "an-account"}, since=_NEWER
    ),
    Provider("cohere/some-model", "cohere"),
    Provider("cohere_chat/command-r-plus", "cohere"),
    Provider(
        "databricks/databricks-claude-sonnet-4-5",
        environment={"DATABRICKS_API_BASE": "https://somebody.cloud.databricks.com/serving-endpoints"},
        conversations=(*_DEFAULT, "effort"),
    ),
    Provider(
        "databricks/databricks-meta-llama-3-3-70b-instruct",
        environment={"DATABRICKS_API_BASE": "https://somebody.cloud.databricks.com/serving-endpoints"},
    ),
    Provider("deepseek/deepseek-chat"),
    Provider("featherless_ai/some-model", conversations=("limits",)),
    Provider("deepseek/deepseek-reasoner", conversations=("text", "tools")),
    Provider("fireworks_ai/accounts/fireworks/models/llama-v3p3-70b-instruct", conversations=(*_DEFAULT, "schema")),
    Provider("groq/llama-3.3-70b-versatile"),
    Provider("groq/openai/gpt-oss-120b", conversations=("text", "effort")),
    Provider("heroku/claude-4-sonnet", environment={"HEROKU_API_BASE": "https://us.inference.heroku.com"}),
    Provider(
        "huggingface/together/deepseek-ai/DeepSeek-R1", side_requests=("/config.json", "/deepseek-ai/DeepSeek-R1")
    ),
    Provider("huggingface/meta-llama/Llama-3.1-8B-Instruct", side_requests=("/config.json",)),
    Provider("mistral/mistral-large-latest", conversations=(*_DEFAULT, "image", "schema")),
    Provider("mistral/magistral-medium-latest", conversations=("text", "effort")),
    Provider("ollama/llama3.1", "ollama", ("limits",), key=None, side_requests=("/api/show",)),
    Provider("ollama/llava", "ollama", ("image",), key=None, side_requests=("/api/show",), since=_NEWER),
    Provider("ollama_chat/llama3.1", "ollama", (*_DEFAULT, "image", "schema"), key=None, side_requests=("/api/show",)),
    Provider(
        "openrouter/anthropic/claude-sonnet-4.5", conversations=(*_DEFAULT, "image", "effort", "signed by openrouter")
    ),
    Provider("perplexity/sonar-pro", conversations=("limits", "schema")),
    Provider("together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    Provider(
        "watsonx/ibm/granite-3-3-8b-instruct",
        environment={
            "WATSONX_URL": "https://us-south.ml.cloud.ibm.com",
            "WATSONX_PROJECT_ID": "a-project",
            "WATSONX_TOKEN": "a-token",
        },
    ),
    Provider("xai/grok-4", conversations=("text", "tools", "limits", "image")),
)
