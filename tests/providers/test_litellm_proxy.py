"""A real peer over a real socket: litellm's proxy, with its own mock answers and with those of a simulator.

The proxy has an environment of its own, since its dependencies and ours do not agree: ``make .venv-proxy/bin/litellm``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from headrace import BadRequestError, RateLimitError, StreamError
from headrace.testing import Simulator
from support.conversations import bodies, conversation
from support.dialects import weather
from support.harness import PATIENCE, REPOSITORY, Reader, agent_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STARTS_WITHIN = 4 * PATIENCE
pytestmark = pytest.mark.timeout(STARTS_WITHIN + PATIENCE)

MASTER_KEY = "sk-0123456789abcdefghijklmnop"
HELLO = "Hello from the proxy."

SCRIPT = conversation(
    {
        "reasoning": "Two places.",
        "signature": "c2lnbmVk",
        "text": ["Let me", " look."],
        "tool_calls": [{"name": "weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")],
    },
    {"text": ["Cold", " everywhere."], "usage": {"input_tokens": 90, "output_tokens": 2}},
)


def find_proxy() -> str:
    """The command that starts a proxy."""
    named = os.environ.get("HEADRACE_LITELLM_PROXY")
    command = named or str(REPOSITORY / ".venv-proxy" / "bin" / "litellm")
    if shutil.which(command) is None:
        assert named is None, f"HEADRACE_LITELLM_PROXY is no command: {named}"
        pytest.skip("no litellm proxy: `make .venv-proxy/bin/litellm`, or name one in HEADRACE_LITELLM_PROXY")
    return command


def models(upstream: Simulator) -> list[dict[str, Any]]:
    """What the proxy serves."""
    mocked = {"model": "openai/gpt-4o", "api_key": "none"}
    root = upstream.base_url.removesuffix("/v1")
    given = {
        "mock": {**mocked, "mock_response": HELLO},
        "busy": {**mocked, "mock_response": "litellm.RateLimitError"},
        "claude": {"model": "anthropic/claude-sonnet-4-5", "api_key": "none", "api_base": root},
    }
    return [{"model_name": name, "litellm_params": parameters} for name, parameters in given.items()]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    """The provider behind the proxy."""
    with Simulator(turns=SCRIPT) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def proxy(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a proxy."""
    command = find_proxy()
    folder = tmp_path_factory.mktemp("proxy")
    # JSON is valid YAML.
    config = {"model_list": models(upstream), "router_settings": {"num_retries": 0}}
    (folder / "config.yaml").write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {"LITELLM_MASTER_KEY": MASTER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    arguments = [command, "--config", "config.yaml", "--host", "127.0.0.1", "--port", port]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(arguments, cwd=folder, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_it_answers(process, url, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Waits until the proxy answers; fails if its process ends."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/liveliness").is_success:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            break
    pytest.fail(f"the proxy does not start:\n{log.read_text()[-4000:]}")


WAYS = {
    "chat": ("openai/{}", "/v1", "openai_chat"),
    "litellm_proxy": ("litellm_proxy/{}", "", "openai_chat"),
    "messages": ("anthropic/{}", "", "anthropic"),
    "responses": ("openai/responses/{}", "/v1", "openai_responses"),
}
each_way = pytest.mark.parametrize("way", WAYS)


def at_the_proxy(proxy: str, way: str, model: str, **options: Any) -> Any:
    name, path, _ = WAYS[way]
    return agent_at(proxy + path, model_name=name.format(model), llm_api_key=MASTER_KEY, **options)


@pytest.mark.parametrize("way", ["chat", "litellm_proxy", "messages"])
def test_a_mock_response_of_the_proxy_is_read(proxy: str, reader: Reader, way: str) -> None:
    # The proxy cannot stream mock answers in the dialect of OpenAI's responses.
    result = reader.read(at_the_proxy(proxy, way, "mock"), "Say hello.")
    assert ("".join(result.tokens), result.error, result.stream.state) == (HELLO, None, "complete")
    [turn] = result.stream.turns
    assert (turn.finish_reason, turn.dialect) == ("stop", WAYS[way][2])
    assert result.stream.usage is not None
    assert not result.stream.usage.estimated
    assert result.stream.usage.output_tokens


@each_way
def test_a_conversation_with_tools_goes_through_the_proxy(
    proxy: str, upstream: Simulator, reader: Reader, way: str
) -> None:
    upstream.reset()
    agent = at_the_proxy(proxy, way, "claude", tools=[weather], max_loops=3, system_prompt="You look up.")
    result = reader.read(agent, "How is it there?")
    assert (result.error, result.stream.final) == (None, "Cold everywhere.")
    first, last = result.stream.turns
    assert first.text == "Let me look."
    assert {turn.dialect for turn in (first, last)} == {WAYS[way][2]}
    asked = [(call.name, json.loads(call.arguments)) for call in first.tool_calls]
    assert asked == [("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})]
    assert (first.finish_reason, last.finish_reason) == ("tool_calls", "stop")
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens) == (90, 2)
    # The request that the provider behind the proxy got, in its own dialect.
    sent = json.dumps(bodies(upstream)[1]["messages"])
    for text in ("How is it there?", "Oslo: cold", "Rome: cold", "tool_use", "tool_result"):
        assert text in sent


@pytest.mark.parametrize("way", ["chat", "litellm_proxy", "messages"])
def test_errors_of_the_proxy_become_our_errors(proxy: str, reader: Reader, way: str) -> None:
    error = reader.read(at_the_proxy(proxy, way, "busy")).error
    assert type(error) is RateLimitError
    assert error.status == 429


@each_way
def test_the_error_for_a_model_that_the_proxy_does_not_have_names_it(proxy: str, reader: Reader, way: str) -> None:
    error = reader.read(at_the_proxy(proxy, way, "nobody")).error
    assert isinstance(error, BadRequestError)
    assert "nobody" in str(error)


@each_way
def test_a_stream_through_the_proxy_can_be_closed(proxy: str, upstream: Simulator, reader: Reader, way: str) -> None:
    upstream.reset()
    with reader.start(at_the_proxy(proxy, way, "claude")) as reading:
        assert reading.take(1)
    assert reading.stream.state == "cancelled"
    # The proxy still serves other streams.
    assert reader.read(at_the_proxy(proxy, way, "claude")).error is None


def test_a_wrong_path_at_the_proxy_is_an_error(proxy: str, reader: Reader) -> None:
    agent = agent_at(f"{proxy}/nothing/here", model_name="openai/mock", llm_api_key=MASTER_KEY)
    error = reader.read(agent).error
    assert isinstance(error, StreamError)
    assert error.status in {404, 405}
