"""The tools of MCP servers: which servers there are, and the sessions with them."""

OFFERED = ("servers", "sessions")
"""The modules that other rooms may import."""
