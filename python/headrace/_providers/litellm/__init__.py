"""The only code that knows litellm: it builds requests for every model that litellm knows."""

OFFERED = ("build", "templates")
"""The modules that other rooms may import."""
