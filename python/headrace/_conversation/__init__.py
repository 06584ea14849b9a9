"""Messages of a conversation: parts, trimming, images, signed reasoning, repairs, export and output forms."""

OFFERED = ("export", "given", "images", "legal", "output", "parts", "reasoning", "trimming")
"""The modules that other rooms may import."""
