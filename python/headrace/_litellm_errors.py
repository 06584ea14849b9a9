"""litellm's exceptions as ours. Its classes are told by their names, so that nothing here imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .types import ModelSettings

__all__ = ["translated", "without"]

_CLASSES: Final[Mapping[str, type[errors.StreamError]]] = {
    "ContextWindowExceededError": errors.ContextWindowExceededError,
    "ContentPolicyViolationError": errors.ContentPolicyViolationError,
    "AuthenticationError": errors.AuthenticationError,
    "PermissionDeniedError": errors.PermissionDeniedError,
    "NotFoundError": errors.NotFoundError,
    "RateLimitError": errors.RateLimitError,
    "ServiceUnavailableError": errors.OverloadedError,
    "BadGatewayError": errors.ServerError,
    "InternalServerError": errors.ServerError,
    "Timeout": errors.IdleTimeoutError,
    "APIConnectionError": errors.ConnectionFailedError,
    "UnprocessableEntityError": errors.BadRequestError,
    "BadRequestError": errors.BadRequestError,
    "APIError": errors.ProviderError,
}
"""litellm's exceptions, those that are special cases of others first."""


def translated(error: BaseException, settings: ModelSettings, provider: str) -> BaseException:
    """Litellm's exception as ours, with its own as the cause; anything else as it is."""
    names = {base.__name__ for base in type(error).__mro__ if base.__module__.startswith(("litellm", "openai"))}
    ours = next((ours for theirs, ours in _CLASSES.items() if theirs in names), None)
    if ours is None:
        return error
    told = ours(
        f"{provider} by litellm: {without(str(error), settings.api_key)}",
        status=getattr(error, "status_code", None),
        model=settings.model,
        provider=provider,
    )
    told.__cause__ = error
    return told


def without(text: str, secret: str | None) -> str:
    """A text without a secret."""
    return text.replace(secret, "***") if secret else text
