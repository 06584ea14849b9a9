"""An agent's options: checking them, and making the specification of a run."""

__all__ = ["config", "display", "on_demand"]
