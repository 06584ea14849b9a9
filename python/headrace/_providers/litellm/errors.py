"""litellm's exceptions as ours. Its classes are recognised by their names, so that nothing here imports litellm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace import _native, errors

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
"""litellm's exceptions, subclasses before their base classes."""


def translated(error: BaseException, settings: ModelSettings, provider: str) -> BaseException:
    """A litellm exception as ours, with the original as its cause; anything else unchanged."""
    if type(error).__name__ == "MidStreamFallbackError":
        # A wrapper that only says that the error came from a stream.
        original = getattr(error, "original_exception", None)
        error = original if isinstance(original, Exception) else error
    names = {base.__name__ for base in type(error).__mro__ if base.__module__.startswith(("litellm", "openai"))}
    ours = next((ours for theirs, ours in _CLASSES.items() if theirs in names), None)
    if ours is None:
        return error
    status: Any = getattr(error, "status_code", None)
    if ours in {errors.ProviderError, errors.BadRequestError} and isinstance(status, int):
        # litellm's class is a general one: the status says more.
        ours = _native.error_class_of_status(status) or ours
    translation = ours(
        f"{provider} by litellm: {said(error, settings)}",
        # litellm makes up a status for what was not an answer of the provider.
        status=status if issubclass(ours, errors.ProviderError) else None,
        retry_after=_retry_after(error, issubclass(ours, errors.RateLimitError)),
        model=settings.model,
        provider=provider,
    )
    translation.__cause__ = error
    return translation


def said(error: BaseException, settings: ModelSettings) -> str:
    """The message of a litellm exception, without the traceback that some contain, and without the key."""
    return without(str(error).partition("\nTraceback")[0], settings.api_key)


def without(text: str, secret: str | None) -> str:
    """A text with a secret blacked out."""
    return text.replace(secret, "***") if secret else text


def _retry_after(error: BaseException, limited: bool) -> float | None:
    """How many seconds the provider asks to wait. litellm keeps the headers in either of two places."""
    response: Any = getattr(error, "response", None)
    headers: Any = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    return _native.retry_after([(str(name), str(value)) for name, value in dict(headers).items()], limited)
