"""Clients that leave, that are slow, and that come while the server stops."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from headrace import ConfigurationError, SequentialWorkflow
from headrace.serve import Server
from support.harness import (
    PATIENCE,
    Simulate,
    agent_at,
    asking,
    bytes_written,
    wait_until_disconnected,
    wait_until_it_blocks,
)
from support.serving import Running, serving_agents

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import Agent

STALL = {"text": ["Water", " turns"], "fault": {"kind": "stall", "after": 1}}
SILENT = {"text": ["Water", " turns"], "fault": {"kind": "stall", "after": 0}}


def called_back(agent: Agent) -> Agent:
    """The agent with a callback for tokens."""
    agent.streaming_callback = lambda _token: None
    return agent


KINDS: dict[str, Callable[[Agent], Any]] = {
    "relayed": lambda agent: agent,
    "called back": called_back,
    "workflow": lambda agent: SequentialWorkflow(agents=[agent]),
}


def ask(running: Running, **members: Any) -> socket.socket:
    """A request by a client that can leave at any time."""
    body = {"model": "agent", "messages": [{"role": "user", "content": "Go."}], "stream": True, **members}
    content = json.dumps(body).encode()
    host, port = running.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """What the server sends, up to and with what is wanted."""
    got = b""
    while wanted not in got:
        block = connection.recv(65536)
        assert block, got
        got += block
    return got


def answered(running: Running) -> bytes:
    """A whole answer."""
    with ask(running) as connection:
        return read_until(connection, b"[DONE]")


def wait_until_refused(url: str) -> None:
    """Waits until nobody listens any more."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            httpx.get(url)
        except httpx.TransportError:
            return
    pytest.fail("the server still takes connections")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_closes_the_models_connection(simulate: Simulate, kind: str, stream: bool) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents({"agent": KINDS[kind](agent_at(simulator))}) as running:
        connection = ask(running, stream=stream)
        if stream:
            read_until(connection, b"Water")
        else:
            assert simulator.wait_for(lambda report: report["requests_seen"] == 1)
        connection.close()
        wait_until_disconnected(simulator)


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_may_leave_before_the_first_token(simulate: Simulate, kind: str) -> None:
    simulator = simulate(turns=[SILENT])
    with serving_agents({"agent": KINDS[kind](agent_at(simulator))}) as running:
        connection = ask(running)
        assert simulator.wait_for(lambda report: report["requests_seen"] == 1)
        connection.close()
        wait_until_disconnected(simulator)


def test_a_slow_client_stops_the_models_socket(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": ["word " * 50], "repeat": 200_000}])
    with serving_agents({"agent": agent_at(simulator)}) as running:
        connection = ask(running)
        read_until(connection, b"word")
        blocked = wait_until_it_blocks(simulator)
        assert blocked < 40_000_000
        connection.close()
        wait_until_disconnected(simulator)
        assert bytes_written(simulator) < 40_000_000


def test_a_slow_client_gets_everything(simulate: Simulate) -> None:
    tokens = [f" {number}" for number in range(20_000)]
    agent = agent_at(simulate(turns=[{"text": tokens}]))
    with serving_agents({"agent": agent}) as running, ask(running) as connection:
        got = read_until(connection, b"assistant")
        # The rest has filled every buffer by the time it is read.
        text = (got + read_until(connection, b"[DONE]")).decode()
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    said = [choice["delta"].get("content", "") for event in events for choice in json.loads(event)["choices"]]
    assert "".join(said).split() == "".join(tokens).split()


def test_python_does_nothing_for_each_token(simulate: Simulate) -> None:
    counts: list[int] = []
    for tokens in (20, 5000):
        agent = agent_at(simulate(turns=[{"text": ["word "], "repeat": tokens}]))
        with serving_agents({"agent": agent}) as running:
            frames = 0

            def count(_frame: object, _event: str, _argument: object) -> None:
                nonlocal frames
                frames += 1

            answered(running)  # everything is imported and made
            running.call(lambda: sys.setprofile(count))
            answered(running)
            running.call(lambda: sys.setprofile(None))
            counts.append(frames)
    assert abs(counts[1] - counts[0]) < 200


def test_many_clients_at_once(simulate: Simulate) -> None:
    pacing = {"mode": "steady", "interval_ms": 2}
    simulator = simulate(turns=[{"text": [f"{number} " for number in range(20)]}], pacing=pacing)
    with serving_agents({"agent": agent_at(simulator)}) as running, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _number: answered(running).decode(), range(200)))
    assert all(f'"content":"{number} "' in answer for answer in answers for number in range(20))


# --- stopping --------------------------------------------------------------------------------------------------


def test_draining_lets_running_answers_end_and_takes_no_more(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": ["a ", "b ", "c "]}], pacing={"mode": "steady", "interval_ms": 100})
    with serving_agents({"agent": agent_at(simulator)}) as running, ask(running) as connection:
        read_until(connection, b"a ")
        running.call(lambda: running.server.drain(60))
        assert b"[DONE]" in read_until(connection, b"[DONE]")
        wait_until_refused(f"{running.url}/health/live")


def test_draining_waits_until_a_slow_client_has_everything(simulate: Simulate) -> None:
    agent = agent_at(simulate(turns=[{"text": ["word "], "repeat": 100_000}]))
    with serving_agents({"agent": agent}) as running, ask(running) as connection, ThreadPoolExecutor(1) as pool:
        got = connection.recv(1000)

        async def drain_and_stop() -> None:
            await running.server.drain(PATIENCE)
            await running.server.stop()

        stopped = pool.submit(running.call, drain_and_stop)
        while block := connection.recv(256):
            got = got[-1000:] + block
        stopped.result(PATIENCE)
    assert b"[DONE]" in got


def test_stopping_cancels_what_runs(simulate: Simulate) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents({"agent": agent_at(simulator)}) as running, ask(running) as connection:
        read_until(connection, b"Water")
        running.call(running.server.stop)
        wait_until_disconnected(simulator)
        while connection.recv(65536):
            pass


def test_a_stopped_server_can_be_started_again(simulate: Simulate) -> None:
    async def main() -> list[int]:
        server = Server({"agent": agent_at(simulate(turns=[{"text": "Yes."}]))}, port=0)
        statuses: list[int] = []
        for _ in range(2):
            async with server, httpx.AsyncClient() as client:
                statuses.append((await client.get(f"{server.url}/health/live")).status_code)
        return statuses

    assert asyncio.run(main()) == [200, 200]


@pytest.mark.parametrize(
    ("agents", "options", "error"),
    [
        ([], {}, "there is nothing to serve"),
        ("twice", {}, "two agents have the same name"),
        ({"agent": 7}, {}, "'agent' is of type int, and neither an agent nor a workflow"),
        ("one", {"host": "0.0.0.0"}, "can be reached from other machines: give a file of keys"),
        ("one", {"host": "example.org"}, "can be reached from other machines"),
    ],
)
def test_what_cannot_be_served_is_refused(agents: Any, options: dict[str, Any], error: str) -> None:
    agent = asking(lambda _prompt: "Yes.")
    named: dict[str, Any] = {"one": agent, "twice": [agent, agent]}
    given: Any = named[agents] if isinstance(agents, str) else agents
    with pytest.raises(ConfigurationError, match=error):
        Server(given, **options)


def test_a_server_that_does_not_run_says_so() -> None:
    server = Server(asking(lambda _prompt: "Yes."))
    with pytest.raises(ConfigurationError, match="not running"):
        _ = server.url
