"""An agent's options: checks them, and makes the specification of a run from them."""

OFFERED = (
    "arguments",
    "batches",
    "config",
    "display",
    "keywords",
    "on_demand",
    "pickling",
    "prepared",
    "run_input",
    "terminal",
)
"""The modules that other rooms may import."""
