"""``headrace.sse`` with common HTTP clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest

from headrace import sse
from support.harness import PATIENCE

if TYPE_CHECKING:
    from support.harness import Simulate

REQUEST = {"model": "sim", "messages": [{"role": "user", "content": "Go."}], "stream": True}
WORDS = ["one", " two", " thrée 🦜"]


def words(events: list[sse.ServerSentEvent]) -> list[str]:
    """The text of a stream's events. Checks that the last one is the end marker."""
    *chunks, done = events
    assert done.data == "[DONE]"
    deltas = [chunk.json()["choices"][0]["delta"] for chunk in chunks]
    return [delta["content"] for delta in deltas if delta.get("content")]


@pytest.fixture(params=["frame", {"bytes": 5}], ids=["frames", "pieces"])
def url(simulate: Simulate, request: pytest.FixtureRequest) -> str:
    """The URL of a simulator. With one parameter, its HTTP chunks are frames; with the other, they are not."""
    return f"{simulate(WORDS, chunking=request.param).base_url}/chat/completions"


def test_decode_reads_httpx(url: str) -> None:
    with httpx.Client(timeout=PATIENCE) as client, client.stream("POST", url, json=REQUEST) as response:
        assert words(list(sse.decode(response.iter_raw()))) == WORDS


def test_adecode_reads_httpx(url: str) -> None:
    async def main() -> list[sse.ServerSentEvent]:
        async with httpx.AsyncClient(timeout=PATIENCE) as client, client.stream("POST", url, json=REQUEST) as response:
            return [event async for event in sse.adecode(response.aiter_raw())]

    assert words(asyncio.run(main())) == WORDS


def test_adecode_reads_aiohttp(url: str) -> None:
    async def main() -> list[sse.ServerSentEvent]:
        async with aiohttp.ClientSession() as session, session.post(url, json=REQUEST) as response:
            return [event async for event in sse.adecode(response.content.iter_any())]

    assert words(asyncio.run(main())) == WORDS


def test_events_are_yielded_before_the_response_is_complete(simulate: Simulate) -> None:
    simulator = simulate(WORDS, fault={"kind": "stall", "after": 1})
    url = f"{simulator.base_url}/chat/completions"
    with httpx.Client(timeout=PATIENCE) as client, client.stream("POST", url, json=REQUEST) as response:
        events = sse.decode(response.iter_raw())
        assert [next(events).json()["choices"][0]["delta"].get("content") or "" for _ in range(2)] == ["", "one"]
