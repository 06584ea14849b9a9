"""swarms' names, defaults and return forms, on top of ours; ``headrace.compat.swarms`` offers them."""

OFFERED = ("agent", "conversation", "keywords", "workflows")
"""The modules that other rooms may import."""
