"""The base of the classes whose objects are values: frozen, and compared by what they contain."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

__all__ = ["Value"]


class Value:
    """The base of frozen dataclasses: compares, hashes and prints by the fields, as a dataclass does.

    The methods are written here once, because defining a dataclass that generates its own takes 50% longer, and
    ``import headrace`` would wait for it.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_compared(self))

    def __repr__(self) -> str:
        shown = [f"{item.name}={getattr(self, item.name)!r}" for item in _fields(self) if item.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _compared(value: object) -> tuple[object, ...]:
    return tuple(getattr(value, item.name) for item in _fields(value) if item.compare)


def _fields(value: Any) -> tuple[Field[Any], ...]:
    return fields(value)
