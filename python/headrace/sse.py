"""Server-sent events on their own: headrace's decoder, for any source of bytes.

It follows all of the WHATWG HTML standard, section 9.2.6. The result never depends on how the bytes were split::

    with httpx.stream("POST", url, json=body) as response:
        for event in headrace.sse.decode(response.iter_raw()):
            print(event.event, event.json())

    async with session.post(url, json=body) as response:          # aiohttp
        async for event in headrace.sse.adecode(response.content.iter_any()):
            ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._native import DEFAULT_MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

__all__ = ["SSEDecoder", "ServerSentEvent", "adecode", "decode"]


def decode(chunks: Iterable[bytes], *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> Iterator[ServerSentEvent]:
    """Decodes the events of an iterable of bytes.

    Args:
        chunks: The stream, split anywhere.
        max_event_bytes: The cap on one event.

    Yields:
        Each event as soon as its blank line has been read. An event without one is discarded, as the standard says.

    Raises:
        EventTooLargeError: An event is over the cap. All events before it have been yielded.
    """
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    for chunk in chunks:
        yield from decoder.feed(chunk)
    decoder.close()


async def adecode(
    chunks: AsyncIterable[bytes], *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
) -> AsyncIterator[ServerSentEvent]:
    """Decodes the events of an async iterable of bytes. See :func:`decode`."""
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    async for chunk in chunks:
        for event in decoder.feed(chunk):
            yield event
    decoder.close()
