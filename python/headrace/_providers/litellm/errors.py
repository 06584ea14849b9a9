"""litellm's exceptions as ours. We recognize them by the names of their classes, and so do not import litellm here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace import _native, errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.types import ModelSettings

__all__ = ["message_of", "translated"]

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
"""Our exception for each of litellm's; subclasses before their base classes."""


def translated(error: BaseException, settings: ModelSettings, provider: str) -> BaseException:
    """Our exception for one of litellm's, which becomes its cause. Other exceptions are returned unchanged."""
    if type(error).__name__ == "MidStreamFallbackError":
        # litellm wraps the errors of streams in this one.
        original = getattr(error, "original_exception", None)
        error = original if isinstance(original, Exception) else error
    names = {base.__name__ for base in type(error).__mro__ if base.__module__.startswith(("litellm", "openai"))}
    ours = next((ours for theirs, ours in _CLASSES.items() if theirs in names), None)
    if ours is None:
        return error
    if ours is errors.ConnectionFailedError and _is_bug(error.__cause__ or error.__context__):
        ours = errors.InternalError
    status: Any = getattr(error, "status_code", None)
    if ours in {errors.ProviderError, errors.BadRequestError} and isinstance(status, int):
        # litellm's class is a general one; the status is more specific.
        ours = _native.error_class_of_status(status) or ours
    translation = ours(
        f"{provider} by litellm: {message_of(error, settings)}",
        # Without an answer of the provider, litellm invents a status.
        status=status if issubclass(ours, errors.ProviderError) else None,
        retry_after=_retry_after(error, issubclass(ours, errors.RateLimitError)),
        model=settings.model,
        provider=provider,
    )
    translation.__cause__ = error
    return translation


def _is_bug(cause: BaseException | None) -> bool:
    """Whether litellm's error about a connection hides a mistake in code: it wraps whatever it does not know."""
    bugs = (TypeError, AttributeError, LookupError, NameError, AssertionError, NotImplementedError, RecursionError)
    return isinstance(cause, bugs)


def message_of(error: BaseException, settings: ModelSettings) -> str:
    """The message of a litellm exception, without the traceback that some contain, and with the key masked."""
    message = str(error).partition("\nTraceback")[0]
    return message.replace(settings.api_key, "***") if settings.api_key else message


def _retry_after(error: BaseException, limited: bool) -> float | None:
    """How many seconds the provider asks us to wait. litellm keeps the response's headers in one of two places."""
    response: Any = getattr(error, "response", None)
    headers: Any = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    return _native.retry_after([(str(name), str(value)) for name, value in dict(headers).items()], limited)
