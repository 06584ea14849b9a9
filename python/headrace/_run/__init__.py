"""Carrying out what the loop decides: send requests, read the streams, run tools, and yield tokens or events."""

OFFERED = ("drive", "limits", "observer", "output", "read", "relay", "run", "state", "streams", "turn_log")
"""The modules that other rooms may import."""
