"""The catalogue of providers: all that headrace knows of each by its name, one row a provider."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["CACHE_APART", "CATALOG", "Family", "Provider", "canonical", "provider_named", "reasoning_family"]

Family: TypeAlias = Literal["anthropic", "gemini", "openai_responses", "openai_chat"]
"""Providers that take back each other's signed reasoning, by whose form it has; see ``_conversation.reasoning``."""


class Provider(NamedTuple):
    """What is known of one provider.

    Attributes:
        name: Its name in front of a model's, as litellm names providers.
        is_captured: litellm's requests for it are captured whole and exactly, so that our engine can send them. The
            contract tests hold it.
        speaks_openai: An endpoint of its kind speaks OpenAI's chat dialect at whatever URL.
        is_server: The name says which kind of server is asked, and is not part of the model's name there.
        is_keyless: It is mostly a server of one's own, which wants no key.
        is_local: It runs on one's own machine: its price of 0.0 means that it is free.
        takes_openai_key: OpenAI's key and URL may be meant for it.
        key_variables: The environment variables of its key and what goes with it, where litellm does not name them or
            names others than it reads; None where it does.
        family: Whose form its signed reasoning has; None where it takes none back.
        claude_family: The same for Claude models that it serves.
        marks_cache: Prompts are cached up to marks in the request (Anthropic's ``cache_control``) for all its models,
            or for Claude only.
        listed_as: Its name in litellm's price list, where that is another one.
        is_gateway: It passes requests on: what it is asked for is listed under other providers' names.
        steps_include: A higher price for long prompts begins with that many tokens, not above them.
        cached_share: The price of cached tokens as a share of the input's, where the list has none.
        counts_cache_apart: Its count of input tokens is without the cached ones.
        counts_reasoning_apart: Its count of a Gemini's output tokens is without the reasoning.
        states_cost: Its usage says what the request cost, in USD.
    """

    name: str
    is_captured: bool = True
    speaks_openai: bool = True
    is_server: bool = False
    is_keyless: bool = False
    is_local: bool = False
    takes_openai_key: bool = False
    key_variables: tuple[str, ...] | None = None
    family: Family | None = None
    claude_family: Family | None = None
    marks_cache: Literal["always", "claude"] | None = None
    listed_as: str | None = None
    is_gateway: bool = False
    steps_include: bool = False
    cached_share: float = 1.0
    counts_cache_apart: bool = False
    counts_reasoning_apart: bool = False
    states_cost: bool = False


_GOOGLE: Final = ("GOOGLE_APPLICATION_CREDENTIALS",)
_AWS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

_ROWS: Final = (
    Provider("ai21_chat", listed_as="ai21"),
    Provider(
        "anthropic",
        speaks_openai=False,
        family="anthropic",
        claude_family="anthropic",
        marks_cache="always",
        counts_cache_apart=True,
    ),
    Provider("anthropic_text", is_captured=False, speaks_openai=False, listed_as="anthropic"),
    Provider("apertis", key_variables=("STIMA_API_KEY",)),
    Provider("azure", speaks_openai=False, takes_openai_key=True, family="openai_responses"),
    Provider("azure_ai", speaks_openai=False, key_variables=("AZURE_AI_API_KEY",), claude_family="anthropic"),
    Provider("azure_text", is_captured=False, listed_as="azure"),
    Provider("bedrock", speaks_openai=False, claude_family="anthropic", marks_cache="claude", counts_cache_apart=True),
    Provider("cloudflare", key_variables=("CLOUDFLARE_API_KEY", "CLOUDFLARE_ACCOUNT_ID")),
    Provider("cohere", speaks_openai=False),
    Provider("cohere_chat", speaks_openai=False, key_variables=("COHERE_API_KEY",), listed_as="cohere"),
    Provider("cometapi", key_variables=("COMETAPI_KEY",)),
    Provider("custom_openai", is_server=True, is_keyless=True, takes_openai_key=True),
    Provider(
        "databricks",
        key_variables=("DATABRICKS_API_KEY", "DATABRICKS_API_BASE"),
        claude_family="anthropic",
        marks_cache="claude",
    ),
    Provider("datarobot", key_variables=("DATAROBOT_API_TOKEN",)),
    Provider("docker_model_runner", is_server=True, is_local=True),
    Provider("fireworks_ai", cached_share=0.5),
    Provider(
        "gemini", speaks_openai=False, key_variables=("GEMINI_API_KEY",), family="gemini", counts_reasoning_apart=True
    ),
    Provider("github", is_gateway=True),
    Provider("hosted_vllm", is_server=True, is_keyless=True, is_local=True),
    Provider("lambda_ai", key_variables=("LAMBDA_API_KEY",)),
    Provider("lemonade", is_captured=False, is_local=True),
    Provider("litellm_proxy", is_server=True, is_keyless=True, is_gateway=True),
    Provider("llamafile", is_server=True, is_keyless=True, is_local=True),
    Provider("lm_studio", is_server=True, is_keyless=True, is_local=True),
    Provider("meta_llama", key_variables=("LLAMA_API_KEY",)),
    Provider("nadir", is_gateway=True),
    Provider("nano-gpt", key_variables=("NANOGPT_API_KEY",)),
    Provider("ollama", speaks_openai=False, is_keyless=True, is_local=True),
    Provider("ollama_chat", speaks_openai=False, is_keyless=True, is_local=True, listed_as="ollama"),
    Provider("oobabooga", is_captured=False, is_keyless=True, is_local=True),
    Provider("openai", is_server=True, takes_openai_key=True, family="openai_responses"),
    Provider("openai_like", is_captured=False, is_server=True, is_keyless=True, takes_openai_key=True),
    Provider("openrouter", family="openai_chat", states_cost=True),
    Provider("palm", is_captured=False, speaks_openai=False),
    Provider("perplexity", states_cost=True),
    Provider("replicate", is_captured=False, speaks_openai=False),
    Provider("sagemaker", is_captured=False, speaks_openai=False),
    Provider("sagemaker_chat", speaks_openai=False, key_variables=_AWS),
    Provider("scaleway", key_variables=("SCW_SECRET_KEY",)),
    Provider("scx-ai", key_variables=("SCX_API_KEY",)),
    Provider("tensormesh", key_variables=("TENSORMESH_INFERENCE_API_KEY",)),
    Provider("text-completion-codestral", is_captured=False, listed_as="codestral"),
    Provider("text-completion-openai", is_captured=False, listed_as="openai"),
    Provider(
        "vertex_ai",
        speaks_openai=False,
        key_variables=_GOOGLE,
        family="gemini",
        claude_family="anthropic",
        marks_cache="claude",
        counts_reasoning_apart=True,
    ),
    Provider("vertex_ai-anthropic_models", is_captured=False, counts_cache_apart=True),
    Provider("vertex_ai_beta", speaks_openai=False, key_variables=_GOOGLE, family="gemini"),
    Provider("vllm", is_captured=False, is_local=True),
    Provider("watsonx", speaks_openai=False, key_variables=("WATSONX_API_KEY", "WATSONX_URL", "WATSONX_PROJECT_ID")),
    Provider("watsonx_text", is_captured=False, speaks_openai=False),
    Provider("xai", steps_include=True),
    Provider("xinference", is_server=True, is_keyless=True, is_local=True, key_variables=()),
)

_ORDINARY: Final = (  # noqa: SIM905 — one name a line would be a page
    "aiml amazon_nova assemblyai baseten cerebras charity_engine chutes clarifai codestral cognition "
    "compactifai cortecs darkbloom dashscope deepinfra deepseek empower featherless_ai friendliai galadriel "
    "groq helicone heroku huggingface hyperbolic inception libertai maritalk meta minimax mistral modelscope "
    "moonshot morph nebius neosantara novita nscale nvidia_nim ovhcloud parasail pinstripes poe prism publicai "
    "qwen_ai_platform qwencloud reka sail sambanova synthetic tencent together_ai v0 vercel_ai_gateway "
    "volcengine wandb xiaomi_mimo zai"
).split()
"""Providers of whom no more is to be said than that their requests are captured."""

CATALOG: Final = {row.name: row for row in (*_ROWS, *map(Provider, _ORDINARY))}
"""All providers by name."""

CACHE_APART: Final = tuple(row.name for row in _ROWS if row.counts_cache_apart)
"""What the names of providers begin with that count cached tokens apart, as the price list writes them."""

# Providers that the price list splits up by kinds of models. What is paid is the same.
_SPLIT: Final = ("bedrock", "vertex_ai", "fireworks_ai")


def provider_named(name: str) -> Provider:
    """What is known of a provider; of one that is not in the catalogue, nothing but its name."""
    return CATALOG.get(name) or Provider(name, is_captured=False)


def canonical(name: str) -> str:
    """The one name of a provider that litellm's price list, or a model's name, has several for."""
    for whole in _SPLIT:
        if name.startswith(whole):
            return whole
    return provider_named(name).listed_as or name


def reasoning_family(provider: str, model: str) -> Family | None:
    """Whose signed reasoning a model takes back.

    Args:
        provider: Who serves it.
        model: Its name.

    Returns:
        The family; None where the model takes none back.
    """
    row = provider_named(provider)
    return (row.claude_family if "claude" in model else None) or row.family
