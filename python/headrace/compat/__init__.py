"""Programs that were written for another library, and run on headrace after a change of one import line."""

from . import swarms

__all__ = ["swarms"]

OFFERED = ("swarms",)
"""The modules that other rooms may import."""
