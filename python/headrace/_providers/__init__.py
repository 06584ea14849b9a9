"""From a model call to an HTTP request."""

__all__ = ["prepare", "requests"]
