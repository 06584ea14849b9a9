"""The cost of a request: the prices of an entry in the price list, times the tokens that each price applies to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from .catalog import CACHE_APART, provider_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.types import Usage

    from .price_list import Listed

__all__ = ["Prices", "Tokens", "bill", "count", "prices_of"]

# The list's names of the prices of one token.
_INPUT: Final = "input_cost_per_token"
_OUTPUT: Final = "output_cost_per_token"
_REASONING: Final = "output_cost_per_reasoning_token"
_READ: Final = "cache_read_input_token_cost"
_WRITE: Final = "cache_creation_input_token_cost"
_WRITE_HOUR: Final = "cache_creation_input_token_cost_above_1hr"
_NAMES: Final = (_INPUT, _OUTPUT, _REASONING, _READ, _WRITE, _WRITE_HOUR)
_STEP: Final = re.compile(rf"({'|'.join(_NAMES)})_above_(\d+)(k?)_tokens")

_TICK: Final = 1e-10  # USD; xAI reports costs in ticks


class Prices(NamedTuple):
    """Prices in USD per token. None means "not in the list".

    Attributes:
        input: Tokens of the prompt.
        output: Tokens of the answer.
        reasoning: Tokens of the reasoning.
        cached: Prompt tokens that are read from a cache.
        write: Prompt tokens that are written to a cache, for its default of some minutes.
        write_hour: Prompt tokens that are written to a cache for an hour.
    """

    input: float | None = None
    output: float | None = None
    reasoning: float | None = None
    cached: float | None = None
    write: float | None = None
    write_hour: float | None = None


def prices_of(listed: Listed, prompt_tokens: int = 1, at: datetime | None = None) -> Prices:
    """The prices of a model.

    Args:
        listed: The model.
        prompt_tokens: The length of the prompt: some models cost more per token for long prompts.
        at: The time of the request: some models have off-peak prices. None for the usual prices.

    Returns:
        The prices. All are None if the list has only 0.0, and the model does not run on the user's machine.
    """
    entry = listed.entry
    prices = _prices_in(entry)
    for step in _steps(entry, prompt_tokens, included=provider_named(listed.provider).steps_include):
        _overlay(prices, step)
    off_peak = _mapping(entry.get("off_peak_pricing"))
    if at is not None and off_peak is not None and _is_off_peak(off_peak, at):
        _overlay(prices, _prices_in(off_peak))
    # The list's 0.0 means "free" or "unknown". It is certain to mean "free" only for models on the user's machine.
    if not provider_named(listed.provider).is_local and not any(prices.values()):
        return Prices()
    return Prices(*(prices.get(name) for name in _NAMES))


def _prices_in(entry: Mapping[str, Any]) -> dict[str, float]:
    return {name: price for name in _NAMES if (price := _number(entry.get(name))) is not None}


def _overlay(prices: dict[str, float], changed: dict[str, float]) -> None:
    if _OUTPUT in changed:
        prices.pop(_REASONING, None)  # it belongs to the output price that is replaced
    prices |= changed


def _steps(entry: Mapping[str, Any], prompt_tokens: int, *, included: bool) -> list[dict[str, float]]:
    """The prices that change for a prompt of this length, ordered by the length from which they apply."""
    ranges = [tier for each in _sequence(entry.get("tiered_pricing")) if _INPUT in (tier := _mapping(each) or {})]
    if ranges:
        ranges.sort(key=lambda tier: tier["range"][0])
        return [_prices_in(next((tier for tier in ranges if prompt_tokens <= tier["range"][1]), ranges[-1]))]
    steps: dict[int, dict[str, float]] = {}
    for name, value in entry.items():
        if (found := _STEP.fullmatch(name)) is None or (price := _number(value)) is None:
            continue
        limit = int(found[2]) * (1000 if found[3] else 1)
        if prompt_tokens > limit or (included and prompt_tokens == limit):
            steps.setdefault(limit, {})[found[1]] = price
    return [steps[limit] for limit in sorted(steps)]


# --- off-peak hours ----------------------------------------------------------------------------------------------


def _is_off_peak(rules: Mapping[str, Any], at: datetime) -> bool:
    at = at.astimezone(timezone.utc)
    every_day: Mapping[str, Any] = {"hours_utc": rules.get("hours_utc")}
    for window in (every_day, *_sequence(rules.get("windows"))):
        days = window.get("weekdays")
        if days is not None and at.astimezone(_zone(rules.get("weekday_timezone"))).isoweekday() not in days:
            continue
        hours = window.get("hours_utc")
        if any(_is_within(span, at.time()) for span in ([hours] if isinstance(hours, str) else _sequence(hours))):
            return True
    return False


def _is_within(span: str, now: time) -> bool:
    """Whether a time of day is in a span such as ``"16:30-00:30"``. Equal start and end mean the whole day."""
    start, end = (time.fromisoformat(text.strip()) for text in span.split("-"))
    return start <= now < end if start < end else now >= start or now < end


def _zone(name: object) -> tzinfo:
    if not isinstance(name, str):
        return timezone.utc
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


# --- tokens ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one request, each counted once.

    Attributes:
        fresh: Prompt tokens that were neither read from a cache nor written to one.
        cached: Prompt tokens that were read from a cache.
        written: Prompt tokens that were written to a cache, for its default of some minutes.
        written_hour: Prompt tokens that were written to a cache for an hour.
        answer: Tokens of the answer, without the reasoning.
        reasoning: Tokens of the reasoning.
    """

    fresh: int
    cached: int
    written: int
    written_hour: int
    answer: int
    reasoning: int

    @property
    def prompt(self) -> int:
        """All tokens of the prompt."""
        return self.fresh + self.cached + self.written + self.written_hour


def count(listed: Listed | None, usage: Usage) -> Tokens | None:
    """Splits a provider's counts, so that each token is counted once.

    Some providers include cached tokens in the input and reasoning in the output, others do not. Which one it is
    follows from the names in the provider's usage object, else from the provider.

    Args:
        listed: The model.
        usage: The provider's counts.

    Returns:
        The counts; None if the provider did not report both input and output tokens.
    """
    raw = _raw(usage)
    billed = _mapping(raw.get("billed_units"))
    if billed is not None:
        # Cohere reports the tokens that it charges for, which differ from those that the model processed.
        return _plain(_number(billed.get("input_tokens")), _number(billed.get("output_tokens")))
    inputs, outputs = usage.input_tokens, usage.output_tokens
    if outputs is None and "promptTokenCount" in raw:
        outputs = 0  # Google leaves out a count of zero
    if inputs is None or outputs is None:
        return None
    cached, reasoning = usage.cached_tokens or 0, usage.reasoning_tokens or 0
    written, hour = _written(raw)
    known = cached + written + hour
    fresh = inputs if _is_cache_apart(listed, raw) or known > inputs else inputs - known
    if not _is_reasoning_apart(listed, usage, raw):
        reasoning = min(reasoning, outputs)
        outputs -= reasoning
    fresh += _count(raw, "toolUsePromptTokenCount")  # Google counts the prompts of its own tools separately
    return Tokens(fresh, cached, written, hour, outputs, reasoning)


def _plain(inputs: float | None, outputs: float | None) -> Tokens | None:
    return None if inputs is None or outputs is None else Tokens(int(inputs), 0, 0, 0, int(outputs), 0)


def _written(raw: Mapping[str, Any]) -> tuple[int, int]:
    """The tokens that were written to a cache: for its default time, and for an hour."""
    details = _mapping(raw.get("prompt_tokens_details")) or _mapping(raw.get("input_tokens_details")) or {}
    names = ("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    inner = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
    written = max([_count(raw, name) for name in names] + [_count(details, name) for name in inner])
    hour = _count(_mapping(raw.get("cache_creation")) or {}, "ephemeral_1h_input_tokens")
    for each in _sequence(raw.get("cacheDetails")):
        if (part := _mapping(each) or {}).get("ttl") == "1h":
            hour += _count(part, "inputTokens")
    return max(written - hour, 0), hour


def _is_cache_apart(listed: Listed | None, raw: Mapping[str, Any]) -> bool:
    """Whether the count of input tokens does not include those that were read from a cache or written to one."""
    if not raw.keys().isdisjoint({"prompt_tokens", "promptTokenCount", "total_input_tokens", "input_tokens_details"}):
        return False
    if not raw.keys().isdisjoint({"inputTokens", "inputTokenCount", "input_tokens"}):
        return True
    if listed is None:
        return False
    return listed.entry["litellm_provider"].startswith(CACHE_APART) or (
        listed.provider == "azure_ai" and "claude" in listed.name
    )


def _is_reasoning_apart(listed: Listed | None, usage: Usage, raw: Mapping[str, Any]) -> bool:
    """Whether the count of output tokens does not include the reasoning."""
    if not raw.keys().isdisjoint({"promptTokenCount", "total_input_tokens"}):
        return True
    parts = (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)
    if usage.total_tokens is not None:
        return bool(usage.reasoning_tokens) and usage.total_tokens == sum(part or 0 for part in parts)
    return (
        not raw
        and listed is not None
        and provider_named(listed.provider).counts_reasoning_apart
        and "gemini" in listed.name
    )


# --- the bill ----------------------------------------------------------------------------------------------------


def bill(listed: Listed | None, model: str, usage: Usage, at: datetime) -> float | None:
    """The cost of a request.

    Args:
        listed: The model; None if it is not in the list.
        model: The model's name in the request.
        usage: The tokens of the request.
        at: The time of the request.

    Returns:
        The cost in USD; None if a price or a count is not known.
    """
    stated = _stated(model, usage)
    if stated is not None or listed is None:
        return stated
    tokens = count(listed, usage)
    if tokens is None:
        return None
    prices = prices_of(listed, tokens.prompt, at)
    if prices.input is None or prices.output is None:
        return None
    extra = _other_than_text(listed.entry, usage, prices)
    if extra is None:
        return None
    cached = prices.cached
    if cached is None:
        cached = prices.input * provider_named(listed.provider).cached_share
    write = prices.input if prices.write is None else prices.write
    return (
        tokens.fresh * prices.input
        + tokens.cached * cached
        + tokens.written * write
        + tokens.written_hour * (write if prices.write_hour is None else prices.write_hour)
        + tokens.answer * prices.output
        + tokens.reasoning * (prices.output if prices.reasoning is None else prices.reasoning)
        + extra
    )


def _stated(model: str, usage: Usage) -> float | None:
    """The cost that the provider itself reports; None if it reports none."""
    raw = _raw(usage)
    ticks = _number(raw.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks * _TICK
    if not provider_named(model.partition("/")[0]).states_cost:
        return None
    cost = raw.get("cost")
    return _number((_mapping(cost) or {}).get("total_cost", cost))


def _other_than_text(entry: Mapping[str, Any], usage: Usage, prices: Prices) -> float | None:
    """What audio, image and video tokens cost more than text tokens; None if it cannot be known."""
    extra = 0.0
    for direction, text in (("input", prices.input), ("output", prices.output)):
        for medium, tokens in _media_tokens(_raw(usage), direction).items():
            price = _number(entry.get(f"{direction}_cost_per_{medium}_token"))
            if not tokens or price is None or text is None or price == text:
                continue
            if direction == "input" and usage.cached_tokens:
                return None  # providers do not report which of these tokens were cached
            extra += tokens * (price - text)
    return extra


def _media_tokens(raw: Mapping[str, Any], direction: str) -> dict[str, int]:
    """The number of tokens of each medium other than text."""
    is_input = direction == "input"
    openai, google = ("prompt", "promptTokensDetails") if is_input else ("completion", "candidatesTokensDetails")
    details = _mapping(raw.get(f"{openai}_tokens_details")) or {}
    found = {medium: _count(details, f"{medium}_tokens") for medium in ("audio", "image", "video")}
    for each in _sequence(raw.get(google)):
        part = _mapping(each) or {}
        medium = str(part.get("modality", "")).lower()
        if medium in found:
            found[medium] += _count(part, "tokenCount")
    return found


# --- reading values of unknown types -----------------------------------------------------------------------------


def _raw(usage: Usage) -> Mapping[str, Any]:
    return _mapping(getattr(usage, "raw", None)) or {}


def _mapping(value: object) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _sequence(value: object) -> Sequence[Any]:
    return cast("list[object]", value) if isinstance(value, list) else ()


def _number(value: object) -> float | None:
    """A price or a count; None if it is neither. Prices that a user gave to litellm may be text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(holder: Mapping[str, Any], name: str) -> int:
    value = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
