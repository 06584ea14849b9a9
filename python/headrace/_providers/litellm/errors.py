"""litellm's exceptions as ours. Its classes are told by their names, so that nothing here imports it."""

from __future__ import annotations

import email.utils
import math
import time
from typing import TYPE_CHECKING, Any, Final

from headrace import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.types import ModelSettings

__all__ = ["said", "translated", "without"]

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

_BY_STATUS: Final[Mapping[int, type[errors.StreamError]]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    429: errors.RateLimitError,
    503: errors.OverloadedError,
    529: errors.OverloadedError,
}
"""What a status means, where litellm's class means no more than that it was wrong."""


def translated(error: BaseException, settings: ModelSettings, provider: str) -> BaseException:
    """Litellm's exception as ours, with its own as the cause; anything else as it is."""
    if type(error).__name__ == "MidStreamFallbackError":
        # Only says that it came from a stream; what was wrong, it brings along.
        original = getattr(error, "original_exception", None)
        error = original if isinstance(original, Exception) else error
    names = {base.__name__ for base in type(error).__mro__ if base.__module__.startswith(("litellm", "openai"))}
    ours = next((ours for theirs, ours in _CLASSES.items() if theirs in names), None)
    if ours is None:
        return error
    status: Any = getattr(error, "status_code", None)
    if ours in {errors.ProviderError, errors.BadRequestError}:
        ours = _BY_STATUS.get(status, errors.ServerError if status in range(500, 600) else ours)
    told = ours(
        f"{provider} by litellm: {said(error, settings)}",
        # For what was no answer of the provider's, litellm makes a status up.
        status=status if issubclass(ours, errors.ProviderError) else None,
        retry_after=_retry_after(error),
        model=settings.model,
        provider=provider,
    )
    told.__cause__ = error
    return told


def said(error: BaseException, settings: ModelSettings) -> str:
    """What an exception of litellm's says, without the traceback that some bring, and without the key."""
    return without(str(error).partition("\nTraceback")[0], settings.api_key)


def without(text: str, secret: str | None) -> str:
    """A text without a secret."""
    return text.replace(secret, "***") if secret else text


def _retry_after(error: BaseException) -> float | None:
    """How many seconds the provider asks to wait. litellm keeps the headers here or there."""
    response: Any = getattr(error, "response", None)
    headers: Any = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    told = {str(name).lower(): str(value) for name, value in dict(headers).items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        seconds = _seconds(told.get(name, ""))
        if seconds is not None:
            return seconds * unit
    return None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
        return max(seconds, 0.0)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
