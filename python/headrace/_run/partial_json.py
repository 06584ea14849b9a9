"""Streams one string member of a tool call's arguments, while the JSON is still incomplete.

In an autonomous run the model may answer only by tool calls. Its text for the user is then one string member of the
arguments, such as ``summary`` of ``complete_task``. This text is called *spoken*, and is streamed like other text.

The grammar is as strict as that of ``json.loads``, which parses the arguments when they are complete.
"""

from __future__ import annotations

import enum
import json
import re

__all__ = ["SpokenCalls", "SpokenField"]

# What may come next, as the set of characters that it may begin with. One test against this set enforces the grammar.
# Scalars are checked only when they are complete.
_DOCUMENT = "{"
_KEY = '"'
_KEY_OR_END = '"}'
_COLON = ":"
_VALUE = '{["-0123456789tfnNI'
_VALUE_OR_END = _VALUE + "]"
_SPOKEN_VALUE = '"'
_NEXT_MEMBER = ",}"
_NEXT_ITEM = ",]"

_NOT_SPACE = re.compile(r"[^ \t\n\r]")
_SCALAR_PART = re.compile(r"[-+.0-9A-Za-z]*")
# NaN and the infinities are numbers here because `json.loads` accepts them.
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null|NaN|-?Infinity")

# An escape that is cut by the end of a fragment is held until the next fragment. So is the first half of a surrogate
# pair while the second half may still follow, because only both halves together are a character.
_FIRST_HALF = r"u[dD][89abAB][0-9a-fA-F]{2}"
_CUT_SECOND_HALF = r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z"
_CUT_ESCAPE = re.compile(rf"\\(?:\Z|u[0-9a-fA-F]{{0,3}}\Z|{_FIRST_HALF}{_CUT_SECOND_HALF})")
_PIECE = re.compile(
    rf'[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|(?!{_FIRST_HALF}{_CUT_SECOND_HALF})u[0-9a-fA-F]{{4}})',
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _Inside(enum.Enum):
    """What kind of JSON token the last fragment ended in."""

    NOTHING = enum.auto()
    SCALAR = enum.auto()
    KEY = enum.auto()
    SPOKEN = enum.auto()
    SKIPPED = enum.auto()


class SpokenField:
    """Decodes one string member of a JSON object while the JSON arrives.

    Only a member of the outermost object counts. If several have the same name, the first one counts, because text
    that was already streamed cannot be withdrawn. A value that is not a string gives no text. The time is linear in
    the length of the JSON, however it is cut. The memory is one key or number, one escape and the open brackets.

    Args:
        field: The member's name.
    """

    __slots__ = ("_brackets", "_done", "_expected", "_field", "_held", "_inside", "_kept", "_over", "_wanted")

    def __init__(self, field: str) -> None:
        self._field = field
        self._inside = _Inside.NOTHING
        self._expected = _DOCUMENT
        self._brackets: list[str] = []
        self._held = ""  # an escape that was cut by the end of the last fragment
        self._kept: list[str] = []  # the pieces of the current key or scalar
        self._wanted = False  # whether the last key was the wanted one
        self._over = False
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the member's string has ended, so that all of its text was returned."""
        return self._done

    @property
    def over(self) -> bool:
        """Whether no more text can follow, whatever comes."""
        return self._over

    def feed(self, fragment: str) -> str:
        r"""Takes the next fragment of the JSON.

        It never raises: invalid JSON ends the text, and what was decoded before it stays.

        Args:
            fragment: Any number of characters. It may end anywhere, also inside an escape such as ``\u00e9``.

        Returns:
            The part of the member's string that became known by this fragment; often "". Lone surrogates become
            U+FFFD.
        """
        if self._over:
            return ""
        text, self._held = self._held + fragment, ""
        spoken: list[str] = []
        position = 0
        while position < len(text) and not self._over:
            if self._inside is _Inside.NOTHING:
                position = self._read_mark(text, position)
            elif self._inside is _Inside.SCALAR:
                position = self._read_scalar(text, position)
            else:
                position = self._read_string(text, position, spoken)
        return _LONE_SURROGATE.sub("\ufffd", "".join(spoken))

    def _read_mark(self, text: str, position: int) -> int:
        found = _NOT_SPACE.search(text, position)
        if found is None:
            return len(text)
        mark = found.group()
        if mark not in self._expected:
            self._over = True
        elif mark == '"':
            self._begin_string()
        elif mark in "{[":
            self._brackets.append(mark)
            self._expected = _KEY_OR_END if mark == "{" else _VALUE_OR_END
        elif mark in "}]":
            self._brackets.pop()
            self._end_value()
        elif mark == ",":
            self._expected = _KEY if self._brackets[-1] == "{" else _VALUE
        elif mark == ":":
            self._expected = _SPOKEN_VALUE if self._wanted else _VALUE
        else:
            self._inside = _Inside.SCALAR
            return found.start()
        return found.end()

    def _begin_string(self) -> None:
        if self._wanted:
            self._inside = _Inside.SPOKEN
        elif self._expected in (_KEY, _KEY_OR_END):
            self._inside = _Inside.KEY
        else:
            self._inside = _Inside.SKIPPED

    def _read_string(self, text: str, position: int, spoken: list[str]) -> int:
        end = position
        while piece := _PIECE.match(text, end):
            end = piece.end()
        if self._inside is not _Inside.SKIPPED:
            decoded = json.loads(f'"{text[position:end]}"')
            (spoken if self._inside is _Inside.SPOKEN else self._kept).append(decoded)
        if text.startswith('"', end):
            self._end_string()
            return end + 1
        if _CUT_ESCAPE.match(text, end):
            self._held = text[end:]
        elif end < len(text):
            self._over = True
        return len(text)

    def _end_string(self) -> None:
        if self._inside is _Inside.SPOKEN:
            self._done = self._over = True
        elif self._inside is _Inside.KEY:
            self._wanted = self._take_kept() == self._field and len(self._brackets) == 1
            self._inside, self._expected = _Inside.NOTHING, _COLON
        else:
            self._end_value()

    def _read_scalar(self, text: str, position: int) -> int:
        part = _SCALAR_PART.match(text, position)
        end = part.end() if part else position
        self._kept.append(text[position:end])
        if end == len(text):
            return end
        if _SCALAR.fullmatch(self._take_kept()):
            self._end_value()
        else:
            self._over = True
        return end

    def _end_value(self) -> None:
        self._inside = _Inside.NOTHING
        if not self._brackets:
            self._over = True
        else:
            self._expected = _NEXT_MEMBER if self._brackets[-1] == "{" else _NEXT_ITEM

    def _take_kept(self) -> str:
        kept = "".join(self._kept)
        self._kept.clear()
        return kept


class SpokenCalls:
    """The spoken text of all tool calls of one turn, one call after the other, in the order of their start.

    If the pieces of calls arrive interleaved, the text of a later call is held back until the earlier call has ended.
    """

    __slots__ = ("_speaking",)

    def __init__(self) -> None:
        # The calls whose text may go on, each with its text that is held back.
        self._speaking: dict[int, tuple[SpokenField, list[tuple[str, int]]]] = {}

    def begin(self, index: int, field: str) -> None:
        """A call begins.

        Args:
            index: The call's index.
            field: The member of its arguments that is text for the user.
        """
        self._speaking[index] = SpokenField(field), []

    def feed(self, index: int, fragment: str, at_ns: int) -> list[tuple[str, int]]:
        """Takes the next fragment of a call's arguments.

        Args:
            index: The call's index.
            fragment: The fragment.
            at_ns: When it arrived.

        Returns:
            The texts that may be yielded now, each with its arrival.
        """
        if index not in self._speaking:
            return []
        field, said = self._speaking[index]
        text = field.feed(fragment)
        if text:
            said.append((text, at_ns))
        return self._due()

    def rest(self) -> list[tuple[str, int]]:
        """The texts that are still held back, after the last fragment."""
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
