"""The command ``headrace``."""

OFFERED = ("app",)
"""The modules that other rooms may import."""
