"""What the tool calls of a turn say to the user, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .partial_json import SpokenField

__all__ = ["SpokenCalls"]


class SpokenCalls:
    """What the calls of one turn speak: one after the other, in the order of their start, also where their pieces mix.

    What a call says while one before it has not ended is held back until then.
    """

    __slots__ = ("_speaking",)

    def __init__(self) -> None:
        # Those that may still speak, with what they have said and was held back.
        self._speaking: dict[int, tuple[SpokenField, list[tuple[str, int]]]] = {}

    def begin(self, index: int, field: str) -> None:
        """A call begins.

        Args:
            index: Which.
            field: The member of its arguments that is spoken.
        """
        from .partial_json import SpokenField  # here, because only the autonomous cycle's calls speak

        self._speaking[index] = SpokenField(field), []

    def feed(self, index: int, fragment: str, at_ns: int) -> list[tuple[str, int]]:
        """Takes the next fragment of a call's arguments.

        Args:
            index: Which call.
            fragment: The text.
            at_ns: When it arrived.

        Returns:
            What may be said now: texts, each with its time.
        """
        if index not in self._speaking:
            return []
        field, said = self._speaking[index]
        text = field.feed(fragment)
        if text:
            said.append((text, at_ns))
        return self._due()

    def rest(self) -> list[tuple[str, int]]:
        """What is still held back, when no more fragments come."""
        rest = [piece for _, said in self._speaking.values() for piece in said]
        self._speaking.clear()
        return rest

    def _due(self) -> list[tuple[str, int]]:
        due: list[tuple[str, int]] = []
        for index, (field, said) in [*self._speaking.items()]:
            due += said
            said.clear()
            if not field.over:
                break
            del self._speaking[index]
        return due
