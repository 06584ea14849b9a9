"""Doing what the loop decides: driving it, reading its streams, giving the caller what it wants to see."""

__all__ = ["drive", "output", "read", "run", "state", "streams", "turn_log"]
