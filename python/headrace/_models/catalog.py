"""Which wire a provider speaks: by the URL of the request, and what that means for what goes into it."""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["NATIVE", "dialect_of", "family_of", "keyless"]

NATIVE: Final = frozenset(
    (  # noqa: SIM905 — one name a line would be a page
        "ai21_chat aiml amazon_nova anthropic apertis assemblyai azure azure_ai baseten bedrock cerebras "
        "charity_engine chutes clarifai cloudflare codestral cognition cohere cohere_chat cometapi compactifai "
        "cortecs custom_openai darkbloom dashscope databricks datarobot deepinfra deepseek docker_model_runner "
        "empower featherless_ai fireworks_ai friendliai galadriel gemini github groq helicone heroku hosted_vllm "
        "huggingface hyperbolic inception lambda_ai libertai litellm_proxy llamafile lm_studio maritalk meta "
        "meta_llama minimax mistral modelscope moonshot morph nadir nano-gpt nebius neosantara novita nscale "
        "nvidia_nim ollama ollama_chat openai openrouter ovhcloud parasail perplexity pinstripes poe "
        "prism publicai qwen_ai_platform qwencloud reka sagemaker_chat sail sambanova scaleway scx-ai synthetic "
        "tencent tensormesh together_ai v0 vercel_ai_gateway vertex_ai vertex_ai_beta volcengine wandb watsonx xai "
        "xiaomi_mimo xinference zai"
    ).split()
)
"""Providers whose requests were seen to be captured whole and exactly: ``tests/python/test_seam.py`` holds it."""

_PATHS: Final = (
    (re.compile(r"/chat/completions/?$"), "openai_chat"),
    (re.compile(r"/responses$"), "openai_responses"),
    (re.compile(r"/messages$"), "anthropic"),
    (re.compile(r":streamGenerateContent$"), "gemini"),
    (re.compile(r"/publishers/anthropic/.*:streamRawPredict$"), "anthropic"),
    (re.compile(r"/publishers/.*:streamRawPredict$"), "openai_chat"),
    (re.compile(r"/v2/chat$"), "cohere"),
    (re.compile(r"/converse-stream$|/invoke-with-response-stream$|/invocations-response-stream$"), "bedrock"),
    (re.compile(r"/api/chat$|/api/generate$"), "ollama"),
    (re.compile(r"/chat_stream$"), "openai_chat"),
)

_STREAMS_BY_URL: Final = re.compile(
    r":streamGenerateContent$|:streamRawPredict$|/converse-stream$|/invoke-with-response-stream$|/chat_stream$"
)

_KEYLESS: Final = frozenset(
    {
        "custom_openai",
        "hosted_vllm",
        "litellm_proxy",
        "llamafile",
        "lm_studio",
        "ollama",
        "ollama_chat",
        "oobabooga",
        "openai_like",
        "xinference",
    }
)


def dialect_of(url: str, body: bytes) -> str | None:
    """The dialect in which a request will be answered.

    Args:
        url: The request's URL.
        body: Its body.

    Returns:
        The dialect's name; None if it is not ours, or if the answer will not be a stream.
    """
    path = urlsplit(url).path
    dialect = next((dialect for pattern, dialect in _PATHS if pattern.search(path)), None)
    if dialect is None or b"json_tool_call" in body:
        # litellm's stand-in for structured output: only it knows how to read the answer.
        return None
    if _STREAMS_BY_URL.search(path):
        return dialect
    document: Any = json.loads(body)
    return dialect if document.get("stream") is True else None


def family_of(provider: str, model: str) -> str | None:
    """Whose signed reasoning a provider takes back; see ``_reasoning.FAMILIES``."""
    is_claude = "claude" in model
    if provider == "anthropic" or (is_claude and provider in {"bedrock", "vertex_ai", "azure_ai", "databricks"}):
        return "anthropic"
    if provider in {"gemini", "vertex_ai", "vertex_ai_beta"}:
        return "gemini"
    if provider in {"openai", "azure"}:
        return "openai_responses"
    return "openai_chat" if provider == "openrouter" else None


def keyless(provider: str) -> bool:
    """Whether a provider is mostly a server of one's own, that wants no key."""
    return provider in _KEYLESS
