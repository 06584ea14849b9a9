"""The capabilities and prices of models, and the cost of a request.

The source is litellm's price list, a file of the installed litellm package. litellm itself is not imported.
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
    """The capabilities and prices of a model. None means "not in the price list", never "no" and never zero.

    Prices are in USD per token, for a short prompt outside off-peak hours. In the price list, 0.0 means "free" for some
    models and "unknown" for others. So it is read as None, except for models on one's own machine (Ollama, Lemonade,
    vLLM, …), and for models with another price above zero.

    Attributes:
        name: The model's name in the price list.
        provider: The provider that serves the model.
        context_window: The most tokens of a prompt.
        max_output_tokens: The most tokens of an answer.
        supports_tools: Whether the model calls tools.
        supports_vision: Whether the model takes images.
        supports_reasoning: Whether the model reasons before it answers.
        supports_prompt_caching: Whether prompts can be cached.
        input_price: USD per token of the prompt.
        output_price: USD per token of the answer.
        cached_input_price: USD per prompt token that is read from a cache.
        cache_write_price: USD per prompt token that is written to a cache.
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
    """Finds the capabilities and prices of a model in litellm's price list.

    Args:
        model: The model's name, such as ``"openai/gpt-4o"``, ``"gpt-4o"`` or ``"bedrock/us.anthropic.claude-…"``.

    Returns:
        The model's capabilities and prices; None if the model is not in the list, or litellm is not installed. The
        list's general rules for names, such as one for all Claude models, do not count as an entry for a model.

    Example:
        >>> from headrace import model_info
        >>> info = model_info("openai/gpt-4o")
        >>> info.provider, info.context_window, info.supports_tools
        ('openai', 128000, True)
        >>> f"{info.input_price * 1_000_000:.2f} USD per million tokens"
        '2.50 USD per million tokens'
        >>> model_info("openai/no-such-model") is None
        True
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
    """The cost of one request in USD: the tokens times their prices, or the cost that the provider itself reports.

    Prices can depend on the length of the prompt. So the cost of several turns is the sum of their costs, not the cost
    of the sum of their usage. Fees that are not per token (searches, sessions), discounts and service tiers are not
    included. If the list has no price for cached tokens, they cost as much as other tokens of the prompt.

    Args:
        model: The model's name.
        usage: The tokens of one request. Estimated counts give an estimated cost.
        at: The time of the request, because some models have off-peak prices; None for now.

    Returns:
        The cost in USD; None if a price or a count is not known.

    Example:
        >>> from headrace import Usage
        >>> from headrace.models import cost
        >>> f"{cost('openai/gpt-4o', Usage(input_tokens=1000, output_tokens=200)):.4f} USD"
        '0.0045 USD'
        >>> cost("openai/gpt-4o", Usage(input_tokens=1000)) is None
        True
    """
    return bill(find(model), model, usage, datetime.now(timezone.utc) if at is None else at)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
