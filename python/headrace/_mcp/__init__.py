"""The tools of MCP servers: the configuration of servers, and the sessions with them."""

OFFERED = ("secrets", "servers", "sessions")
"""The modules that other rooms may import."""
