"""Doing what the loop decides: driving it, reading its streams, giving the caller what it wants to see."""

OFFERED = ("drive", "output", "read", "run", "state", "streams", "turn_log")
"""The modules that other rooms may import."""
