"""Threads, event loops, and how native streams wake them."""

OFFERED = ("event_loop_thread", "threads", "wakeups")
"""The modules that other rooms may import."""
