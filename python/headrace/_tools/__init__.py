"""Tools: makes them of Python functions, and runs the tool calls of a model."""

OFFERED = ("arguments", "structured", "tool", "toolbox")
"""The modules that other rooms may import."""
