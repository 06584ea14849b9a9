"""Measuring the latency of a model's endpoint or an agent, and of the client that measures it."""

OFFERED = (
    "agents",
    "arrivals",
    "asked",
    "comparison",
    "findings",
    "foreign",
    "loads",
    "merging",
    "metrics",
    "prompts",
    "report",
    "self_error",
    "senders",
    "statistics",
    "sweeps",
    "synthetic",
    "targets",
    "traces",
    "truth",
    "verdict",
)
"""The modules that other rooms may import."""
