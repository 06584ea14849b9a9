"""What a loop may ask its driver to do.

A loop is a generator: it yields an effect, and is sent the effect's result or thrown its error. It decides everything
and does nothing, so that one loop serves the sync and the async driver alike.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from .types import ModelCall, Turn

__all__ = ["Effect", "Loop", "OpenTurn"]


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Ask a model, and give the caller each token as it comes. The result is the whole :class:`Turn`."""

    call: ModelCall


Effect: TypeAlias = OpenTurn

Loop: TypeAlias = Generator[Effect, Turn, None]
