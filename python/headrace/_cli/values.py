"""Options that are lists of ``name=value``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["json_values", "milliseconds", "pairs"]


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Parses ``name=value``.

    Raises:
        ConfigurationError: One has no ``=``.
    """
    for each in given:
        if "=" not in each:
            raise ConfigurationError(f"{option} needs name=value, not {each!r}")
    return dict(each.split("=", 1) for each in given)


def json_values(given: Mapping[str, str], option: str) -> dict[str, Any]:
    """Parses values as JSON.

    Raises:
        ConfigurationError: One is not JSON.
    """
    try:
        return {name: json.loads(value) for name, value in given.items()}
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{option} needs name=JSON, such as temperature=0.5: {error}") from None


def milliseconds(given: Mapping[str, str], option: str) -> dict[str, float]:
    """Parses values as milliseconds.

    Returns:
        The values in seconds.

    Raises:
        ConfigurationError: One is not a number above zero.
    """
    seconds = dict[str, float]()
    for name, value in given.items():
        try:
            seconds[name] = float(value.removesuffix("ms")) / 1e3
        except ValueError:
            seconds[name] = 0.0
        if not 0 < seconds[name] < float("inf"):
            raise ConfigurationError(f"{option} needs milliseconds above zero, such as {name}=200, not {value!r}")
    return seconds
