"""Agents together: the steps of a workflow, and how several agents are read at once."""

OFFERED = ("run", "streams")
"""The modules that other rooms may import."""
