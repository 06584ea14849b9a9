"""The command ``headrace``."""

__all__ = ["app"]
