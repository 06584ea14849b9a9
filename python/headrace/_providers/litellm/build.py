"""What litellm knows, for us: it builds requests for whatever it can name, and we send them.

The only module that imports litellm, and it does so when it is first needed: that takes seconds.
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

from headrace._conversation.reasoning import with_reasoning_for
from headrace._models.catalog import provider_named, reasoning_family
from headrace._providers import feeder
from headrace._providers.caching import cached
from headrace._providers.dialects import dialect_of
from headrace._providers.requests import FedRequest, PreparedRequest, encoded
from headrace.errors import ConfigurationError, MissingKeyError

from . import keys, templates
from .capture import Captured, Returned, capture, install, watch
from .errors import said, translated

if TYPE_CHECKING:
    from types import ModuleType

    from headrace.types import ModelCall, ModelSettings, Timeouts

__all__ = ["load", "request"]

_lock = threading.Lock()


def load() -> ModuleType:
    """Imports litellm with everything off that would reach for the network, and stands the guard."""
    with _lock:
        # Else it fetches its price list when it is imported, and a list of headers when Claude is first asked for JSON.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
        try:
            import litellm
        except ImportError as error:
            raise ConfigurationError(f"this model needs litellm, which cannot be imported: {error}") from error
        settings: Any = litellm
        settings.suppress_debug_info = True
        # Else each chunk of its own streams is a job for a hundred threads.
        settings.disable_streaming_logging = True
        # Else it downloads a tokenizer where a stream tells no usage.
        settings.disable_hf_tokenizer_download = True
        install()
        return litellm


def request(call: ModelCall) -> PreparedRequest | FedRequest:
    """Builds the request for one turn.

    Args:
        call: The model and the conversation.

    Returns:
        The request; or litellm's own stream of its answer, where the request cannot be had without sending it or the
        answer comes in a dialect that is not ours.

    Raises:
        MissingKeyError: The provider needs a key, and there is none.
        ConfigurationError: litellm does not know the model's provider, or refuses to build the request.
    """
    # Of many calls that wait for a thread, all but the first find here what that one has learnt meanwhile.
    framed = templates.filled(call)
    if framed is not None:
        return framed
    litellm: Any = load()
    provider = _provider(litellm, call.settings)
    arguments = _arguments(call, provider)
    # A mock answer is litellm's own, and so are mock errors.
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
    messages = with_reasoning_for(call.messages, reasoning_family(provider, settings.model))
    tools: list[Any] = list(call.tools)
    if settings.prompt_caching:
        messages, tools = cached(messages, tools, provider, settings.model)
    arguments: dict[str, Any] = {
        "model": settings.model,
        # litellm writes into what it is given.
        "messages": copy.deepcopy(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "api_key": settings.api_key,
        "api_base": settings.base_url,
        "extra_headers": dict(settings.headers) or None,
        "timeout": _longest(settings.timeouts),
        # Trying again is the loop's business.
        "num_retries": 0,
        "max_retries": 0,
        # Else 1.106 wants the package mcp for every tool.
        "_skip_mcp_handler": True,
        **copy.deepcopy(dict(settings.parameters)),
    }
    if tools:
        arguments["tools"] = copy.deepcopy(tools)
        arguments["tool_choice"] = call.tool_choice
    return {name: value for name, value in arguments.items() if value is not None}


def _longest(timeouts: Timeouts) -> float | None:
    """How long litellm may wait for anything; the stream watches each phase by itself."""
    phases = (timeouts.first_token, timeouts.idle)
    return None if None in phases else max(phase for phase in phases if phase is not None)


def _build(litellm: Any, call: ModelCall, provider: str, arguments: dict[str, Any]) -> PreparedRequest | None:
    """The request as litellm would send it; None where that is not what we can read the answer of."""

    def complete() -> Any:
        stream = litellm.completion(**arguments)
        # Gemini and Vertex build theirs when the stream is first read.
        if getattr(stream, "completion_stream", stream) is None and getattr(stream, "make_call", None) is not None:
            stream.fetch_sync_stream()
        return stream

    try:
        captured = capture(complete)
    except Exception as error:
        raise _cannot_build(litellm, error, call.settings, provider) from error
    captured = _with_stream(litellm, captured, provider)
    if not isinstance(captured, Captured):
        # A stream that was made in another way, such as one from litellm's cache, is not read twice.
        close = getattr(captured.value, "close", None)
        if close is not None:
            close()
        return None
    url, headers = captured.url, captured.headers
    if keys.is_astray(url, provider):
        raise ConfigurationError(f"nothing tells where {call.settings.model!r} is: pass llm_base_url=…")
    if keys.sends_openai_key_elsewhere(headers, call.settings, provider):
        raise _missing_key(litellm, call.settings, provider)
    dialect = dialect_of(url, captured.body)
    if dialect is None:
        return None
    if not keys.has_key(url, headers) and not provider_named(provider).is_keyless:
        raise _missing_key(litellm, call.settings, provider)
    return PreparedRequest(url, _headers(captured), captured.body, dialect, provider)


def _with_stream(litellm: Any, captured: Captured | Returned, provider: str) -> Captured | Returned:
    """A request for OpenAI's responses asks for a stream also where litellm does not know the model.

    Of such models it thinks that they cannot stream, and makes a stream of the whole answer, which repeats the
    arguments of tool calls. Of those few that cannot, it knows so.
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
    except Exception:  # noqa: BLE001 — that is how it says so
        return False
    return True


def _headers(captured: Captured) -> list[tuple[str, str]]:
    """The headers that are the provider's; those of the connection are our client's own."""
    signed = any(name.startswith("x-amz-") for name, _ in captured.headers)
    ours = {"host", "content-length", "accept-encoding", "connection", "user-agent", "transfer-encoding"}
    return [
        (name, value)
        for name, value in captured.headers
        if name.lower() not in ours and (signed or not name.lower().startswith("x-stainless-"))
    ]


def _cannot_build(litellm: Any, error: Exception, settings: ModelSettings, provider: str) -> ConfigurationError:
    if settings.api_key is None and keys.is_about_a_key(error):
        return _missing_key(litellm, settings, provider)
    hint = ""
    if type(error).__name__ == "UnsupportedParamsError":
        hint = (
            "; llm_args={'drop_params': True} leaves out what the model does not take, "
            "{'allowed_openai_params': ['tools', …]} sends it nevertheless"
        )
    # Some of litellm's messages bring their traceback, or what its proxy's owner can do.
    reason = re.split(r"\nTraceback|\. To drop", said(error, settings))[0]
    return ConfigurationError(f"the request for {settings.model!r} cannot be built: {reason}{hint}")


def _missing_key(litellm: Any, settings: ModelSettings, provider: str) -> MissingKeyError:
    names = keys.variables(litellm, settings.model, provider)
    what = "the environment variable" if len(names) == 1 else "the environment variables"
    where = f"set {what} {', '.join(names)} or " if names else ""
    return MissingKeyError(f"no API key for {settings.model!r}: {where}pass llm_api_key=…")
