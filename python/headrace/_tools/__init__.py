"""A Python function as a tool, and running the calls that a model makes."""

__all__ = ["arguments", "tool", "toolbox"]
