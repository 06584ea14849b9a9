"""From a model call to the request for the model.

There are three ways; the first that fits is used:

1. ``llm=``: the caller's own function or object answers; see ``feeder``.
2. An OpenAI-compatible endpoint that is known by its URL: the request is built here, without litellm; see
   ``openai_compatible``.
3. Every other model that litellm knows: litellm builds the request, and our engine sends it; see ``litellm/build``. If
   the request cannot be captured, ``feeder`` reads litellm's own stream instead.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import ConfigurationError

from . import openai_compatible

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.types import ModelCall

    from .requests import FedRequest, PreparedRequest

__all__ = ["Preparation", "checked_key", "preparation"]


class Preparation(NamedTuple):
    """How the request for a call will be built.

    Attributes:
        request: Builds the request.
        blocks: Whether building may take seconds, so that it must not run in the thread of an event loop.
    """

    request: Callable[[], PreparedRequest | FedRequest]
    blocks: bool


def preparation(call: ModelCall) -> Preparation:
    """Chooses how to build the request for one call. This does not block.

    Args:
        call: The model and the conversation.

    Returns:
        The preparation. Its ``request`` raises ``MissingKeyError`` if the provider needs a key and there is none, and
        ``ConfigurationError`` if no provider is known for the model's name or the request cannot be built.
    """
    settings = call.settings
    if settings.key_source is not None:
        # Whoever gives the key may ask a server for it.
        return Preparation(lambda: preparation(_with_key(call)).request(), blocks=True)
    if settings.llm is not None:
        from . import feeder

        return Preparation(partial(feeder.from_llm, settings.llm, call), blocks=False)
    if openai_compatible.serves(settings):
        # The server of a local model may have to load the model first.
        is_local = settings.base_url is None and settings.model.startswith("local/")
        return Preparation(partial(openai_compatible.request, call), blocks=is_local)
    from .litellm import templates

    filled = templates.fill(call)
    if filled is not None:
        return Preparation(lambda: filled, blocks=False)
    return Preparation(partial(_build, call), blocks=True)


def _with_key(call: ModelCall) -> ModelCall:
    """The call, with the key that the caller's function gives for it."""
    source = call.settings.key_source
    key = source() if source is not None else None
    if hasattr(key, "__await__"):
        raise ConfigurationError("llm_api_key: the function is async; give one that returns the key")
    settings = replace(call.settings, api_key=checked_key(key), key_source=None)
    return replace(call, settings=settings)


def checked_key(given: object) -> str | None:
    """A key as text: of a string, of bytes, or of pydantic's ``SecretStr``.

    Args:
        given: The key; None for none.

    Raises:
        ConfigurationError: It is something else, or could not be sent. The message does not contain it.
    """
    reveal = getattr(given, "get_secret_value", None)
    if callable(reveal):
        given = reveal()
    if isinstance(given, bytes | bytearray):
        given = given.decode("latin-1")
    if given is None or isinstance(given, str):
        if given and not given.isprintable():
            raise ConfigurationError("llm_api_key contains a line break or another character that no key has")
        return given
    raise ConfigurationError(f"llm_api_key must be a string or a function that returns one, not {type(given).__name__}")


def _build(call: ModelCall) -> PreparedRequest | FedRequest:
    from .litellm import build

    return build.request(call)
