"""Messages: their parts, trimming, pictures, signed reasoning, and the forms they are given out in."""

__all__ = ["export", "images", "output", "parts", "reasoning", "trimming"]
