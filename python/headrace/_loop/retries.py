"""Asks the same model again after an error, and then the fallback models."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from headrace.errors import (
    ConnectionFailedError,
    EmptyAnswerError,
    MissingKeyError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamError,
    StreamTimeoutError,
    TruncatedError,
)
from headrace.events import Fallback, Retry

from .answers import empty_answer, is_empty
from .effects import Loop, OpenTurn, Sleep, ask, emit

if TYPE_CHECKING:
    from headrace.types import Turn

    from .spec import AgentSpec

__all__ = ["ask_with_retries"]

_log = logging.getLogger("headrace.retries")

_RETRYABLE: Final = (
    ConnectionFailedError,
    EmptyAnswerError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamTimeoutError,
    TruncatedError,
)
"""Errors after which the same request may succeed."""

_MAX_RETRY_AFTER: Final = 600.0
"""The longest ``retry_after``, in seconds, that we wait for if there is no budget."""


def ask_with_retries(spec: AgentSpec, effect: OpenTurn) -> Loop[Turn]:
    """Asks the agent's model, and then its fallback models.

    If the caller has seen tokens of an answer, there is no other attempt, unless the policy says to resume.

    Raises:
        EmptyAnswerError: The last answer says nothing, and the agent does not allow that.
    """
    policy = spec.retries
    began = policy.clock()
    for other in policy.fallbacks:
        try:
            return (yield from _ask_one_model(spec, effect, began))
        except (StreamError, MissingKeyError) as error:
            if _was_seen(error) and not policy.resumes:
                raise
            _log.warning("%s failed, and %s is asked instead: %s", effect.call.settings.model, other.model, error)
            yield emit(Fallback, effect.call.settings.model, other.model, str(error), agent=spec.name)
            resumed = effect.resumed or _was_seen(error)
            effect = effect._replace(call=replace(effect.call, settings=other), resumed=resumed)
    return (yield from _ask_one_model(spec, effect, began))


def _ask_one_model(spec: AgentSpec, effect: OpenTurn, began: float) -> Loop[Turn]:
    """Asks one model, and asks it again after a retryable error."""
    policy = spec.retries
    attempt = 0
    while True:
        try:
            return (yield from _ask_once(spec, effect))
        except StreamError as error:
            if not _may_pass(error):
                raise
            wait = error.retry_after
            if wait is None:
                wait = policy.interval * 2.0**attempt
            elif policy.budget is None and wait > _MAX_RETRY_AFTER:
                raise
            # Resuming gets one attempt even if the policy has no retries.
            attempts = max(policy.attempts, 1) if error.delivered else policy.attempts
            is_late = policy.budget is not None and policy.clock() - began + wait > policy.budget
            if attempt >= attempts or is_late or (error.delivered and not policy.resumes):
                raise
            effect = effect._replace(resumed=effect.resumed or error.delivered)
            model = effect.call.settings.model
            _log.info("%s failed, and is asked again in %.1f s: %s", model, wait, error)
            yield emit(Retry, model, str(error), error.status, attempt + 2, wait, agent=spec.name)
        attempt += 1
        yield Sleep(wait)


def _ask_once(spec: AgentSpec, effect: OpenTurn) -> Loop[Turn]:
    """Asks once. An answer that says nothing is an error, unless the agent allows it."""
    turn = yield from ask(effect)
    if is_empty(turn) and not (spec.allow_empty or effect.continues):
        settings = effect.call.settings
        raise empty_answer(turn, settings.model, settings.parameters.get("max_tokens"))
    return turn


def _may_pass(error: StreamError) -> bool:
    """Whether the same request may succeed: by what the provider says, or else by the kind of error."""
    return isinstance(error, _RETRYABLE) if error.should_retry is None else error.should_retry


def _was_seen(error: Exception) -> bool:
    return isinstance(error, StreamError) and error.delivered
