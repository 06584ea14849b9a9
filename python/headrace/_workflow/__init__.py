"""Agents together: the steps of a workflow, and how several agents are read at once."""

__all__ = ["run", "streams"]
