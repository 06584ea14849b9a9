"""The arguments of a tool call: the one place where they are parsed, whoever wants them.

pydantic's parser is imported when the first call is made: ``import headrace`` does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BoundCall", "InvalidArgumentsError", "parse_object", "sendable", "shown"]


class InvalidArgumentsError(Exception):
    """Arguments that do not fit. The message is for the model."""


@dataclass(frozen=True, slots=True)
class BoundCall:
    """A call that is ready to be made.

    Attributes:
        arguments: What the tool gets, for those who judge the call.
        run: Makes the call.
    """

    arguments: dict[str, Any]
    run: Callable[[], Any]


def parse_object(text: str) -> dict[str, Any]:
    """Reads the arguments of a call: a JSON object. Nothing at all, or null, is an empty one.

    Args:
        text: The arguments as the model sent them.

    Returns:
        The object.

    Raises:
        InvalidArgumentsError: It is malformed, or not an object.
    """
    from pydantic_core import from_json

    try:
        # Half a surrogate pair is malformed JSON like any other, and not a string that cannot be encoded.
        value: object = from_json(text.encode(errors="surrogatepass")) if text.strip() else None
    except ValueError as error:
        raise InvalidArgumentsError(f"The arguments are not valid JSON: {error}.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgumentsError(f"The arguments must be one JSON object, not {shown(value)}.")
    return cast("dict[str, Any]", value)


def sendable(text: str) -> str:
    """The arguments as they go back to a provider, which refuses a conversation where they are no JSON object.

    Args:
        text: The arguments as the model sent them.

    Returns:
        The same text; ``"{}"`` where it is no object. What was wrong with it, the call's result says.
    """
    try:
        parse_object(text)
    except InvalidArgumentsError:
        return "{}"
    return text if text.lstrip().startswith("{") else "{}"


def shown(value: Any) -> str:
    """A value as JSON, cut to what fits into a message."""
    from pydantic_core import to_json

    text = to_json(value, fallback=repr).decode()
    longest = 100
    return text if len(text) <= longest else f"{text[:longest]}…"
