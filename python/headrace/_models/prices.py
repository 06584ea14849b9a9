"""What a request costs: the prices of a list's entry, and the tokens that each of them is paid for."""

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

_TICK: Final = 1e-10  # USD, in which xAI counts


class Prices(NamedTuple):
    """USD per token. None is "not told".

    Attributes:
        input: Of the prompt.
        output: Of the answer.
        reasoning: Of reasoning.
        cached: Of a prompt's tokens that came from a cache.
        write: Of a prompt's tokens that were written to a cache.
        write_hour: The same, for an hour and not the usual minutes.
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
        prompt_tokens: How long the prompt is: long ones cost more per token with some models.
        at: When; some models are cheaper at times. None for the price at any other time.

    Returns:
        The prices. All None where the list says 0.0 of a model that does not run on one's own machine.
    """
    entry = listed.entry
    told = _told(entry)
    for step in _steps(entry, prompt_tokens, included=provider_named(listed.provider).steps_include):
        _overlay(told, step)
    off_peak = _mapping(entry.get("off_peak_pricing"))
    if at is not None and off_peak is not None and _is_off_peak(off_peak, at):
        _overlay(told, _told(off_peak))
    # The list's 0.0 may mean "free" or "nobody knew". Only on one's own machine it is sure to be the first.
    if not provider_named(listed.provider).is_local and not any(told.values()):
        return Prices()
    return Prices(*(told.get(name) for name in _NAMES))


def _told(entry: Mapping[str, Any]) -> dict[str, float]:
    return {name: price for name in _NAMES if (price := _number(entry.get(name))) is not None}


def _overlay(told: dict[str, float], changed: dict[str, float]) -> None:
    if _OUTPUT in changed:
        told.pop(_REASONING, None)  # that of the other answers
    told |= changed


def _steps(entry: Mapping[str, Any], prompt_tokens: int, *, included: bool) -> list[dict[str, float]]:
    """What changes with a prompt of this length, the shortest first."""
    ranges = [tier for each in _sequence(entry.get("tiered_pricing")) if _INPUT in (tier := _mapping(each) or {})]
    if ranges:
        ranges.sort(key=lambda tier: tier["range"][0])
        return [_told(next((tier for tier in ranges if prompt_tokens <= tier["range"][1]), ranges[-1]))]
    steps: dict[int, dict[str, float]] = {}
    for name, value in entry.items():
        if (found := _STEP.fullmatch(name)) is None or (price := _number(value)) is None:
            continue
        limit = int(found[2]) * (1000 if found[3] else 1)
        if prompt_tokens > limit or (included and prompt_tokens == limit):
            steps.setdefault(limit, {})[found[1]] = price
    return [steps[limit] for limit in sorted(steps)]


# --- off-peak hours ------------------------------------------------------------------------------------------------


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
    """Whether it is that time of day: ``"16:30-00:30"``. From and to the same hour is the whole day."""
    start, end = (time.fromisoformat(text.strip()) for text in span.split("-"))
    return start <= now < end if start < end else now >= start or now < end


def _zone(name: object) -> tzinfo:
    if not isinstance(name, str):
        return timezone.utc
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


# --- tokens ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one request, each counted once.

    Attributes:
        fresh: Of the prompt, neither read from a cache nor written to one.
        cached: Read from a cache.
        written: Written to a cache.
        written_hour: Written to a cache for an hour.
        answer: Of the answer.
        reasoning: Of the reasoning.
    """

    fresh: int
    cached: int
    written: int
    written_hour: int
    answer: int
    reasoning: int

    @property
    def prompt(self) -> int:
        """All that went in."""
        return self.fresh + self.cached + self.written + self.written_hour


def count(listed: Listed | None, usage: Usage) -> Tokens | None:
    """Takes a provider's counts apart. How it counts is seen from its own words, else known from who it is.

    Args:
        listed: The model.
        usage: What the provider told.

    Returns:
        The counts; None where the provider did not tell what went in and what came out.
    """
    raw = _raw(usage)
    billed = _mapping(raw.get("billed_units"))
    if billed is not None:
        # Cohere says what is to be paid for, and that is not what went through the model.
        return _plain(_number(billed.get("input_tokens")), _number(billed.get("output_tokens")))
    came_in, came_out = usage.input_tokens, usage.output_tokens
    if came_out is None and "promptTokenCount" in raw:
        came_out = 0  # Google leaves a zero out
    if came_in is None or came_out is None:
        return None
    cached, reasoning = usage.cached_tokens or 0, usage.reasoning_tokens or 0
    written, hour = _written(raw)
    known = cached + written + hour
    fresh = came_in if _is_cache_apart(listed, raw) or known > came_in else came_in - known
    if not _is_reasoning_apart(listed, usage, raw):
        reasoning = min(reasoning, came_out)
        came_out -= reasoning
    fresh += _count(raw, "toolUsePromptTokenCount")  # Google's tools', beside the prompt
    return Tokens(fresh, cached, written, hour, came_out, reasoning)


def _plain(came_in: float | None, came_out: float | None) -> Tokens | None:
    return None if came_in is None or came_out is None else Tokens(int(came_in), 0, 0, 0, int(came_out), 0)


def _written(raw: Mapping[str, Any]) -> tuple[int, int]:
    """The tokens that were written to a cache: for the usual time, and for an hour."""
    details = _mapping(raw.get("prompt_tokens_details")) or _mapping(raw.get("input_tokens_details")) or {}
    names = ("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    inner = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
    told = [_count(raw, name) for name in names] + [_count(details, name) for name in inner]
    written = max(told)
    hour = _count(_mapping(raw.get("cache_creation")) or {}, "ephemeral_1h_input_tokens")
    for each in _sequence(raw.get("cacheDetails")):
        if (part := _mapping(each) or {}).get("ttl") == "1h":
            hour += _count(part, "inputTokens")
    return max(written - hour, 0), hour


def _is_cache_apart(listed: Listed | None, raw: Mapping[str, Any]) -> bool:
    """Whether the prompt's count leaves out what was read from a cache or written to one."""
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
    """Whether the answer's count leaves the reasoning out."""
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
    """What a request cost.

    Args:
        listed: The model; None if it is not in the list.
        model: Its name, as it was asked for.
        usage: The tokens.
        at: When it was asked.

    Returns:
        USD; None where a price or a count is not known.
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
    """What the provider itself says that the request cost."""
    raw = _raw(usage)
    ticks = _number(raw.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks * _TICK
    if not provider_named(model.partition("/")[0]).states_cost:
        return None
    cost = raw.get("cost")
    return _number((_mapping(cost) or {}).get("total_cost", cost))


def _other_than_text(entry: Mapping[str, Any], usage: Usage, prices: Prices) -> float | None:
    """What tokens of sound and pictures cost more than those of text; None where that cannot be known."""
    extra = 0.0
    for way, text in (("input", prices.input), ("output", prices.output)):
        for kind, tokens in _kinds(_raw(usage), way).items():
            price = _number(entry.get(f"{way}_cost_per_{kind}_token"))
            if not tokens or price is None or text is None or price == text:
                continue
            if way == "input" and usage.cached_tokens:
                return None  # which of them were cached is not told
            extra += tokens * (price - text)
    return extra


def _kinds(raw: Mapping[str, Any], way: str) -> dict[str, int]:
    """How many of the tokens were not text."""
    mine, google = ("prompt", "promptTokensDetails") if way == "input" else ("completion", "candidatesTokensDetails")
    details = _mapping(raw.get(f"{mine}_tokens_details")) or {}
    found = {kind: _count(details, f"{kind}_tokens") for kind in ("audio", "image", "video")}
    for each in _sequence(raw.get(google)):
        part = _mapping(each) or {}
        kind = str(part.get("modality", "")).lower()
        if kind in found:
            found[kind] += _count(part, "tokenCount")
    return found


# --- reading what others wrote -----------------------------------------------------------------------------------


def _raw(usage: Usage) -> Mapping[str, Any]:
    return _mapping(getattr(usage, "raw", None)) or {}


def _mapping(value: object) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _sequence(value: object) -> Sequence[Any]:
    return cast("list[object]", value) if isinstance(value, list) else ()


def _number(value: object) -> float | None:
    """A price or a count. A user's own may be text, as litellm takes them from its configuration."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(holder: Mapping[str, Any], name: str) -> int:
    value = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
