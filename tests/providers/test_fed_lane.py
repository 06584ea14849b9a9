"""The fed lane with litellm's own stream: answers stream, end and fail as in the native lane.

For Anthropic, litellm replaces structured output by a tool of its own, and only litellm can read the answer. So
:func:`fed_agent` uses the fed lane with a real stream.
"""

from __future__ import annotations

import gc
import importlib
import json
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from headrace import (
    Agent,
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    ContextWindowExceededError,
    FirstTokenTimeoutError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StreamError,
    Timeouts,
    TruncatedError,
)
from support.conversations import bodies
from support.harness import KEY, PATIENCE, Reader, Simulate, agent_at, outcomes, wait_for_outcomes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from headrace.testing import Simulator

POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
JSON = {"response_format": {"type": "json_schema", "json_schema": {"name": "point", "schema": POINT}}}


def fed_agent(simulator: Simulator, **options: Any) -> Agent:
    """An agent in the fed lane: litellm reads its answers, in Anthropic's dialect."""
    given = {"model_name": "anthropic/claude-3-haiku-20240307", "llm_api_key": KEY, "llm_args": JSON, **options}
    return agent_at(simulator.base_url.removesuffix("/v1"), **given)


def threads_of_litellm() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.endswith("by litellm")]


# --- answers --------------------------------------------------------------------------------------------------------


def test_litellms_own_stream_is_read(simulate: Simulate, reader: Reader) -> None:
    call = {"name": "json_tool_call", "arguments": {"x": 12345678}}
    usage = {"input_tokens": 5, "output_tokens": 7}
    simulator = simulate("", reasoning="Hm.", tool_calls=[call], usage=usage)
    result = reader.read(fed_agent(simulator))
    assert (json.loads("".join(result.tokens)), result.error) == ({"x": 12345678}, None)
    assert len(result.tokens) > 1
    [turn] = result.stream.turns
    assert (turn.reasoning, turn.finish_reason, turn.tool_calls) == ("Hm.", "stop", ())
    assert turn.usage is not None
    assert (turn.usage.input_tokens, turn.usage.output_tokens) == (5, 7)
    assert result.stream.timing is not None
    assert result.stream.timing.ttft is not None
    [request] = simulator.report()["requests"]
    assert request["headers"]["user-agent"].startswith("litellm/")


def test_a_stream_that_litellm_makes_from_a_whole_answer_is_read(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With Groq, litellm does not stream structured output.
    function = {"name": "json_tool_call", "arguments": '{"x":1}'}
    message = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}
    document = {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "service_tier": "on_demand",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    fault = {"kind": "raw", "body": json.dumps(document), "content_type": "application/json"}
    simulator = simulate(fault=fault)
    monkeypatch.setenv("GROQ_API_BASE", simulator.base_url)
    agent = Agent(model_name="groq/llama-3.1-8b-instant", llm_api_key=KEY, llm_args=JSON, print_on=False)
    result = reader.read(agent)
    assert ("".join(result.tokens), result.error) == ('{"x":1}', None)
    [body] = bodies(simulator)
    assert "stream" not in body


def test_a_mock_response_streams_and_nothing_is_sent(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    result = reader.read(fed_agent(simulator, llm_args={"mock_response": "Nobody was asked."}))
    assert ("".join(result.tokens), result.error) == ("Nobody was asked.", None)
    assert result.stream.turns[0].finish_reason == "stop"
    assert bodies(simulator) == []


@pytest.mark.parametrize(
    ("mocked", "error"),
    [
        ("litellm.RateLimitError", RateLimitError),
        ("litellm.ContextWindowExceededError", ContextWindowExceededError),
        ("litellm.InternalServerError", ServerError),
    ],
)
def test_a_mock_error_becomes_one_of_our_errors(
    simulate: Simulate, reader: Reader, mocked: str, error: type[StreamError]
) -> None:
    raised = reader.read(fed_agent(simulate(), llm_args={"mock_response": mocked})).error
    assert type(raised) is error
    assert isinstance(raised, StreamError)
    assert (raised.provider, type(raised.__cause__).__name__) == ("anthropic", mocked.removeprefix("litellm."))


# --- a provider of the caller's own ---------------------------------------------------------------------------------


class CustomProvider:
    """A provider of the caller's own, made with litellm's ``CustomLLM``: it answers with these chunks."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks

    def register(self, monkeypatch: pytest.MonkeyPatch) -> Agent:
        litellm = importlib.import_module("headrace._providers.litellm.build").load()
        chunks = self._chunks

        class Handler(litellm.CustomLLM):  # type: ignore[misc, name-defined]
            def streaming(self, *_arguments: Any, **_named: Any) -> Iterator[dict[str, Any]]:
                for text in chunks:
                    yield {**end, "text": text, "is_finished": False, "finish_reason": "", "usage": None}
                yield end

        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        end = {"text": "", "is_finished": True, "finish_reason": "stop", "usage": usage, "index": 0, "tool_use": None}
        monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "own", "custom_handler": Handler()}])
        return Agent(model_name="own/model", print_on=False)


def test_a_custom_provider_of_litellm_is_asked(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    result = reader.read(CustomProvider(iter(["one", " two"])).register(monkeypatch))
    assert (result.tokens, result.error) == (["one", " two"], None)
    assert result.stream.usage is not None
    assert result.stream.usage.total_tokens == 3


def test_the_error_of_a_custom_provider_comes_after_its_tokens(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def chunks() -> Iterator[str]:
        yield "one"
        raise ZeroDivisionError("by zero")

    result = reader.read(CustomProvider(chunks()).register(monkeypatch))
    assert result.tokens == ["one"]
    assert isinstance(result.error, StreamError)
    assert "by zero" in str(result.error)
    assert "Traceback" not in str(result.error)
    assert result.error.provider == "own"
    assert result.stream.state != "complete"


def test_the_generator_of_a_custom_provider_is_closed_with_the_stream(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()

    def chunks() -> Generator[str]:
        try:
            while True:
                yield "again "
        finally:
            closed.set()

    own = chunks()
    with reader.start(CustomProvider(own).register(monkeypatch)) as reading:
        assert reading.take(2) == ["again ", "again "]
    for thread in threads_of_litellm():
        thread.join(PATIENCE)
        assert not thread.is_alive()
    # The test holds the only reference.
    own.close()
    assert closed.is_set()


# --- closing --------------------------------------------------------------------------------------------------------


def test_closing_closes_litellms_connection(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two three", fault={"kind": "stall", "after": 2})
    with reader.start(fed_agent(simulator)) as reading:
        assert reading.take(2) == ["one", " two"]
    wait_for_outcomes(simulator, "disconnected")
    assert reading.stream.state == "cancelled"
    for thread in threads_of_litellm():
        thread.join(PATIENCE)
        assert not thread.is_alive()


def open_responses() -> list[httpx.Response]:
    known = [item for item in gc.get_objects() if type(item) is httpx.Response]
    return [response for response in known if not response.is_closed]


@pytest.mark.parametrize("kind", ["stall", "end", "malformed", "error"])
def test_no_response_is_left_to_the_garbage_collector(simulate: Simulate, reader: Reader, kind: str) -> None:
    # It may close a response in any thread. Once that thread held the lock of httpx's connection pool: a deadlock.
    before = {id(response) for response in open_responses()}
    simulator = simulate("one two three", fault={"kind": kind, "after": 2})
    with reader.start(fed_agent(simulator)) as reading:
        assert reading.take(2) == ["one", " two"]
    for thread in threads_of_litellm():
        thread.join(PATIENCE)
    assert [response for response in open_responses() if id(response) not in before] == []


def test_a_timeout_closes_litellms_connection(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one", fault={"kind": "stall", "after": 0})
    result = reader.read(fed_agent(simulator, timeouts=Timeouts(first_token=2.0)))
    assert type(result.error) is FirstTokenTimeoutError
    wait_for_outcomes(simulator, "disconnected")


def test_a_stream_that_was_read_to_its_end_does_not_break_its_connection(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two")
    for _ in range(3):
        assert reader.read(fed_agent(simulator)).error is None
    assert outcomes(simulator) == ["complete"] * 3


# --- errors ---------------------------------------------------------------------------------------------------------

STATUSES = [
    (400, BadRequestError),
    (401, AuthenticationError),
    (403, PermissionDeniedError),
    (404, NotFoundError),
    (429, RateLimitError),
    (500, ServerError),
    (503, OverloadedError),
]


@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_a_status_is_the_same_error_as_in_the_native_lane(
    simulate: Simulate, reader: Reader, status: int, error: type[StreamError]
) -> None:
    fault = {"kind": "status", "status": status, "headers": {"retry-after": "7.5"}, "body": f"no {KEY}"}
    raised = reader.read(fed_agent(simulate(fault=fault))).error
    assert type(raised) is error
    assert isinstance(raised, StreamError)
    assert (raised.status, raised.provider, raised.retry_after) == (status, "anthropic", 7.5)
    assert raised.model == "anthropic/claude-3-haiku-20240307"
    assert type(raised.__cause__).__module__.startswith("litellm")
    assert KEY not in str(raised)


def test_retries_are_the_same_as_in_the_native_lane(simulate: Simulate, reader: Reader) -> None:
    fault = {"kind": "status", "status": 429, "headers": {"retry-after-ms": "1"}, "times": 2}
    simulator = simulate("Here.", fault=fault)
    result = reader.read(fed_agent(simulator, retry_attempts=2, retry_interval=3600))
    assert (result.tokens, result.error) == (["Here."], None)
    # litellm itself does not retry.
    assert len(bodies(simulator)) == 3


BROKEN: dict[str, tuple[dict[str, Any], type[StreamError]]] = {
    "reset": ({"kind": "reset", "after": 2}, ConnectionFailedError),
    "close": ({"kind": "close", "after": 2}, ConnectionFailedError),
    "error": ({"kind": "error", "after": 2}, ServerError),
    # For these litellm reports no error.
    "end": ({"kind": "end", "after": 2}, TruncatedError),
    "malformed": ({"kind": "malformed", "after": 2}, TruncatedError),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_is_an_error_after_its_tokens(simulate: Simulate, reader: Reader, name: str) -> None:
    fault, error = BROKEN[name]
    result = reader.read(fed_agent(simulate("one two three", fault=fault), retry_attempts=3, retry_interval=0))
    assert result.tokens == ["one", " two"]
    assert type(result.error) is error
    assert isinstance(result.error, StreamError)
    assert result.error.delivered


def test_a_web_page_is_no_answer(simulate: Simulate, reader: Reader) -> None:
    result = reader.read(fed_agent(simulate(fault={"kind": "html"})))
    assert (result.tokens, type(result.error)) == ([], TruncatedError)
