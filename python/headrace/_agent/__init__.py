"""An agent's options: checking them, and making the specification of a run."""

OFFERED = ("config", "display", "on_demand")
"""The modules that other rooms may import."""
