"""From a model's name to the request that asks it.

Three ways, the first that fits:

1. ``llm=``: the caller's own function or object answers; see ``_fallback``.
2. An OpenAI-compatible endpoint that is known by its URL: the request is built here, without litellm; see ``_plain``.
3. Whatever litellm can name: litellm builds the request, and we send it; see ``_litellm``. Where it cannot be had
   without sending it, litellm's own stream is read instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import openai_compatible
from .requests import FedRequest, PreparedRequest

if TYPE_CHECKING:
    from headrace.types import ModelCall

__all__ = ["FedRequest", "PreparedRequest", "prepare", "prepare_at_once"]


def prepare(call: ModelCall) -> PreparedRequest | FedRequest:
    """Builds the request for one turn. May take seconds, the first time: not for an event loop's thread.

    Args:
        call: The model and the conversation.

    Returns:
        The request.

    Raises:
        MissingKeyError: The provider needs a key, and there is none.
        ConfigurationError: The model's name leads nowhere, or the request cannot be built.
    """
    settings = call.settings
    if settings.llm is not None:
        from . import feeder

        return feeder.from_llm(settings.llm, call)
    if openai_compatible.is_plain(settings):
        return openai_compatible.request(call)
    from .litellm import build

    return build.request(call)


def prepare_at_once(call: ModelCall) -> PreparedRequest | FedRequest | None:
    """Builds the request, if that takes no time.

    Args:
        call: The model and the conversation.

    Returns:
        The request; None where :func:`prepare` has to be called, in another thread.

    Raises:
        MissingKeyError: The provider needs a key, and there is none.
        ConfigurationError: The request cannot be built.
    """
    settings = call.settings
    if settings.llm is not None:
        return prepare(call)
    if openai_compatible.is_plain(settings):
        # A local model's server may have to load it first.
        is_local = settings.base_url is None and settings.model.startswith("local/")
        return None if is_local else openai_compatible.request(call)
    from .litellm import templates

    return templates.filled(call)
