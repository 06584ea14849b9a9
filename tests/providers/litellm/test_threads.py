"""The guard with several threads and tasks: it captures only the requests that it should capture."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from headrace import Agent
from headrace._providers import prepare, requests
from headrace._providers.litellm import capture, templates
from headrace.types import ModelCall, ModelSettings
from support.harness import PATIENCE, collect, outcomes
from support.litellm_providers import KEY

if TYPE_CHECKING:
    from support.harness import Simulate

MODELS: Final = (
    "anthropic/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "cohere_chat/command-r-plus",
    "groq/llama-3.3-70b-versatile",
    "openai/responses/gpt-5-mini",
)

ROUNDS: Final = 6


@pytest.fixture(autouse=True)
def guard_installed(litellm: Any) -> None:
    """The guard is installed, and there are no templates."""
    assert litellm is not None
    templates.forget()


def build_by_litellm(number: int) -> bytes:
    """A request that litellm builds: each has another key, so none comes from a template."""
    settled = ModelSettings(MODELS[number % len(MODELS)], api_key=KEY, headers={"x-number": str(number)})
    prepared = prepare.preparation(ModelCall(settled, ({"role": "user", "content": f"Number {number}."},))).request()
    assert isinstance(prepared, requests.PreparedRequest)
    assert dict(prepared.headers)["x-number"] == str(number)
    return prepared.body


def body(number: int) -> dict[str, Any]:
    """A request of the user's own, which would be captured if the context had a listener."""
    return {"model": "sim", "messages": [{"role": "user", "content": f"Number {number}."}], "stream": True}


def test_requests_of_other_threads_are_not_captured(simulate: Simulate) -> None:
    simulator = simulate("Hello.")
    url = f"{simulator.base_url}/chat/completions"
    start = threading.Barrier(6)

    def capturing(first: int) -> list[bytes]:
        start.wait(PATIENCE)
        return [build_by_litellm(first + number) for number in range(ROUNDS)]

    def sending(first: int) -> list[str]:
        start.wait(PATIENCE)
        with httpx.Client(timeout=PATIENCE) as client:
            return [client.post(url, json=body(first + number)).text for number in range(ROUNDS)]

    with ThreadPoolExecutor(6) as pool:
        captured = [pool.submit(capturing, 100 * thread) for thread in range(3)]
        sent = [pool.submit(sending, 100 * thread) for thread in range(3)]
        bodies = [each for future in captured for each in future.result()]
        answers = [each for future in sent for each in future.result()]
    numbers = [100 * thread + number for thread in range(3) for number in range(ROUNDS)]
    assert all(f"Number {number}.".encode() in body for number, body in zip(numbers, bodies, strict=True))
    assert len(answers) == 3 * ROUNDS
    assert all("Hello." in answer for answer in answers)
    assert outcomes(simulator) == ["complete"] * 3 * ROUNDS


def test_requests_of_other_tasks_are_not_captured(simulate: Simulate) -> None:
    simulator = simulate("Hello.")
    url = f"{simulator.base_url}/chat/completions"
    origin = simulator.base_url.removesuffix("/v1")

    async def stream(number: int) -> list[str]:
        agent = Agent(
            model_name="anthropic/claude-sonnet-4-5",
            llm_base_url=origin,
            llm_api_key=KEY,
            llm_args={"extra_headers": {"x-number": str(number)}},
            print_on=False,
        )
        return await collect(agent.arun_stream("Go."))

    async def send(number: int) -> str:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return (await client.post(url, json=body(number))).text

    async def send_from_a_thread(number: int) -> str:
        return (await asyncio.to_thread(httpx.post, url, json=body(number), timeout=PATIENCE)).text

    async def main() -> tuple[list[list[str]], list[str]]:
        streams = asyncio.gather(*map(stream, range(ROUNDS)))
        sent = asyncio.gather(*map(send, range(ROUNDS)), *map(send_from_a_thread, range(ROUNDS)))
        return await streams, await sent

    streamed, answers = asyncio.run(main())
    assert ["".join(tokens) for tokens in streamed] == ["Hello."] * ROUNDS
    assert all("Hello." in answer for answer in answers)
    assert outcomes(simulator) == ["complete"] * 3 * ROUNDS


def test_a_request_of_the_same_thread_is_not_captured_afterwards(simulate: Simulate) -> None:
    simulator = simulate("Hello.")
    build_by_litellm(1)
    with pytest.raises(ZeroDivisionError):
        capture.capture(lambda: 1 // 0)
    assert "Hello." in httpx.post(f"{simulator.base_url}/chat/completions", json=body(1), timeout=PATIENCE).text


def test_a_thread_that_outlives_a_capture_is_not_captured(simulate: Simulate) -> None:
    """litellm's loggers run in threads that inherit the context, and may send what looks like a request to a model."""
    simulator = simulate("Hello.")
    over = threading.Event()
    pool = ThreadPoolExecutor(1)

    def log() -> str:
        assert over.wait(PATIENCE)
        return httpx.post(f"{simulator.base_url}/chat/completions", json=body(1), timeout=PATIENCE).text

    with pool:
        returned = capture.capture(lambda: pool.submit(contextvars.copy_context().run, log))
        over.set()
        assert isinstance(returned, capture.Returned)
        assert "Hello." in returned.value.result()


def test_only_requests_to_a_model_are_captured(simulate: Simulate) -> None:
    simulator = simulate("Hello.")

    def build() -> httpx.Response:
        url = f"{simulator.base_url}/models"
        for content in (b"", b"no JSON", b"[1]", b'"messages"', b'{"grant_type": "refresh_token"}'):
            assert httpx.post(url, content=content, timeout=PATIENCE).status_code >= 400
        assert httpx.get(url, params={"messages": "1"}, timeout=PATIENCE).status_code < 500
        return httpx.post(f"{simulator.base_url}/chat/completions", json=body(7), timeout=PATIENCE)

    captured = capture.capture(build)
    assert isinstance(captured, capture.Captured)
    assert captured.url == f"{simulator.base_url}/chat/completions"
    assert b"Number 7." in captured.body
    assert KEY not in repr(capture.Captured("https://models.invalid", [("authorization", KEY)], KEY.encode()))


def test_an_interrupted_capture_neither_hangs_nor_sends(simulate: Simulate) -> None:
    simulator = simulate("Hello.")
    interrupted = threading.Event()
    finished = threading.Event()

    def build() -> None:
        try:
            _thread.interrupt_main()  # As Ctrl-C does.
            assert interrupted.wait(PATIENCE)
            httpx.post(f"{simulator.base_url}/chat/completions", json=body(1), timeout=PATIENCE)
        finally:
            finished.set()

    with pytest.raises(KeyboardInterrupt):
        capture.capture(build)
    interrupted.set()
    assert finished.wait(PATIENCE)
    assert outcomes(simulator) == []
