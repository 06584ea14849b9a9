"""Reasoning settings in the form that an OpenAI-compatible endpoint takes, or refused before anything is sent.

Requests that litellm builds have litellm's forms: it knows each model, and refuses what a model does not take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace._models.catalog import reasoning_form
from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.types import ModelSettings

__all__ = ["in_form"]

_NONE: Final = frozenset({"none", "disable", "disabled"})
"""Efforts that mean: do not reason."""


def in_form(settings: ModelSettings) -> Mapping[str, Any]:
    """The parameters of a request, with the reasoning settings in the form that the endpoint takes.

    What the user wrote into ``llm_args`` is sent as it is.

    Args:
        settings: The model, and the parameters in headrace's own form.

    Raises:
        ConfigurationError: The endpoint takes no such setting.
    """
    parameters = settings.parameters
    ours = {"reasoning_effort", "thinking"}.difference(settings.as_given).intersection(parameters)
    if not ours:
        return parameters
    provider = settings.model.partition("/")[0]
    form = reasoning_form(provider, settings.base_url)
    rest = {name: value for name, value in parameters.items() if name not in ours}
    effort = parameters["reasoning_effort"] if "reasoning_effort" in ours else None
    budget = parameters["thinking"]["budget_tokens"] if "thinking" in ours else None
    match form:
        case "openrouter":  # https://openrouter.ai/docs/use-cases/reasoning-tokens: one of the two
            if effort is not None and budget is not None:
                raise _refused(settings, "takes reasoning_effort or thinking_tokens, not both")
            return {**rest, "reasoning": {"effort": effort} if budget is None else {"max_tokens": budget}}
        case (
            "switch"
        ):  # https://api-docs.deepseek.com/guides/thinking_mode, https://docs.z.ai/guides/capabilities/thinking-mode
            if budget is not None:
                raise _refused(settings, "takes no budget for reasoning (thinking_tokens): use reasoning_effort")
            return {**rest, "thinking": {"type": "disabled" if effort in _NONE else "enabled"}}
        case "qwen":  # https://www.alibabacloud.com/help/en/model-studio/deep-thinking
            reasons = budget is not None or effort not in _NONE
            limit = {} if budget is None else {"thinking_budget": budget}
            return {**rest, "enable_thinking": reasons, **limit}
        case "anthropic":  # https://docs.anthropic.com/en/api/openai-sdk#extended-thinking-support
            return parameters
        case _:
            if budget is not None:
                raise _refused(settings, "has no known form for a budget for reasoning (thinking_tokens)")
            return parameters


def _refused(settings: ModelSettings, why: str) -> ConfigurationError:
    # Without the URL, which may contain a key.
    return ConfigurationError(
        f"the endpoint of {settings.model!r} {why}; what its server takes can be sent as it is with llm_args={{…}}"
    )
