"""Threads, event loops, and how a native stream wakes them."""

__all__ = ["threads", "wakeups"]
