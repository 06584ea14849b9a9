"""Checks of arguments: a list where a list is meant, a function where a function is meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from types import UnionType

__all__ = ["check_type", "checked_dict", "checked_function", "checked_list"]

_Function = TypeVar("_Function")


class _WrongTypeError(ConfigurationError, TypeError):
    """An argument of the wrong type. Also a ``TypeError``, which is what Python's own functions raise for one."""


def checked_list(name: str, value: object, what: str, kind: type | UnionType | None = None) -> tuple[Any, ...]:
    """The elements of an argument that must be a list.

    A single element in its place is the usual mistake, and a string would be taken for the list of its letters.

    Args:
        name: The argument's name.
        value: What was given; None for an empty list.
        what: What the list is of, in the plural.
        kind: The type of the elements; None to leave them to others.

    Returns:
        The elements.

    Raises:
        ConfigurationError: It is no list, or an element has another type. The error is a ``TypeError`` too.
    """
    if value is None:
        return ()
    given = type(value).__name__
    # Not every object that can be iterated is meant as a list: the elements of a dict would be its keys.
    if isinstance(value, str | bytes | bytearray | Mapping | type) or not isinstance(value, Iterable):
        raise _WrongTypeError(f"{name} must be a list of {what}, not one {given}; put it into [ ]")
    elements = tuple(cast("Iterable[object]", value))
    for element in elements:
        if kind is not None and not isinstance(element, kind):
            raise _WrongTypeError(
                f"{name} must be a list of {what}, but one of them is of type {type(element).__name__}"
            )
    return elements


def checked_dict(name: str, value: object) -> dict[str, Any]:
    """A copy of an argument that must be a dict; empty for None. Raises as :func:`checked_list` does."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _WrongTypeError(f"{name} must be a dict, not {type(value).__name__}")
    return dict(cast("Mapping[str, Any]", value))


def checked_function(name: str, value: _Function) -> _Function:
    """An argument that must be None or something that can be called. Raises as :func:`checked_list` does."""
    if value is not None and not callable(value):
        raise _WrongTypeError(f"{name} must be a function, not {type(value).__name__}")
    return value


def check_type(name: str, value: object, kind: type | UnionType, what: str) -> None:
    """Raises as :func:`checked_list` does if an argument is neither None nor of a type. A bool is no number."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
        raise _WrongTypeError(f"{name} must be {what}, not {type(value).__name__}")
