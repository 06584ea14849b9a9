"""Text out of a tool call's arguments, while they arrive.

In the autonomous cycle a model may answer only in tool calls: what it says to the user is then one string member of
the arguments' JSON, such as ``complete_task``'s ``summary``. This reads that member from JSON that is not whole yet.

The grammar is as strict as that of the parser which will read the arguments when they are whole.
"""

from __future__ import annotations

import enum
import json
import re

__all__ = ["SpokenCalls", "SpokenField"]

# What may come next, as the characters that it may begin with: one test then refuses all that the grammar does not
# allow. A scalar is only checked when it is whole.
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
# NaN and the infinities are numbers here because they are to Python's own parser.
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null|NaN|-?Infinity")

# An escape that the fragment's end cuts waits for the next fragment. So does the first half of a surrogate pair, for as
# long as the second half may still follow: it is one character only together with that.
_FIRST_HALF = r"u[dD][89abAB][0-9a-fA-F]{2}"
_CUT_SECOND_HALF = r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z"
_CUT_ESCAPE = re.compile(rf"\\(?:\Z|u[0-9a-fA-F]{{0,3}}\Z|{_FIRST_HALF}{_CUT_SECOND_HALF})")
_PIECE = re.compile(
    rf'[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|(?!{_FIRST_HALF}{_CUT_SECOND_HALF})u[0-9a-fA-F]{{4}})',
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _Inside(enum.Enum):
    """The kind of token that the last fragment ended in."""

    NOTHING = enum.auto()
    SCALAR = enum.auto()
    KEY = enum.auto()
    SPOKEN = enum.auto()
    SKIPPED = enum.auto()


class SpokenField:
    """One string member of a JSON object, decoded while the object's text arrives.

    Only a member of the outermost object counts, and the first of several with the same name, since what was spoken
    cannot be taken back. A value that is not a string speaks nothing. The time is linear in the text, however it is
    cut, and no more is kept of it than one key or number, one escape and the open brackets.

    Args:
        field: The member's name.
    """

    __slots__ = ("_brackets", "_done", "_expected", "_field", "_held", "_inside", "_kept", "_over", "_wanted")

    def __init__(self, field: str) -> None:
        self._field = field
        self._inside = _Inside.NOTHING
        self._expected = _DOCUMENT
        self._brackets: list[str] = []
        self._held = ""  # the escape that the last fragment's end cut
        self._kept: list[str] = []  # the pieces of the current key or scalar
        self._wanted = False  # whether the last key was the field's
        self._over = False
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the field's string has ended, so that all of it was spoken."""
        return self._done

    @property
    def over(self) -> bool:
        """Whether nothing more can be spoken, whatever comes."""
        return self._over

    def feed(self, fragment: str) -> str:
        r"""Takes the next fragment of the object's text.

        It never fails: where the text stops being JSON, what could be decoded up to there was spoken, and nothing more
        comes.

        Args:
            fragment: Any number of characters. It may end anywhere, inside ``\u00e9`` too.

        Returns:
            The part of the field's string that this fragment made known; often "". Lone surrogates are U+FFFD.
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
