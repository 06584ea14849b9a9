"""Threads, event loops, and how native streams wake them."""

__all__ = ["loop_thread", "threads", "wakeups"]
