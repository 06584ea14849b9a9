"""What is known about a model, and what a request to it cost.

The facts are those of litellm's price list, as the installed litellm brings it along; litellm itself is not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ._models.price_list import facts, find
from ._models.prices import bill, prices_of

if TYPE_CHECKING:
    from .types import Usage

__all__ = ["ModelInfo", "cost", "model_info"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known about a model. None is "not told", never "no" and never zero.

    Prices are in USD per token, for a short prompt at the usual time of day. The list's price of 0.0 means "free" with
    some models and "nobody knew" with others, and nothing tells them apart: it is taken for None, except with servers
    that run on one's own machine (Ollama, Lemonade, vLLM, …) and where another of the model's prices is above zero.

    Attributes:
        name: The name that it is listed under.
        provider: Who serves it.
        context_window: The most tokens that may go in.
        max_output_tokens: The most tokens that come out.
        supports_tools: Whether it calls tools.
        supports_vision: Whether it takes images.
        supports_reasoning: Whether it reasons before it answers.
        supports_prompt_caching: Whether prompts can be cached.
        input_price: Of a token of the prompt.
        output_price: Of a token of the answer.
        cached_input_price: Of a token of the prompt that came from a cache.
        cache_write_price: Of a token of the prompt that was written to a cache.
    """

    name: str
    provider: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    supports_tools: bool | None = None
    supports_vision: bool | None = None
    supports_reasoning: bool | None = None
    supports_prompt_caching: bool | None = None
    input_price: float | None = None
    output_price: float | None = None
    cached_input_price: float | None = None
    cache_write_price: float | None = None


def model_info(model: str) -> ModelInfo | None:
    """Looks up what is known about a model.

    Args:
        model: The model's name, such as ``"openai/gpt-4o"``, ``"gpt-4o"`` or ``"bedrock/us.anthropic.claude-…"``.

    Returns:
        What is known; None if the model is not in the list, or litellm is not installed. A model of which only the
        shape of its name is known, such as a Claude newer than the list, is not in the list.
    """
    listed = find(model)
    if listed is None:
        return None
    entry, prices = facts(listed), prices_of(listed)
    return ModelInfo(
        name=listed.name,
        provider=listed.provider,
        context_window=_whole(entry.get("max_input_tokens")),
        max_output_tokens=_whole(entry.get("max_output_tokens")),
        supports_tools=_flag(entry.get("supports_function_calling")),
        supports_vision=_flag(entry.get("supports_vision")),
        supports_reasoning=_flag(entry.get("supports_reasoning")),
        supports_prompt_caching=_flag(entry.get("supports_prompt_caching")),
        input_price=prices.input,
        output_price=prices.output,
        cached_input_price=prices.cached,
        cache_write_price=prices.write,
    )


def cost(model: str, usage: Usage, *, at: datetime | None = None) -> float | None:
    """What one request cost, in USD: the tokens times their prices, or what the provider itself says in the usage.

    Prices depend on the length of each prompt, so the cost of several turns is the sum of their costs, not the cost of
    the sum of their usage. Fees that are not per token (searches, sessions), discounts and service tiers are not in it.
    Prices that are missing for cached tokens are those of the input.

    Args:
        model: The model's name.
        usage: The tokens of one request. Estimated counts give an estimated cost.
        at: When it was asked, as some models are cheaper at night; now if None.

    Returns:
        The cost; None where a price or a count that it takes is not known.
    """
    return bill(find(model), model, usage, datetime.now(timezone.utc) if at is None else at)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
