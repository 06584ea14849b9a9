"""The tools of MCP servers: which servers there are, and the sessions with them."""

__all__ = ["servers", "sessions"]
