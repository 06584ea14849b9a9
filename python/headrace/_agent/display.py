"""Prints what a run shows: a panel on a terminal, without control characters; text as it is into a file or a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.panel import Panel

__all__ = ["note", "show_answer", "show_live"]


def note(line: str) -> None:
    """Prints a line for the user to standard error."""
    print(printable(f"headrace: {line}", sys.stderr), file=sys.stderr)


def show_answer(title: str, text: str) -> None:
    """Prints a complete answer to standard output.

    Args:
        title: The panel's title.
        text: The answer.
    """
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(_panel(title, text))
    else:
        print(printable(text, sys.stdout), flush=True)


def show_live(title: str, tokens: Iterable[str]) -> None:
    """Prints tokens to standard output as they arrive.

    Args:
        title: The panel's title.
        tokens: The tokens.
    """
    if sys.stdout.isatty():
        _show_panel(title, tokens)
        return
    for token in tokens:
        print(printable(token, sys.stdout), end="", flush=True)
    print(flush=True)


def _show_panel(title: str, tokens: Iterable[str]) -> None:
    from rich.live import Live

    text = ""
    # Rich draws in its own thread, so that drawing does not delay the tokens.
    with Live(_panel(title, text), refresh_per_second=20, vertical_overflow="visible") as live:
        for token in tokens:
            text += token
            live.update(_panel(title, text))


def _panel(title: str, text: str) -> Panel:
    from rich import panel
    from rich.text import Text

    # As `Text`, because rich would take a string for its markup.
    shown, heading = (Text(printable(part, sys.stdout)) for part in (text, title))
    return panel.Panel(shown, title=heading, title_align="left", border_style="blue")
