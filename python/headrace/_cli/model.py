"""``headrace model info``: prints what is known about a model."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from headrace._agent.terminal import printable, printable_json
from headrace._models.price_list import is_installed
from headrace.errors import ConfigurationError
from headrace.models import model_info

__all__ = ["show_info"]


def show_info(name: str, *, as_json: bool) -> None:
    """Prints what is known about a model.

    Args:
        name: The model's name.
        as_json: As one line of JSON, instead of a line for each fact.

    Raises:
        ConfigurationError: The model is not in the price list, or litellm is not installed.
    """
    known = model_info(name)
    if known is None and not is_installed():
        raise ConfigurationError("models are looked up in litellm's price list: run `pip install litellm`")
    if known is None:
        raise ConfigurationError(f"the model {name!r} is not in litellm's price list")
    facts = asdict(known)
    if as_json:
        print(printable_json(json.dumps(facts), sys.stdout))
        return
    for fact, value in facts.items():
        print(printable(f"{fact.replace('_', ' '):<25} {_shown(value)}", sys.stdout))


def _shown(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value * 1e6:.6g} USD per million tokens"
    return f"{value} tokens" if isinstance(value, int) else str(value)
