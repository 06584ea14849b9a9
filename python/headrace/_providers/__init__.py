"""From a model call to an HTTP request."""

OFFERED = ("prepare", "requests")
"""The modules that other rooms may import."""
