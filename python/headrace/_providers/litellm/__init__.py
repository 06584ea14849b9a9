"""The only code that knows litellm: it builds requests for whatever litellm can name."""

__all__ = ["build", "templates"]
