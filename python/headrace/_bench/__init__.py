"""Measuring the latency of a model's endpoint, and of the client that measures it."""

OFFERED = ("loads", "metrics", "prompts", "report", "self_error", "targets", "verdict")
"""The modules that other rooms may import."""
