"""Messages of a conversation: parts, trimming, images, signed reasoning, export and output forms."""

OFFERED = ("export", "images", "output", "parts", "reasoning", "trimming")
"""The modules that other rooms may import."""
