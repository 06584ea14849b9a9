"""Messages: their parts, trimming, pictures, signed reasoning, and the forms they are given out in."""

OFFERED = ("export", "images", "output", "parts", "reasoning", "trimming")
"""The modules that other rooms may import."""
