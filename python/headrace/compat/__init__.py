"""The names of other libraries, for programs that were written for them."""

from . import swarms

__all__ = ["swarms"]

OFFERED = ("swarms",)
"""The modules that other rooms may import."""
