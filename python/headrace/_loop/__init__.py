"""Decides what an agent does next: policy, no I/O."""

OFFERED = ("autonomous", "calls", "client_tools", "effects", "spec", "structured", "turns")
"""The modules that other rooms may import."""
