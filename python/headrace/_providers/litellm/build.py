"""Requests that litellm builds and our engine sends.

This is the only module that imports litellm. It does so when litellm is first needed, because that takes seconds.
"""

from __future__ import annotations

import copy
import json
import os
import re
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from headrace._conversation.legal import legal_messages
from headrace._conversation.reasoning import with_reasoning_for
from headrace._models.catalog import has_mistrals_rules, plain_reasoning, provider_named, reasoning_family
from headrace._providers import feeder
from headrace._providers.caching import with_cache_marks
from headrace._providers.dialects import dialect_of
from headrace._providers.requests import FedRequest, PreparedRequest, encoded
from headrace.errors import ConfigurationError, MissingKeyError, UnsupportedRequestError

from . import keys, templates
from .capture import Captured, Returned, capture, install, watch
from .errors import message_of, translated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from headrace.types import ModelCall, ModelSettings, Timeouts

__all__ = ["load", "request"]

_lock = threading.Lock()


def load() -> ModuleType:
    """Imports litellm, switches off what would use the network, and installs the guard."""
    with _lock:
        # Otherwise it downloads its price list when it is imported, and a list of headers when Claude is first asked
        # for JSON.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
        try:
            import litellm
        except ImportError as error:
            raise ConfigurationError(f"this model needs litellm, which cannot be imported: {error}") from error
        settings: Any = litellm
        settings.suppress_debug_info = True
        # Otherwise it queues a logging job on a pool of a hundred threads for each chunk of its own streams.
        settings.disable_streaming_logging = True
        # Otherwise it downloads a tokenizer if a stream has no usage.
        settings.disable_hf_tokenizer_download = True
        install()
        return litellm


def request(call: ModelCall) -> PreparedRequest | FedRequest:
    """Builds the request for one turn.

    Args:
        call: The model and the conversation.

    Returns:
        The request; or, for the fed lane, litellm's own stream if the request cannot be captured or we have no decoder
        for the dialect of its answer.

    Raises:
        MissingKeyError: The provider needs a key, and there is none.
        ConfigurationError: litellm does not know the model's provider, or refuses to build the request.
    """
    # When many calls start at once, another call may have learned the template while this one waited for its thread.
    filled = templates.fill(call)
    if filled is not None:
        return filled
    litellm: Any = load()
    provider = _provider(litellm, call.settings)
    arguments = _arguments(call, provider)
    # Mock answers and mock errors come from litellm itself: there is no request to capture.
    if provider_named(provider).is_captured and "mock_response" not in call.settings.parameters:
        built = _build(litellm, call, provider, arguments)
        if built is not None:
            templates.learn(call, built, lambda other: _build(litellm, other, provider, _arguments(other, provider)))
            return built
    return feeder.from_stream(
        f"{provider} by litellm",
        lambda: litellm.completion(**arguments),
        partial(translated, settings=call.settings, provider=provider),
        provider,
        watch=watch,
    )


def _provider(litellm: Any, settings: ModelSettings) -> str:
    named = settings.parameters.get("custom_llm_provider")
    try:
        return cast("str", litellm.get_llm_provider(settings.model, named, settings.base_url, settings.api_key)[1])
    except Exception as error:
        raise ConfigurationError(
            f"no provider is known for the model {settings.model!r}: write 'PROVIDER/NAME' as litellm names them "
            "(such as 'anthropic/claude-sonnet-4-5' or 'gemini/gemini-2.5-flash'), 'local/NAME', "
            "or give llm_base_url=… for an OpenAI-compatible endpoint"
        ) from error


def _arguments(call: ModelCall, provider: str) -> dict[str, Any]:
    settings = call.settings
    # First the reasoning, because it names the calls by the ids that the model gave them.
    plain = plain_reasoning(provider, settings.base_url)
    messages = with_reasoning_for(
        call.messages,
        reasoning_family(provider, settings.model),
        plain=plain in {"taken", "demanded"},
        demanded=plain == "demanded",
    )
    messages = legal_messages(messages, mistral=has_mistrals_rules(provider, settings.model))
    tools: list[Any] = list(call.tools)
    if settings.prompt_caching:
        messages, tools = with_cache_marks(messages, tools, provider, settings.model)
    arguments: dict[str, Any] = {
        "model": settings.model,
        # A copy, because litellm changes its arguments.
        "messages": copy.deepcopy(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "api_key": settings.api_key,
        "api_base": settings.base_url,
        "extra_headers": _as_litellm_writes_them(settings.headers) or None,
        "timeout": _longest_wait(settings.timeouts),
        # Retries are made by the loop.
        "num_retries": 0,
        "max_retries": 0,
        # Otherwise litellm 1.106 needs the package mcp for every tool.
        "_skip_mcp_handler": True,
        **copy.deepcopy(dict(settings.parameters)),
    }
    if tools:
        arguments["tools"] = copy.deepcopy(tools)
        arguments["tool_choice"] = call.tool_choice
    return {name: value for name, value in arguments.items() if value is not None}


def _as_litellm_writes_them(headers: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers, with the spelling of ``Authorization`` by which litellm's own one is replaced by it."""
    return {"Authorization" if name.lower() == "authorization" else name: value for name, value in headers.items()}


def _with_authorization(headers: list[tuple[str, str]], given: Mapping[str, str]) -> list[tuple[str, str]]:
    """The headers of a request, with the caller's ``Authorization`` instead of any other."""
    own = [("authorization", value) for name, value in given.items() if name.lower() == "authorization"]
    return [header for header in headers if header[0].lower() != "authorization"] + own if own else headers


def _longest_wait(timeouts: Timeouts) -> float | None:
    """The longest that litellm may wait for data; the stream applies each timeout by itself."""
    limits = (timeouts.first_token, timeouts.idle)
    return None if None in limits else max(limit for limit in limits if limit is not None)


def _build(litellm: Any, call: ModelCall, provider: str, arguments: dict[str, Any]) -> PreparedRequest | None:
    """The request as litellm would send it; None if there is none, or if we cannot read its answer."""

    def complete() -> Any:
        stream = litellm.completion(**arguments)
        # For Gemini and Vertex, litellm builds the request when the stream is first read.
        if getattr(stream, "completion_stream", stream) is None and getattr(stream, "make_call", None) is not None:
            stream.fetch_sync_stream()
        return stream

    try:
        captured = capture(complete)
    except Exception as error:
        raise _cannot_build(litellm, error, call.settings, provider) from error
    captured = _with_stream(litellm, captured, provider)
    if not isinstance(captured, Captured):
        # litellm made a stream without a request to a model, such as one from its cache. The fed lane makes its own.
        close = getattr(captured.value, "close", None)
        if close is not None:
            close()
        return None
    captured = replace(captured, headers=_with_authorization(captured.headers, call.settings.headers))
    url, headers = captured.url, captured.headers
    if keys.goes_to_openai_by_mistake(url, provider):
        raise ConfigurationError(f"no URL is known for {call.settings.model!r}: pass llm_base_url=…")
    if keys.sends_openai_key_elsewhere(headers, call.settings, provider):
        raise _missing_key(litellm, call.settings, provider)
    dialect = dialect_of(url, captured.body)
    if dialect is None:
        return None
    if not keys.has_key(url, headers) and not provider_named(provider).is_keyless:
        raise _missing_key(litellm, call.settings, provider)
    return PreparedRequest(url, _headers(captured), captured.body, dialect, provider)


def _with_stream(litellm: Any, captured: Captured | Returned, provider: str) -> Captured | Returned:
    """Makes a request to OpenAI's responses API ask for a stream, if litellm does not know the model.

    litellm assumes that a model it does not know cannot stream: it asks for the whole answer, and makes a stream of it
    that repeats the arguments of tool calls. It knows the few models that really cannot stream.
    """
    if not isinstance(captured, Captured) or not urlsplit(captured.url).path.endswith("/responses"):
        return captured
    document: dict[str, Any] = json.loads(captured.body)
    if "stream" in document or _knows(litellm, document.get("model", ""), provider):
        return captured
    return replace(captured, body=encoded({**document, "stream": True}))


def _knows(litellm: Any, model: str, provider: str) -> bool:
    try:
        litellm.get_model_info(model, provider)
    except Exception:  # noqa: BLE001 — this is how litellm reports an unknown model
        return False
    return True


def _headers(captured: Captured) -> list[tuple[str, str]]:
    """The headers for the provider. Our own HTTP client writes those of the connection."""
    signed = any(name.startswith("x-amz-") for name, _ in captured.headers)
    by_our_client = {"host", "content-length", "accept-encoding", "connection", "user-agent", "transfer-encoding"}
    return [
        (name, value)
        for name, value in captured.headers
        if name.lower() not in by_our_client and (signed or not name.lower().startswith("x-stainless-"))
    ]


def _cannot_build(litellm: Any, error: Exception, settings: ModelSettings, provider: str) -> ConfigurationError:
    if settings.api_key is None and keys.is_about_a_key(error):
        return _missing_key(litellm, settings, provider)
    hint, kind = "", ConfigurationError
    if type(error).__name__ == "UnsupportedParamsError":
        kind = UnsupportedRequestError
        hint = (
            "; llm_args={'drop_params': True} leaves out what the model does not take, "
            "{'allowed_openai_params': ['tools', …]} sends it nevertheless"
        )
    # Some of litellm's messages contain a traceback, or advice for the owner of a litellm proxy.
    reason = re.split(r"\nTraceback|\. To drop", message_of(error, settings))[0]
    return kind(f"the request for {settings.model!r} cannot be built: {reason}{hint}")


def _missing_key(litellm: Any, settings: ModelSettings, provider: str) -> MissingKeyError:
    names = keys.variables(litellm, settings.model, provider)
    what = "the environment variable" if len(names) == 1 else "the environment variables"
    where = f"set {what} {', '.join(names)} or " if names else ""
    return MissingKeyError(f"no API key for {settings.model!r}: {where}pass llm_api_key=…")
