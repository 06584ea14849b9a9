"""The routes inside other applications: under uvicorn and granian, alone and mounted."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal

import httpx
import openai
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from headrace.serve import asgi
from support.conversations import bodies
from support.harness import PATIENCE, Simulate, agent_at, wait_until_disconnected, wait_until_it_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from headrace.testing import Simulator

TEXT = ["Water", " turns", " the", " wheel."]
STALL = {"text": TEXT, "fault": {"kind": "stall", "after": 1}}
GO: Any = [{"role": "user", "content": "Go."}]
ASK = {"model": "headrace-agent", "messages": GO}

MODULE = """
from headrace import Agent
from headrace.serve import asgi

application = asgi(Agent(model_name="openai/sim", llm_base_url={url!r}, llm_api_key="sk", print_on=False))
"""


@contextmanager
def under_uvicorn(application: Any, lifespan: Literal["on", "off"] = "on") -> Iterator[str]:
    config = uvicorn.Config(application, port=0, log_level="warning", lifespan=lifespan)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


@contextmanager
def under_granian(simulator: Simulator, folder: Path) -> Iterator[str]:
    (folder / "app.py").write_text(MODULE.format(url=simulator.base_url))
    # Granian does not tell which port it got, so it is told one.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "app:application"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: IO[str] | None = process.stdout
    assert lines is not None
    try:
        while "Started worker" not in (line := lines.readline()):
            assert line, "granian ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@contextmanager
def under(server: str, simulator: Simulator, folder: Path) -> Iterator[str]:
    if server == "granian":
        with under_granian(simulator, folder) as url:
            yield url
    else:
        with under_uvicorn(asgi(agent_at(simulator))) as url:
            yield url


SERVERS = pytest.mark.parametrize("server", ["uvicorn", "granian"])


@SERVERS
def test_the_openai_sdk_streams(simulate: Simulate, tmp_path: Path, server: str) -> None:
    simulator = simulate(turns=[{"text": TEXT}])
    with under(server, simulator, tmp_path) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            model = client.models.list().data[0].id
            chunks = list(client.chat.completions.create(model=model, messages=GO, stream=True))
            whole = client.chat.completions.create(model=model, messages=GO)
        page = httpx.get(url)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(TEXT)
    assert whole.choices[0].message.content == "".join(TEXT)
    assert page.headers["content-type"].startswith("text/html")


@SERVERS
def test_tokens_come_as_the_model_says_them(simulate: Simulate, tmp_path: Path, server: str) -> None:
    simulator = simulate(turns=[STALL])
    with under(server, simulator, tmp_path) as url, httpx.Client(timeout=PATIENCE) as client:
        model = client.get(f"{url}/v1/models").json()["data"][0]["id"]
        body = {**ASK, "model": model, "stream": True}
        with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
            for line in response.iter_lines():
                if "Water" in line:
                    break
            else:
                pytest.fail("the first token did not come")
        # Leaving the block closes the connection, and that of the model with it.
        wait_until_disconnected(simulator)


@SERVERS
def test_a_client_that_does_not_read_stops_the_models_socket(simulate: Simulate, tmp_path: Path, server: str) -> None:
    simulator = simulate(turns=[{"text": ["word " * 50], "repeat": 200_000}])
    with under(server, simulator, tmp_path) as url, httpx.Client(timeout=PATIENCE) as client:
        model = client.get(f"{url}/v1/models").json()["data"][0]["id"]
        body = {**ASK, "model": model, "stream": True}
        with client.stream("POST", f"{url}/v1/chat/completions", json=body):
            assert wait_until_it_blocks(simulator) < 60_000_000
        wait_until_disconnected(simulator)


def test_it_can_be_mounted_into_an_application(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT}])

    async def hello(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    application = Starlette(routes=[Route("/hello", hello), Mount("/ai", asgi(agent_at(simulator)))])
    with under_uvicorn(application) as url:
        assert httpx.get(f"{url}/hello").text == "hello"
        answer = httpx.post(f"{url}/ai/v1/chat/completions", json=ASK, timeout=PATIENCE)
        assert httpx.get(f"{url}/ai/v1/nothing").status_code == 404
        assert httpx.get(f"{url}/ai/").headers["content-type"].startswith("text/html")
    assert answer.json()["choices"][0]["message"]["content"] == "".join(TEXT)
    assert len(bodies(simulator)) == 1


def test_running_answers_end_before_the_application_does(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT}], pacing={"mode": "steady", "interval_ms": 100})
    application = asgi(agent_at(simulator))
    with httpx.Client(timeout=PATIENCE) as client:
        with under_uvicorn(application) as url:
            answer = client.stream("POST", f"{url}/v1/chat/completions", json={**ASK, "stream": True})
            response = answer.__enter__()
            lines = response.iter_lines()
            while "Water" not in next(lines):
                pass
            rest: list[str] = []
            reading = threading.Thread(target=lambda: rest.extend(lines))
            reading.start()
        reading.join(PATIENCE)
        answer.__exit__(None, None, None)
    assert "data: [DONE]" in rest


def test_a_body_that_is_too_large_is_refused(simulate: Simulate) -> None:
    with under_uvicorn(asgi(agent_at(simulate("Yes.")))) as url:
        body = {**ASK, "user": "x" * 34_000_000}
        assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE).status_code == 413


def test_it_works_without_a_lifespan(simulate: Simulate) -> None:
    with under_uvicorn(asgi(agent_at(simulate("Yes."))), lifespan="off") as url:
        answer = httpx.post(f"{url}/v1/chat/completions", json=ASK, timeout=PATIENCE).json()
    assert answer["choices"][0]["message"]["content"] == "Yes."
