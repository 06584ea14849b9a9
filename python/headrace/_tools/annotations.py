"""Rewrites annotations that pydantic does not take as they are, although their meaning is plain.

- ``typing.TypedDict``: before Python 3.12 pydantic takes only that of ``typing_extensions``.
- ``Literal[Colour.RED]``: pydantic would not take the member's value, which is all that JSON can say.
"""

from __future__ import annotations

import enum
import sys
import types
import typing
from functools import partial
from typing import Annotated, Any, Literal, Union

import typing_extensions
from pydantic import BeforeValidator

__all__ = ["UNPACK", "plain"]

UNPACK = (typing_extensions.Unpack, getattr(typing, "Unpack", typing_extensions.Unpack))
_REQUIRED = (typing_extensions.Required, getattr(typing, "Required", typing_extensions.Required))
_NOT_REQUIRED = (typing_extensions.NotRequired, getattr(typing, "NotRequired", typing_extensions.NotRequired))


def plain(annotation: Any, inside: tuple[Any, ...] = ()) -> Any:
    """The annotation in a form that pydantic takes. Annotations inside of models are not reached.

    Args:
        annotation: An evaluated annotation of a parameter.
        inside: The typed dicts that it is in.

    Returns:
        The same annotation, if nothing in it had to be rewritten.
    """
    if _is_old_typed_dict(annotation) and annotation not in inside:
        return _typed_dict(annotation, inside)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _literal(annotation, arguments)
    # What follows the type in Annotated is no type.
    inner = arguments[:1] if origin is Annotated else arguments
    rewritten = tuple(plain(argument, inside) for argument in inner)
    if all(new is old for new, old in zip(rewritten, inner, strict=True)):
        return annotation
    return _generic(origin, (*rewritten, *arguments[len(rewritten) :]))


def _generic(origin: Any, arguments: tuple[Any, ...]) -> Any:
    if origin is Annotated:
        return origin[arguments]
    if origin in (Union, types.UnionType):
        return Union[arguments]  # noqa: UP007 - the members are known only now
    return typing_extensions.Unpack[arguments[0]] if origin in UNPACK else types.GenericAlias(origin, arguments)


def _literal(annotation: Any, values: tuple[Any, ...]) -> Any:
    members = [value for value in values if isinstance(value, enum.Enum)]
    return Annotated[annotation, BeforeValidator(partial(_member, members))] if members else annotation


def _member(members: list[enum.Enum], value: Any) -> Any:
    return next((each for each in members if type(each.value) is type(value) and each.value == value), value)


def _is_old_typed_dict(annotation: Any) -> bool:
    return sys.version_info < (3, 12) and typing.is_typeddict(annotation) and type(annotation).__module__ == "typing"


def _typed_dict(annotation: Any, inside: tuple[Any, ...]) -> Any:
    try:
        hints = typing.get_type_hints(annotation, include_extras=True)
    except NameError:
        return annotation  # pydantic's message has the advice
    required = annotation.__required_keys__
    members = {key: _field(hint, key in required, (*inside, annotation)) for key, hint in hints.items()}
    make: Any = typing_extensions.TypedDict  # a type checker wants its arguments as literals
    made = make(annotation.__name__, members)
    made.__doc__, made.__module__ = annotation.__doc__, annotation.__module__
    return made


def _field(hint: Any, required: bool, inside: tuple[Any, ...]) -> Any:
    origin = typing.get_origin(hint)
    if origin in _REQUIRED or origin in _NOT_REQUIRED:
        required = origin in _REQUIRED
        (hint,) = typing.get_args(hint)
    wrapper: Any = typing_extensions.Required if required else typing_extensions.NotRequired
    return wrapper[plain(hint, inside)]
