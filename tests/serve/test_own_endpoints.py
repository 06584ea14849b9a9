"""Streams in the responses of one's own endpoints: Starlette under uvicorn, as an application has it."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

import headrace.sse
from headrace import ConfigurationError
from headrace.serve import sse
from support.harness import PATIENCE, Simulate, agent_at, wait_until_disconnected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

TEXT = ["Water", " turns\n", " the", " “wheel”."]


@contextmanager
def application(stream: Callable[[], Any], **options: Any) -> Iterator[str]:
    """An application with one endpoint, which answers with a stream."""

    async def ask(_request: Request) -> StreamingResponse:
        return StreamingResponse(sse(stream(), **options), media_type="text/event-stream")

    config = uvicorn.Config(Starlette(routes=[Route("/ask", ask)]), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/ask"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def events_of(url: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a response: name and data."""
    decoder = headrace.sse.SSEDecoder()
    body = httpx.get(url, timeout=PATIENCE).content
    return [(event.event or "message", json.loads(event.data)) for event in decoder.feed(body)]


def test_tokens_become_events_and_the_last_one_tells_the_end(simulate: Simulate) -> None:
    agent = agent_at(simulate(turns=[{"text": TEXT}]))
    with application(lambda: agent.arun_stream("Go.")) as url:
        *tokens, end = events_of(url)
    assert tokens == [("message", {"text": token}) for token in TEXT]
    assert end[0] == "end"
    assert end[1]["state"] == "complete"
    assert end[1]["usage"]["output_tokens"] == len(TEXT)


def test_events_have_their_names(simulate: Simulate) -> None:
    agent = agent_at(simulate(turns=[{"text": TEXT}]))
    with application(lambda: agent.arun_stream("Go.", with_events=True)) as url:
        names = [name for name, _ in events_of(url)]
    assert names == ["run_start", "turn_start", *["token"] * len(TEXT), "turn_end", "run_end", "end"]


def test_an_error_comes_after_the_tokens(simulate: Simulate) -> None:
    agent = agent_at(simulate(turns=[{"text": TEXT, "fault": {"kind": "end", "after": 2}}]))
    with application(lambda: agent.arun_stream("Go.")) as url:
        *tokens, error = events_of(url)
    assert [data["text"] for _, data in tokens] == TEXT[:2]
    assert (error[0], error[1]["type"], error[1]["state"]) == ("error", "TruncatedError", "truncated")


def test_a_silent_stream_is_kept_alive_and_closed_when_the_client_leaves(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "stall", "after": 1}}])
    agent = agent_at(simulator)
    with (
        application(lambda: agent.arun_stream("Go."), keep_alive=0.01) as url,
        httpx.stream("GET", url, timeout=PATIENCE) as response,
    ):
        got = ""
        for text in response.iter_text():
            got += text
            if got.count(": keep-alive\n\n") >= 3:
                break
        assert got.startswith('data: {"text": "Water"}\n\n: keep-alive')
    wait_until_disconnected(simulator)


@pytest.mark.parametrize("keep_alive", [0, -1.0, float("inf"), float("nan")])
def test_a_wrong_interval_is_refused(keep_alive: float) -> None:
    async def first() -> bytes:
        stream: Any = agent_at("http://127.0.0.1:9/v1").arun_stream("Go.")
        return await sse(stream, keep_alive=keep_alive).__anext__()

    with pytest.raises(ConfigurationError, match="keep_alive must be a number of seconds above 0"):
        asyncio.run(first())
