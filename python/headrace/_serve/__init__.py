"""Serving agents over HTTP: what answers the requests that the native server has read."""

OFFERED = ("answer", "asgi", "events", "notices", "requests")
"""The modules that other rooms may import."""
