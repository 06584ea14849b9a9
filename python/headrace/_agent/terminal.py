"""Text for a terminal, which takes some characters for commands.

What models, tools, servers and agents' names say may contain them: to set the title or the clipboard, to move the
cursor, to overwrite what stands there, or to show text in another order. On a terminal they are left out; newline and
tab stay. Into a file or a pipe text goes as it is, for the programs that read it. In both, a character that the
stream's encoding does not have becomes ``?``, so that no answer is lost to it.
"""

from __future__ import annotations

import re
from typing import Final, TextIO

__all__ = ["printable", "printable_json"]

# C0 and C1 except newline and tab, DEL, and the marks, embeddings, overrides and isolates of text direction.
_CONTROL: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str, stream: TextIO) -> str:
    """The text as it can be written to a stream: as it is, or without control characters if that is a terminal."""
    return _encodable(_CONTROL.sub("", text) if _real(stream).isatty() else text, stream)


def printable_json(text: str, stream: TextIO) -> str:
    """A JSON text as it can be written to a stream. On a terminal control characters are escaped, so it stays JSON."""
    return _encodable(
        _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) if _real(stream).isatty() else text, stream
    )


def _real(stream: TextIO) -> TextIO:
    """The stream itself. While rich draws a panel, it puts a stand-in in its place, which tells less."""
    real: TextIO = getattr(stream, "rich_proxied_file", stream)
    return real


def _encodable(text: str, stream: TextIO) -> str:
    encoding = _real(stream).encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
