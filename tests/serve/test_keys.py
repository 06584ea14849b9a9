"""Who may ask, and how much: keys, limits, places, and pages of other origins."""

from __future__ import annotations

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from headrace import ConfigurationError
from headrace._cli.keys import new_key
from headrace.serve import Server
from support.harness import PATIENCE, Simulate, agent_at, asking, wait_until_disconnected
from support.serving import GO, MODEL, Running, openai_at, request, serving_agents, streamed

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.testing import Simulator

ONE = {"text": "Yes."}
STALL = {"text": ["Water", " turns"], "fault": {"kind": "stall", "after": 1}}
ASK = {"model": MODEL, "messages": GO}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def with_key(running: Running, key: str, body: dict[str, Any] | None = None) -> Any:
    return request(running, "/v1/chat/completions", body or ASK, headers={"authorization": f"Bearer {key}"})


def begun(running: Running, key: str | None = None) -> socket.socket:
    """A request whose stream has begun and goes on."""
    content = json.dumps({**ASK, "stream": True}).encode()
    host, port = running.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
    authorization = f"authorization: Bearer {key}\r\n" if key else ""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n{authorization}"
    connection.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    got = b""
    while b"Water" not in got:
        block = connection.recv(65536)
        assert block, got
        got += block
    return connection


def test_a_server_with_keys_answers_only_to_them(simulate: Simulate, keys: Path) -> None:
    key = new_key("ann", keys)
    assert key not in keys.read_text()
    with serving_agents(agent_at(simulate(turns=[ONE])), keys=keys) as running:
        client = openai_at(running, key)
        messages: Any = GO
        assert client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content == "Yes."
        for wrong in ("none", key[:-1], key + "x"):
            with pytest.raises(openai.AuthenticationError, match="not known"):
                openai_at(running, wrong).models.list()
        other = anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0)
        with running.clients.enter_context(other), pytest.raises(anthropic.AuthenticationError) as caught:
            other.messages.create(model=MODEL, max_tokens=9, messages=GO)
    assert caught.value.body == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "this key is not known here"},
    }


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/health/live", None, 200),
        ("/health/ready", None, 200),
        ("/", None, 200),
        ("/metrics", None, 401),
        ("/v1/models", None, 401),
        ("/v1/chat/completions", ASK, 401),
        ("/v1/messages", ASK, 401),
        ("/v1/responses", ASK, 401),
        ("/ag-ui", ASK, 401),
        ("/api/chat", ASK, 401),
        ("/v1/runs/run_1", None, 401),
        ("/v1/runs/run_1/cancel", {}, 401),
    ],
)
def test_what_needs_a_key(simulate: Simulate, keys: Path, path: str, body: Any, status: int) -> None:
    new_key("ann", keys)
    with serving_agents(agent_at(simulate(turns=[ONE])), keys=keys) as running:
        response = request(running, path, body)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_a_key_may_ask_only_its_models(simulate: Simulate, keys: Path) -> None:
    key = new_key("ann", keys, models=("poet",))
    simulator = simulate(turns=[ONE])
    with serving_agents({name: agent_at(simulator) for name in ("poet", MODEL)}, keys=keys) as running:
        assert [model.id for model in openai_at(running, key).models.list()] == ["poet"]
        response = with_key(running, key)
        assert (response.status_code, response.json()["error"]["type"]) == (403, "permission_error")
        assert with_key(running, key, {**ASK, "model": "poet"}).status_code == 200


def limited(simulator: Simulator, keys: Path, **limits: Any) -> Any:
    key = new_key("ann", keys, **limits)
    return serving_agents(agent_at(simulator), keys=keys), key


def assert_limited(response: Any, limit: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (429, "rate_limit_error")
    assert limit in error["message"]
    assert 1 <= int(response.headers["retry-after"]) <= 60


def test_requests_of_a_key_are_limited(simulate: Simulate, keys: Path) -> None:
    serving, key = limited(simulate(turns=[ONE]), keys, requests_per_minute=2)
    with serving as running:
        assert [with_key(running, key).status_code for _ in range(2)] == [200, 200]
        assert_limited(with_key(running, key), "2 requests a minute")


def test_tokens_of_a_key_are_limited(simulate: Simulate, keys: Path) -> None:
    serving, key = limited(simulate(turns=[ONE]), keys, tokens_per_minute=1)
    with serving as running:
        assert with_key(running, key).status_code == 200
        assert_limited(with_key(running, key), "1 tokens a minute")


def test_tokens_of_an_answer_that_is_left_count_too(simulate: Simulate, keys: Path) -> None:
    simulator = simulate(turns=[STALL])
    serving, key = limited(simulator, keys, tokens_per_minute=1)
    with serving as running:
        begun(running, key).close()
        wait_until_disconnected(simulator)
        while (response := with_key(running, key, {**ASK, "messages": []})).status_code == 400:
            pass  # the run has not ended yet
    assert_limited(response, "1 tokens a minute")


def test_streams_of_a_key_are_limited_until_they_end(simulate: Simulate, keys: Path) -> None:
    simulator = simulate(turns=[STALL])
    serving, key = limited(simulator, keys, streams=1)
    with serving as running:
        connection = begun(running, key)
        assert_limited(with_key(running, key), "1 answers at a time")
        connection.close()
        while with_key(running, key, {**ASK, "stream": True, "messages": []}).status_code == 429:
            pass  # the server has not noticed yet that its client has left


def test_keys_are_read_again_when_their_file_changes(simulate: Simulate, keys: Path) -> None:
    first = new_key("ann", keys)
    with serving_agents(agent_at(simulate(turns=[ONE])), keys=keys) as running:
        assert with_key(running, first).status_code == 200
        second = new_key("bob", keys)
        while with_key(running, second).status_code == 401:
            pass  # the file is looked at once a second
        assert with_key(running, first).status_code == 200


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "No such file"), ("", "no key in it"), ("[[key]]\n", "missing `name`|missing field"), ("?", "line 1")],
)
def test_a_file_of_keys_that_is_wrong_is_refused_at_the_start(keys: Path, text: str | None, why: str) -> None:
    if text is not None:
        keys.write_text(text)

    async def main() -> None:
        await Server(asking(lambda _prompt: "Yes."), port=0, keys=keys).start()

    with pytest.raises(ConfigurationError, match=why):
        asyncio.run(main())


def test_two_keys_cannot_have_one_name(keys: Path) -> None:
    new_key("ann", keys)
    with pytest.raises(ConfigurationError, match="'ann' already"):
        new_key("ann", keys)


def test_the_keys_file_is_for_its_owner_only(keys: Path) -> None:
    new_key("ann", keys)
    assert keys.stat().st_mode & 0o077 == 0


# --- places ----------------------------------------------------------------------------------------------------


def test_further_requests_wait_and_too_many_are_refused(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"when": {"contains": "Go."}, **STALL}, ONE])
    with serving_agents(agent_at(simulator), max_streams=1, max_waiting=1) as running:
        first = begun(running)
        with ThreadPoolExecutor(1) as pool:
            second: Any = {"model": MODEL, "messages": [{"role": "user", "content": "And you?"}]}
            waiting = pool.submit(request, running, "/v1/chat/completions", second)
            while "headrace_waiting 1" not in request(running, "/metrics").text:
                assert not waiting.done()
            refused = request(running, "/v1/chat/completions", second)
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
            assert request(running, "/health/live").status_code == 200
            first.close()
            assert waiting.result(PATIENCE).json()["choices"][0]["message"]["content"] == "Yes."


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_takes_too_long_is_ended(simulate: Simulate, stream: bool) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents(agent_at(simulator), max_seconds=1.0) as running:
        response = request(running, "/v1/chat/completions", {**ASK, "stream": stream})
        wait_until_disconnected(simulator)
    # A stream that has begun in time, as on any machine that is not very busy, has its status and its tokens.
    begun = stream and response.status_code == 200
    assert begun or response.status_code == 504
    assert "longer than the 1 s" in response.text
    assert ("Water" in response.text) == begun


# --- pages of other origins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cors", "allowed"),
    [([], None), (["https://a.example"], "https://a.example"), (["https://b.example"], None), (["*"], "*")],
)
def test_pages_of_other_origins_need_leave(simulate: Simulate, cors: list[str], allowed: str | None) -> None:
    headers = {"origin": "https://a.example"}
    wants = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    with serving_agents(agent_at(simulate(turns=[ONE])), cors=cors) as running:
        response = request(running, "/v1/chat/completions", ASK, headers=headers)
        preflight = request(running, "/v1/chat/completions", method="OPTIONS", headers={**headers, **wants})
    assert response.status_code == (403 if allowed is None else 200)
    assert response.headers.get("access-control-allow-origin") == allowed
    assert preflight.status_code == (405 if allowed is None else 204)
    if allowed is not None:
        assert preflight.headers["access-control-allow-headers"] == "authorization"


def test_a_page_of_another_origin_starts_nothing(simulate: Simulate) -> None:
    simulator = simulate(turns=[ONE])
    with serving_agents(agent_at(simulator)) as running:
        # A browser sends this without asking before, and keeps only the response from the page.
        headers = {"origin": "https://evil.example", "content-type": "text/plain"}
        assert request(running, "/v1/chat/completions", ASK, headers=headers).status_code == 403
        own = {"origin": running.url}
        assert request(running, "/v1/chat/completions", ASK, headers=own).status_code == 200
    assert simulator.report()["requests_seen"] == 1


@pytest.mark.parametrize(("public", "status"), [(False, 403), (True, 200)])
def test_a_name_of_the_web_does_not_lead_to_a_server_for_this_machine(
    simulate: Simulate, public: bool, status: int
) -> None:
    with serving_agents(agent_at(simulate(turns=[ONE])), public=public) as running:
        headers = {"host": "evil.example:8000", "origin": "http://evil.example:8000"}
        assert request(running, "/v1/chat/completions", ASK, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cors": "*"}, "a list of origins"),
        ({"cors": ["https://a.example/"]}, "is no origin"),
        ({"expose": "everything"}, "expose must be one of 'text', 'tools', 'all'"),
        ({"on_disconnect": "go on"}, "on_disconnect must be one of"),
        ({"keep_alive": 0}, "keep_alive must be a number above 0"),
        ({"max_streams": 0}, "max_streams must be a number above 0"),
        ({"max_seconds": -1}, "max_seconds must be a number above 0"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigurationError, match=error):
        Server(asking(lambda _prompt: "Yes."), **options)


def test_other_machines_are_served_with_keys_or_on_purpose(keys: Path) -> None:
    new_key("ann", keys)
    agent = asking(lambda _prompt: "Yes.")
    assert Server(agent, host="0.0.0.0", keys=keys).needs_key
    assert not Server(agent, host="0.0.0.0", public=True).needs_key


def test_a_request_may_be_large_but_not_too_large(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[ONE]))) as running:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 20_000_000}}
        messages: Any = [{"role": "user", "content": [{"type": "text", "text": "Look."}, image]}]
        assert len(streamed(running, messages=messages)) > 1
        response = request(running, "/v1/chat/completions", {**ASK, "user": "x" * 34_000_000})
    assert response.status_code == 413
    assert "32 MiB" in response.json()["error"]["message"]
