"""Server-sent events of a stream, for an endpoint of the caller's own."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigurationError, HeadraceError, StreamError
from headrace.events import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from headrace.streams import AsyncRunStream
    from headrace.workflow import AsyncWorkflowStream

__all__ = ["sse"]

_KEEP_ALIVE = b": keep-alive\n\n"


async def sse(
    stream: AsyncRunStream[Any] | AsyncWorkflowStream[Any], *, keep_alive: float | None = 15.0
) -> AsyncIterator[bytes]:
    """Encodes a stream as server-sent events, for the response of your own endpoint.

    A token is ``data: {"text": …}``; an event has its name and its members. The last one is ``event: end`` with the
    state and the token counts, or ``event: error`` with the message, after everything that arrived before. If the
    response is dropped, because the client has left, the stream is closed.

    Args:
        stream: What ``arun_stream`` returned, of tokens or of events.
        keep_alive: Seconds of silence after which a comment is sent, so that no proxy takes the connection for dead;
            None for none.

    Yields:
        Whole server-sent events.

    Raises:
        ConfigurationError: ``keep_alive`` is no number of seconds above 0.

    Example:
        With FastAPI or Starlette::

            @app.post("/ask")
            async def ask(question: str) -> StreamingResponse:
                return StreamingResponse(sse(agent.arun_stream(question)), media_type="text/event-stream")
    """
    if keep_alive is not None and not (keep_alive > 0 and math.isfinite(keep_alive)):
        raise ConfigurationError(f"keep_alive must be a number of seconds above 0, or None, not {keep_alive!r}")
    items = stream.__aiter__()
    reading: asyncio.Future[Any] | None = None
    try:
        while True:
            reading = asyncio.ensure_future(items.__anext__())
            while not (await asyncio.wait({reading}, timeout=keep_alive))[0]:
                yield _KEEP_ALIVE
            try:
                item = reading.result()
            except StopAsyncIteration:
                break
            yield _encoded(item)
        yield _named("end", {"state": stream.state, "usage": _usage(stream)})
    except HeadraceError as error:
        state = error.state if isinstance(error, StreamError) else "failed"
        yield _named("error", {"type": type(error).__name__, "message": str(error), "state": state})
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
        await stream.aclose()


def _encoded(item: object) -> bytes:
    if isinstance(item, Event):
        return f"event: {item.type}\ndata: {item.to_json()}\n\n".encode()
    if isinstance(item, tuple):  # a workflow's token, with the name of its agent
        return _data({"agent": item[0], "text": item[1]})
    return _data({"text": item})


def _data(members: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(members, ensure_ascii=False)}\n\n".encode()


def _named(name: str, members: dict[str, Any]) -> bytes:
    return f"event: {name}\n".encode() + _data(members)


def _usage(stream: AsyncRunStream[Any] | AsyncWorkflowStream[Any]) -> dict[str, int | None] | None:
    usage = stream.usage
    if usage is None:
        return None
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
