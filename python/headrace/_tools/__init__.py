"""A Python function as a tool, and running the calls that a model makes."""

OFFERED = ("arguments", "tool", "toolbox")
"""The modules that other rooms may import."""
