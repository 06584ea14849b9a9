"""From a model call to the request that asks the model.

There are three ways; the first that fits is taken:

1. ``llm=``: the caller's own function or object answers; see ``feeder``.
2. An OpenAI-compatible endpoint that is known by its URL: the request is built here, without litellm; see
   ``openai_compatible``.
3. Whatever litellm can name: litellm builds the request, and our engine sends it; see ``litellm/build``. Where the
   request cannot be had without sending it, litellm's own stream is read instead, by ``feeder``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from . import openai_compatible

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.types import ModelCall

    from .requests import FedRequest, PreparedRequest

__all__ = ["Preparation", "preparation"]


class Preparation(NamedTuple):
    """The way that was chosen for a call.

    Attributes:
        request: Builds the request.
        blocks: Building may take seconds: not for the thread of an event loop.
    """

    request: Callable[[], PreparedRequest | FedRequest]
    blocks: bool


def preparation(call: ModelCall) -> Preparation:
    """Chooses the way for one call, which takes no time.

    Args:
        call: The model and the conversation.

    Returns:
        The way. Its ``request`` raises ``MissingKeyError`` where the provider needs a key and there is none, and
        ``ConfigurationError`` where the model's name leads nowhere or the request cannot be built.
    """
    settings = call.settings
    if settings.llm is not None:
        from . import feeder

        return Preparation(partial(feeder.from_llm, settings.llm, call), blocks=False)
    if openai_compatible.serves(settings):
        # A local model's server may have to load it first.
        is_local = settings.base_url is None and settings.model.startswith("local/")
        return Preparation(partial(openai_compatible.request, call), blocks=is_local)
    from .litellm import templates

    filled = templates.filled(call)
    if filled is not None:
        return Preparation(lambda: filled, blocks=False)
    return Preparation(partial(_build, call), blocks=True)


def _build(call: ModelCall) -> PreparedRequest | FedRequest:
    from .litellm import build

    return build.request(call)
