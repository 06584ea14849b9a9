"""The catalogue of providers: all properties of each provider that headrace uses, one row per provider."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

__all__ = [
    "CACHE_APART",
    "CATALOG",
    "Family",
    "Provider",
    "canonical",
    "has_mistrals_rules",
    "key_names",
    "plain_reasoning",
    "provider_named",
    "reasoning_family",
    "reasoning_form",
]

Family: TypeAlias = Literal["anthropic", "gemini", "openai_responses", "openai_chat"]
"""Providers that accept each other's signed reasoning, named by its form; see ``_conversation.reasoning``."""


class Provider(NamedTuple):
    """The properties of one provider.

    Attributes:
        name: Its name in front of a model's name, as litellm names providers.
        is_captured: litellm's requests for it can be captured completely and exactly, so that the engine can send them.
            The contract tests check it.
        speaks_openai: Its endpoints speak OpenAI's chat dialect, at any URL.
        is_server: The prefix names the kind of server, and is not part of the model's name on that server.
        is_keyless: It is usually the user's own server, which needs no API key.
        is_local: It runs on the user's machine, so its price of 0.0 means "free".
        takes_openai_key: OpenAI's API key and URL in the environment may be used for it.
        key_variables: The environment variables of its API key and related settings, if litellm does not name them, or
            names others than it reads; None if litellm names them.
        other_keys: More environment variables in which litellm looks for its API key, besides ``NAME_API_KEY``.
        family: The form of its signed reasoning; None if it accepts none back.
        claude_family: The form of signed reasoning for the Claude models that it serves.
        marks_cache: Its models need marks in the request to cache a prompt (Anthropic's ``cache_control``): all of
            them, or only Claude. None if none does.
        listed_as: Its name in litellm's price list; None if that is ``name``.
        is_gateway: It forwards requests: its models are listed under the names of other providers.
        steps_include: The higher price for long prompts already applies to a prompt of exactly the limit's length.
        cached_share: The price of cached tokens as a fraction of the input price, if the list has no such price.
        counts_cache_apart: Its count of input tokens does not include cached tokens.
        counts_reasoning_apart: For Gemini models, its count of output tokens does not include the reasoning.
        states_cost: Its usage reports the cost of the request, in USD.
        plain_reasoning: The reasoning of a turn with tool calls goes back as ``reasoning_content``: ``"demanded"``,
            ``"taken"``, or ``"refused"``. None if that is not known: it goes back only to an endpoint that is known by
            its URL.
        reasoning_form: How its OpenAI-compatible endpoint takes reasoning settings; see
            ``_providers/reasoning_settings.py``. None for OpenAI's own form, ``reasoning_effort``.
        mistrals_rules: It checks conversations by Mistral's rules, which are stricter than OpenAI's.
    """

    name: str
    is_captured: bool = True
    speaks_openai: bool = True
    is_server: bool = False
    is_keyless: bool = False
    is_local: bool = False
    takes_openai_key: bool = False
    key_variables: tuple[str, ...] | None = None
    other_keys: tuple[str, ...] = ()
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
    plain_reasoning: Literal["demanded", "taken", "refused"] | None = None
    reasoning_form: Literal["openrouter", "switch", "qwen", "anthropic"] | None = None
    mistrals_rules: bool = False


_GOOGLE: Final = ("GOOGLE_APPLICATION_CREDENTIALS",)
_AWS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

_ROWS: Final = (
    Provider("ai21_chat", other_keys=("AI21_API_KEY",), listed_as="ai21"),
    Provider(
        "anthropic",
        speaks_openai=False,
        family="anthropic",
        claude_family="anthropic",
        marks_cache="always",
        counts_cache_apart=True,
        reasoning_form="anthropic",
    ),
    Provider("anthropic_text", is_captured=False, speaks_openai=False, listed_as="anthropic"),
    Provider("apertis", key_variables=("STIMA_API_KEY",)),
    Provider("azure", speaks_openai=False, takes_openai_key=True, family="openai_responses"),
    Provider("azure_ai", speaks_openai=False, key_variables=("AZURE_AI_API_KEY",), claude_family="anthropic"),
    Provider("azure_text", is_captured=False, listed_as="azure"),
    Provider("bedrock", speaks_openai=False, claude_family="anthropic", marks_cache="claude", counts_cache_apart=True),
    # "property … is unsupported": https://github.com/Kilo-Org/kilocode/issues/10375
    Provider("cerebras", plain_reasoning="refused"),
    Provider("cloudflare", key_variables=("CLOUDFLARE_API_KEY", "CLOUDFLARE_ACCOUNT_ID")),
    Provider("codestral", mistrals_rules=True, plain_reasoning="refused"),
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
    Provider("dashscope", reasoning_form="qwen"),
    Provider("deepseek", plain_reasoning="demanded", reasoning_form="switch"),
    Provider("docker_model_runner", is_server=True, is_local=True),
    Provider("featherless_ai", other_keys=("FEATHERLESS_API_KEY",)),
    Provider("fireworks_ai", other_keys=("FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY"), cached_share=0.5),
    Provider("friendliai", other_keys=("FRIENDLI_TOKEN",)),
    Provider(
        "gemini",
        speaks_openai=False,
        key_variables=("GEMINI_API_KEY",),
        family="gemini",
        counts_reasoning_apart=True,
        plain_reasoning="refused",
    ),
    Provider("github", is_gateway=True),
    # "property 'reasoning_content' is unsupported": https://github.com/janhq/jan/issues/8136
    Provider("groq", plain_reasoning="refused"),
    Provider("huggingface", other_keys=("HF_TOKEN",)),
    Provider("hosted_vllm", is_server=True, is_keyless=True, is_local=True, plain_reasoning="taken"),
    Provider("lambda_ai", key_variables=("LAMBDA_API_KEY",)),
    Provider("lemonade", is_captured=False, is_local=True),
    Provider("litellm_proxy", is_server=True, is_keyless=True, is_gateway=True, reasoning_form="anthropic"),
    Provider("llamafile", is_server=True, is_keyless=True, is_local=True),
    Provider("lm_studio", is_server=True, is_keyless=True, is_local=True),
    Provider("meta_llama", key_variables=("LLAMA_API_KEY",)),
    Provider("minimax", plain_reasoning="taken"),
    Provider("mistral", mistrals_rules=True, plain_reasoning="refused"),
    Provider("moonshot", plain_reasoning="demanded", reasoning_form="switch"),
    Provider("nadir", is_gateway=True),
    Provider("nano-gpt", key_variables=("NANOGPT_API_KEY",)),
    Provider("ollama", speaks_openai=False, is_keyless=True, is_local=True),
    Provider("ollama_chat", speaks_openai=False, is_keyless=True, is_local=True, listed_as="ollama"),
    Provider("oobabooga", is_captured=False, is_keyless=True, is_local=True),
    Provider("openai", is_server=True, takes_openai_key=True, family="openai_responses", plain_reasoning="refused"),
    Provider("openai_like", is_captured=False, is_server=True, is_keyless=True, takes_openai_key=True),
    Provider(
        "openrouter",
        other_keys=("OR_API_KEY",),
        family="openai_chat",
        states_cost=True,
        reasoning_form="openrouter",
    ),
    Provider("palm", is_captured=False, speaks_openai=False),
    Provider("perplexity", other_keys=("PERPLEXITYAI_API_KEY",), states_cost=True),
    Provider("replicate", is_captured=False, speaks_openai=False),
    Provider("sagemaker", is_captured=False, speaks_openai=False),
    Provider("sagemaker_chat", speaks_openai=False, key_variables=_AWS),
    Provider("scaleway", key_variables=("SCW_SECRET_KEY",)),
    Provider("scx-ai", key_variables=("SCX_API_KEY",)),
    Provider("tensormesh", key_variables=("TENSORMESH_INFERENCE_API_KEY",)),
    Provider("text-completion-codestral", is_captured=False, other_keys=("CODESTRAL_API_KEY",), listed_as="codestral"),
    Provider("text-completion-openai", is_captured=False, takes_openai_key=True, listed_as="openai"),
    Provider("together_ai", other_keys=("TOGETHERAI_API_KEY", "TOGETHER_API_KEY")),
    Provider("vercel_ai_gateway", other_keys=("VERCEL_OIDC_TOKEN",)),
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
    Provider("volcengine", other_keys=("ARK_API_KEY",)),
    Provider("watsonx", speaks_openai=False, key_variables=("WATSONX_API_KEY", "WATSONX_URL", "WATSONX_PROJECT_ID")),
    Provider("watsonx_text", is_captured=False, speaks_openai=False),
    Provider("xai", steps_include=True),
    Provider("xiaomi_mimo", plain_reasoning="taken"),
    Provider("xinference", is_server=True, is_keyless=True, is_local=True, key_variables=()),
    Provider("zai", plain_reasoning="taken", reasoning_form="switch"),
)

_ORDINARY: Final = (  # noqa: SIM905 — with one name per line it would fill a page
    "aiml amazon_nova assemblyai baseten charity_engine chutes clarifai cognition compactifai cortecs "
    "darkbloom deepinfra empower galadriel helicone heroku hyperbolic inception libertai maritalk "
    "meta modelscope morph nebius neosantara novita nscale nvidia_nim ovhcloud parasail pinstripes poe prism "
    "publicai qwen_ai_platform qwencloud reka sail sambanova synthetic tencent v0 wandb"
).split()
"""Providers that have the default properties."""

CATALOG: Final = {row.name: row for row in (*_ROWS, *map(Provider, _ORDINARY))}
"""All providers by name."""

CACHE_APART: Final = tuple(row.name for row in _ROWS if row.counts_cache_apart)
"""Prefixes of the names, in the price list, of providers whose count of input tokens does not include cached ones."""

# The price list has several names for each of these, by kinds of models, such as "vertex_ai-language-models".
_SPLIT: Final = ("bedrock", "vertex_ai", "fireworks_ai")


def provider_named(name: str) -> Provider:
    """The provider of that name. For a name that is not in the catalogue, a provider that cannot be captured."""
    return CATALOG.get(name) or Provider(name, is_captured=False)


def canonical(name: str) -> str:
    """The main name of a provider that has several, in litellm's price list or in names of models."""
    for main in _SPLIT:
        if name.startswith(main):
            return main
    return provider_named(name).listed_as or name


def key_names(provider: str) -> tuple[str, ...]:
    """The environment variables in which the API key of a provider may be, for an endpoint at a URL of the user's.

    Args:
        provider: The provider in front of the model's name; empty for a name without one.

    Returns:
        The variables; the first one that is set counts. OpenAI's for a provider that takes its key, for a name without
        a provider, and for one that is not in the catalogue, which is then part of the model's name at its server.
    """
    row = CATALOG.get(provider)
    if row is None or row.takes_openai_key:
        return ("OPENAI_API_KEY",)
    if row.key_variables is not None:
        # The others, if there are any, are related settings.
        return row.key_variables[:1]
    return (f"{row.name.upper().replace('-', '_')}_API_KEY", *row.other_keys)


def reasoning_family(provider: str, model: str) -> Family | None:
    """The family whose signed reasoning a model accepts.

    Args:
        provider: The provider that serves the model.
        model: The model's name.

    Returns:
        The family; None if the model accepts no signed reasoning.
    """
    row = provider_named(provider)
    return (row.claude_family if "claude" in model else None) or row.family


_HOSTS: Final = {
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "api.openai.com": "openai",
    "api.z.ai": "zai",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope.aliyuncs.com": "dashscope",
    "generativelanguage.googleapis.com": "gemini",
    "open.bigmodel.cn": "zai",
    "openrouter.ai": "openrouter",
}
"""Providers that want reasoning or its settings in a way of their own, by the hosts of their URLs."""


def _provider_at(provider: str, url: str | None) -> Provider:
    """The provider at a URL: by its host if that is known, else by the name in front of the model's."""
    host = ""
    with contextlib.suppress(ValueError):  # whoever sends the request reports a URL that is none
        host = urlsplit(url or "").hostname or ""
    return provider_named(_HOSTS.get(host) or provider)


def reasoning_form(
    provider: str, url: str | None = None
) -> Literal["openrouter", "switch", "qwen", "anthropic"] | None:
    """How an OpenAI-compatible endpoint takes reasoning settings; see ``Provider.reasoning_form``.

    Args:
        provider: The provider that serves the model.
        url: The URL of the endpoint, if it was given.
    """
    return _provider_at(provider, url).reasoning_form


@lru_cache(maxsize=256)
def plain_reasoning(provider: str, url: str | None = None) -> Literal["demanded", "taken", "refused"] | None:
    """What a provider does with plain reasoning in a request; see ``Provider.plain_reasoning``.

    Args:
        provider: The provider that serves the model.
        url: The URL of the endpoint, if it was given.
    """
    host = ""
    with contextlib.suppress(ValueError):  # whoever sends the request reports a URL that is none
        host = urlsplit(url or "").hostname or ""
    if host.endswith(".openai.azure.com"):
        return "refused"
    named = _HOSTS.get(host)
    if named is None and url is not None and provider_named(provider).is_server:
        return None
    return provider_named(named or provider).plain_reasoning


_MISTRALS: Final = re.compile("(?:mis|minis|magis|codes|devs)tral|(?:mix|pix|vox)tral", re.IGNORECASE)
"""In the names of Mistral's models, whoever serves them: vLLM checks with Mistral's own library (mistral-common)."""


@lru_cache(maxsize=256)
def has_mistrals_rules(provider: str, model: str, url: str | None = None) -> bool:
    """Whether a model's conversations are checked by Mistral's rules. What obeys them, every other model takes too.

    Args:
        provider: The provider that serves the model.
        model: The model's name.
        url: The URL of an endpoint that is not the provider's own.
    """
    return provider_named(provider).mistrals_rules or any(map(_MISTRALS.search, (model, url or "")))
