"""Runs by their ids: cancelling, saying more, and reading on where a client left off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from headrace import Timeouts
from headrace._cli.keys import new_key
from support.conversations import add, bodies, calling
from support.harness import PATIENCE, Simulate, agent_at, wait_until_disconnected
from support.serving import GO, MODEL, Running, request, serving_agents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = [f"{number} " for number in range(50)]
STALL = {"text": ["Water", " turns"], "fault": {"kind": "stall", "after": 1}}
PACED = {"mode": "steady", "interval_ms": 10}
ASK: dict[str, Any] = {"model": MODEL, "messages": GO, "stream": True}

ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", ASK),
    "messages": ("/v1/messages", {**ASK, "max_tokens": 9}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "Go.", "stream": True}),
    "ag-ui": ("/ag-ui", {"threadId": "t", "runId": "r", "messages": [{"id": "1", "role": "user", "content": "Go."}]}),
    "a2a": (
        "/a2a",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "SendStreamingMessage",
            "params": {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "Go."}]}},
        },
    ),
    "ui messages": ("/api/chat", {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Go."}]}]}),
}


class Stream:
    """A streamed response that is read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.run = response.headers["headrace-run"]
        self._lines = response.iter_lines()

    def until(self, wanted: str) -> str:
        """The lines up to and with the one that has what is wanted."""
        read: list[str] = []
        for line in self._lines:
            read.append(line)
            if wanted in line:
                break
        else:
            pytest.fail(f"{wanted!r} did not come: {read}")
        return "\n".join(read)

    def rest(self) -> str:
        return "\n".join(self._lines)


def opened(running: Running, route: str = "chat", **members: Any) -> Stream:
    client = running.clients.enter_context(httpx.Client(timeout=PATIENCE))
    path, body = ROUTES[route]
    return Stream(running.clients.enter_context(client.stream("POST", running.url + path, json={**body, **members})))


def events(text: str) -> Iterator[tuple[int, str]]:
    """The numbers and data of events."""
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in lines:
            yield int(lines["id"]), lines["data"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_client_cancels_its_run(simulate: Simulate, route: str) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents(agent_at(simulator)) as running:
        stream = opened(running, route)
        stream.until("Water")
        cancelled = request(running, f"/v1/runs/{stream.run}/cancel", {})
        assert cancelled.json()["status"] == "cancelled"
        assert "the run was cancelled" in stream.rest()
        wait_until_disconnected(simulator)
        assert request(running, f"/v1/runs/{stream.run}").status_code == 404


@pytest.mark.parametrize("route", ROUTES)
def test_a_client_that_leaves_cancels_its_run_on_every_route(simulate: Simulate, route: str) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents(agent_at(simulator)) as running:
        stream = opened(running, route)
        stream.until("Water")
        running.clients.close()
        wait_until_disconnected(simulator)


def test_a_whole_answer_can_be_cancelled(simulate: Simulate) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents(agent_at(simulator)) as running:
        stream = opened(running)  # only its id is known before the answer, so the run of another client is listed
        stream.until("Water")
        assert request(running, f"/v1/runs/{stream.run}").json()["status"] == "running"
        request(running, f"/v1/runs/{stream.run}/cancel", {})
        wait_until_disconnected(simulator)


def test_what_the_user_says_meanwhile_reaches_the_agent(simulate: Simulate) -> None:
    first = {"text": TEXT, "tool_calls": [calling("add", {"a": 1, "b": 2})]}
    simulator = simulate(turns=[{"when": {"role": "user", "contains": "shorter"}, "text": "Yes."}, first], pacing=PACED)
    with serving_agents(agent_at(simulator, tools=[add], max_loops=2)) as running:
        stream = opened(running)
        stream.until("0 ")
        assert request(running, f"/v1/runs/{stream.run}/steer", {"message": "Be shorter."}).status_code == 202
        stream.rest()
        wrong = request(running, f"/v1/runs/{stream.run}/steer", {"text": "Hm."})
    assert bodies(simulator)[-1]["messages"][-1] == {"role": "user", "content": "Be shorter."}
    assert wrong.status_code == 400


@pytest.mark.parametrize("route", ROUTES)
def test_a_client_reads_on_where_it_left_off(simulate: Simulate, route: str) -> None:
    simulator = simulate(turns=[{"text": TEXT}], pacing=PACED)
    with serving_agents(agent_at(simulator), on_disconnect="continue") as running:
        stream = opened(running, route)
        seen = list(events(stream.until("5 ") + "\n\n"))
        running.clients.close()
        headers = {"last-event-id": str(seen[-1][0])}
        rest = list(events(request(running, f"/v1/runs/{stream.run}/events", headers=headers).text))
        whole = list(events(request(running, f"/v1/runs/{stream.run}/events").text))
        status = request(running, f"/v1/runs/{stream.run}").json()
    assert seen + rest == whole
    assert [number for number, _ in whole] == list(range(1, len(whole) + 1))
    assert all(f'"{text}"' in str(whole) for text in TEXT)
    assert (status["status"], status["resumable"]) == ("complete", True)


@pytest.mark.parametrize(("last", "status"), [("7", 200), ("100000", 400), ("x", 400), ("-1", 400)])
def test_the_number_of_the_last_event_is_checked(simulate: Simulate, last: str, status: int) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}])), on_disconnect="continue") as running:
        stream = opened(running)
        stream.rest()
        response = request(running, f"/v1/runs/{stream.run}/events", headers={"last-event-id": last})
    assert response.status_code == status


def test_a_run_that_goes_on_can_still_be_cancelled(simulate: Simulate) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents(agent_at(simulator), on_disconnect="continue") as running:
        stream = opened(running)
        stream.until("Water")
        running.clients.close()
        assert request(running, f"/v1/runs/{stream.run}").json()["status"] == "running"
        request(running, f"/v1/runs/{stream.run}/cancel", {})
        wait_until_disconnected(simulator)
        assert "the run was cancelled" in request(running, f"/v1/runs/{stream.run}/events").text
        assert request(running, f"/v1/runs/{stream.run}").json()["status"] == "cancelled"


def test_events_that_are_not_kept_cannot_be_read_again(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[STALL]))) as running:
        stream = opened(running)
        stream.until("Water")
        response = request(running, f"/v1/runs/{stream.run}/events")
        assert request(running, "/v1/runs/run_unknown/events").status_code == 404
    assert response.status_code == 400
    assert "--on-disconnect continue" in response.json()["error"]["message"]


def test_a_run_belongs_to_the_key_that_it_came_with(simulate: Simulate, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    ann, bob = new_key("ann", keys), new_key("bob", keys)
    simulator = simulate(turns=[STALL])
    with serving_agents(agent_at(simulator), keys=keys, on_disconnect="continue") as running:
        client = running.clients.enter_context(httpx.Client(timeout=PATIENCE))
        asking = client.stream("POST", f"{running.url}/v1/chat/completions", json=ASK, headers={"x-api-key": ann})
        stream = Stream(running.clients.enter_context(asking))
        stream.until("Water")
        path = f"/v1/runs/{stream.run}"
        for action in ("", "/events"):
            assert request(running, path + action, headers={"x-api-key": bob}).status_code == 404
        assert request(running, f"{path}/cancel", {}, headers={"x-api-key": bob}).status_code == 404
        assert request(running, path, headers={"x-api-key": ann}).json()["status"] == "running"


@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
def test_a_silent_model_is_bridged_by_comments(simulate: Simulate, on_disconnect: str) -> None:
    simulator = simulate(turns=[{"text": ["Water"], "pacing": {"mode": "steady", "interval_ms": 1, "first_ms": 1500}}])
    with serving_agents(agent_at(simulator), keep_alive=0.1, on_disconnect=on_disconnect) as running:
        stream = opened(running)
        got = stream.until("Water")
    assert got.count(": keep-alive") >= 2


def test_an_error_after_a_comment_is_in_the_stream(simulate: Simulate) -> None:
    stall = {"text": ["a"], "fault": {"kind": "stall", "after": 0}}
    agent = agent_at(simulate(turns=[stall]), timeouts=Timeouts(first_token=0.5))
    with serving_agents(agent, keep_alive=0.05) as running:
        response = request(running, "/v1/chat/completions", ASK)
    assert response.status_code == 200
    assert ": keep-alive" in response.text
    last = [line for line in response.text.splitlines() if line.startswith("data: {")][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["type"] == "server_error"
