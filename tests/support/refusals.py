"""What a provider refuses, and rules that several have."""

from __future__ import annotations

import re
from typing import NoReturn

__all__ = ["RefusedError", "check_name", "no_constant", "refuse"]


class RefusedError(Exception):
    """What a provider refuses.

    Args:
        words: The provider's words.
        source: Where they were seen, or where the rule is documented.
    """

    def __init__(self, words: str, source: str) -> None:
        super().__init__(f"{words} [{source}]")
        self.words = words
        self.source = source


def refuse(words: str, source: str) -> NoReturn:
    """Refuses a request, with the provider's words."""
    raise RefusedError(words, source)


def check_name(name: object, where: str) -> None:
    """OpenAI's rule for the names of tools."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        refuse(
            f"Invalid '{where}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            "https://github.com/mcp-use/mcp-use/pull/94",
        )


def no_constant(constant: str) -> NoReturn:
    """For ``json.loads``: NaN and Infinity are no JSON."""
    raise ValueError(constant)
