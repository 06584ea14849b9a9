"""Doing what the loop decides: driving it, reading its streams, showing the caller what came."""

__all__ = ["drive", "read", "run", "streams", "view"]
