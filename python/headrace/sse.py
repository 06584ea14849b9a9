"""headrace's decoder of server-sent events (SSE), for any source of bytes.

It follows the WHATWG HTML standard, section 9.2.6. The result never depends on how the bytes are split.

Example:
    >>> import httpx
    >>> from headrace import sse
    >>> url = f"{simulator.base_url}/chat/completions"
    >>> body = {"model": "sim", "messages": [{"role": "user", "content": "Say hello."}], "stream": True}
    >>> with httpx.stream("POST", url, json=body) as response:
    ...     events = list(sse.decode(response.iter_raw()))
    >>> events[1].event, events[1].json()["choices"][0]["delta"]
    ('message', {'content': 'Hello'})
    >>> events[-1].data
    '[DONE]'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._native import DEFAULT_MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

__all__ = ["SSEDecoder", "ServerSentEvent", "adecode", "decode"]


def decode(chunks: Iterable[bytes], *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> Iterator[ServerSentEvent]:
    r"""Decodes the SSE events of an iterable of bytes.

    Args:
        chunks: The stream, split anywhere.
        max_event_bytes: The size limit of one event, in bytes.

    Yields:
        Each event as soon as the blank line after it has arrived. At the end of the stream, an event without a blank
        line is discarded, as the standard requires.

    Raises:
        EventTooLargeError: An event is over the size limit. All events before it have been yielded.

    Example:
        >>> from headrace import sse
        >>> for event in sse.decode([b"event: greeting\nda", b'ta: {"to": "you"}\n\n', b"data: unfinished"]):
        ...     print(event.event, event.json())
        greeting {'to': 'you'}
    """
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    for chunk in chunks:
        yield from decoder.feed(chunk)
    decoder.close()


async def adecode(
    chunks: AsyncIterable[bytes], *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
) -> AsyncIterator[ServerSentEvent]:
    """Decodes the SSE events of an async iterable of bytes. See :func:`decode` for arguments, results and errors.

    Example:
        >>> import asyncio, aiohttp
        >>> from headrace import sse
        >>> url = f"{simulator.base_url}/chat/completions"
        >>> body = {"model": "sim", "messages": [{"role": "user", "content": "Say hello."}], "stream": True}
        >>> async def last_event():
        ...     async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        ...         return [event.data async for event in sse.adecode(response.content.iter_any())][-1]
        >>> asyncio.run(last_event())
        '[DONE]'
    """
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    async for chunk in chunks:
        for event in decoder.feed(chunk):
            yield event
    decoder.close()
