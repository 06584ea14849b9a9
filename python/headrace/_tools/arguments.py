"""Parses the arguments of tool calls, for all other modules.

pydantic's parser is imported at the first call, so that ``import headrace`` is fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BoundCall", "InvalidArgumentsError", "parse_object", "shown"]


class InvalidArgumentsError(Exception):
    """The arguments are not what the tool takes. The message is for the model."""


@dataclass(frozen=True, slots=True)
class BoundCall:
    """A tool call with valid arguments, ready to run.

    Attributes:
        arguments: The arguments that the tool will get, for the function that approves calls.
        run: Calls the tool.
    """

    arguments: dict[str, Any]
    run: Callable[[], Any]


def parse_object(text: str) -> dict[str, Any]:
    """Parses the arguments of a tool call, which are a JSON object. Empty text and null count as an empty object.

    Args:
        text: The arguments as the model sent them.

    Returns:
        The object.

    Raises:
        InvalidArgumentsError: The text is not JSON, or not an object.
    """
    from pydantic_core import from_json

    try:
        # surrogatepass: a lone surrogate must be an error of the JSON parser, not a UnicodeEncodeError.
        value: object = from_json(text.encode(errors="surrogatepass")) if text.strip() else None
    except ValueError as error:
        raise InvalidArgumentsError(f"The arguments are not valid JSON: {error}.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgumentsError(f"The arguments must be one JSON object, not {shown(value)}.")
    return cast("dict[str, Any]", value)


def shown(value: Any) -> str:
    """A value as JSON for an error message, cut to 100 characters."""
    from pydantic_core import to_json

    text = to_json(value, fallback=repr).decode()
    longest = 100
    return text if len(text) <= longest else f"{text[:longest]}…"
