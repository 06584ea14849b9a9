"""Parses the arguments of tool calls, for all other modules.

pydantic's parser is imported at the first call, so that ``import headrace`` is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TOO_DEEP", "BoundCall", "InvalidArgumentsError", "object_json", "parse_object", "shown"]

TOO_DEEP: Final = "The arguments are nested too deeply: at most 200 objects or lists may be in one another."
"""What the model is told of arguments that are nested deeper than pydantic's parser goes."""

_MOST_WRAPPINGS: Final = 3
"""How many strings the arguments may be wrapped in."""


class InvalidArgumentsError(Exception):
    """The arguments are not what the tool takes. The message is for the model."""


class BoundCall(NamedTuple):
    """A tool call with valid arguments, ready to run.

    Attributes:
        arguments: The arguments that the tool will get, for the function that approves calls.
        run: Calls the tool.
    """

    arguments: dict[str, Any]
    run: Callable[[], Any]


def parse_object(text: str, schema: object = None) -> dict[str, Any]:
    """Parses the arguments of a tool call, which are a JSON object. Empty text and null count as an empty object.

    Models write JSON into strings: the whole object, or a member. The object is read in any case, a member if the
    schema tells that it is no string.

    Args:
        text: The arguments as the model sent them.
        schema: The JSON schema of the arguments; None to leave all members as they are.

    Returns:
        The object.

    Raises:
        InvalidArgumentsError: The text is not JSON, or not an object.
    """
    from .encoded import decoded

    value, _ = _parsed(text)
    try:
        return value if schema is None else decoded(value, schema, schema)
    except RecursionError:  # the caller is deep in a recursion of its own
        raise InvalidArgumentsError(TOO_DEEP) from None


def object_json(text: str) -> str:
    """The JSON text of the object that :func:`parse_object` finds in some arguments, which may be in a JSON string."""
    return _parsed(text)[1]


def _parsed(text: str) -> tuple[dict[str, Any], str]:
    """The object, and its JSON text."""
    from pydantic_core import from_json

    value: object = text
    for wrapped in range(_MOST_WRAPPINGS + 1):
        try:
            # surrogatepass: a lone surrogate must be an error of the JSON parser, not a UnicodeEncodeError.
            value = from_json(text.encode(errors="surrogatepass")) if wrapped or text.strip() else None
        except ValueError as error:
            if wrapped:  # it was JSON, but of a string that is only text
                break
            if "recursion limit" in str(error):
                raise InvalidArgumentsError(TOO_DEEP) from error
            raise InvalidArgumentsError(f"The arguments are not valid JSON: {error}.") from error
        if not isinstance(value, str):
            break
        text = value
    if value is None:
        return {}, "{}"
    if not isinstance(value, dict):
        raise InvalidArgumentsError(f"The arguments must be one JSON object, not {shown(value)}.")
    return cast("dict[str, Any]", value), text


def shown(value: Any) -> str:
    """A value as JSON for an error message, cut to 100 characters."""
    from pydantic_core import to_json

    text = to_json(value, fallback=repr).decode()
    longest = 100
    return text if len(text) <= longest else f"{text[:longest]}…"
