"""The only code that knows litellm: it builds requests for whatever litellm can name."""

OFFERED = ("build", "templates")
"""The modules that other rooms may import."""
