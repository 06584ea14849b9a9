"""Several agents on one task: the run of a workflow, and how parallel agents are read."""

OFFERED = ("run", "streams")
"""The modules that other rooms may import."""
