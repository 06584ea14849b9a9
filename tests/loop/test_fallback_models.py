"""Fallback models are asked in their order after an error, if the caller has not seen tokens of the answer."""

from __future__ import annotations

import email.utils
import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    Agent,
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    ContextWindowExceededError,
    MissingKeyError,
    NotFoundError,
    OverloadedError,
    RateLimitError,
    Timeouts,
)
from headrace.events import Fallback, RunEnd, Token, TurnEnd, TurnStart
from support.conversations import add, bodies, calling, refusing
from support.harness import KEY, Reader, Result, Simulate, agent_at, receive_request, serving, wait_for_outcomes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from headrace.testing import Simulator

TOO_LONG = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}


def models(*turns: dict[str, Any]) -> list[dict[str, Any]]:
    """A script's turns: the first is of ``model-0``, the second of ``model-1``, and so on."""
    return [{"when": {"model": f"model-{number}"}, **turn} for number, turn in enumerate(turns)]


def asking(simulator: Simulator, count: int = 3, **options: Any) -> Agent:
    """An agent with the model ``model-0``, and ``model-1`` and so on as fallback models."""
    others = [f"openai/model-{number}" for number in range(1, count)]
    return agent_at(simulator, **{"model_name": "openai/model-0", "fallback_models": others, **options})


def asked(simulator: Simulator) -> list[str]:
    """The models that were asked, in order."""
    return [body["model"].removeprefix("model-") for body in bodies(simulator)]


# --- in their order -------------------------------------------------------------------------------------------------


def test_the_models_are_asked_in_their_order(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(401)}, {"fault": refusing(503)}, {"text": ["I", " do."]})
    simulator = simulate(turns=turns)
    result = reader.read(asking(simulator))
    assert (result.tokens, result.error, result.stream.state) == (["I", " do."], None, "complete")
    assert asked(simulator) == ["0", "1", "2"]
    first, *others = ({**body, "model": ""} for body in bodies(simulator))
    assert others == [first, first]


def test_a_failed_attempt_without_tokens_is_not_a_turn(simulate: Simulate, reader: Reader) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    simulator = simulate(turns=models({"fault": refusing(500)}, {"text": "I do.", "usage": usage}))
    stream = reader.read(asking(simulator)).stream
    assert [turn.text for turn in stream.turns] == ["I do."]
    assert (stream.text, stream.final, len(stream.timings)) == ("I do.", "I do.", 1)
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (3, 2)
    assert [message["content"] for message in stream.messages] == ["Go.", "I do."]


def test_no_further_model_is_asked_after_one_has_answered(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=models({"text": "I do."}, {"text": "I would."}))
    assert reader.read(asking(simulator)).tokens == ["I", " do."]
    assert asked(simulator) == ["0"]


def test_after_the_last_model_its_error_is_raised(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(401)}, {"fault": refusing(503)}, {"fault": refusing(404)})
    result = reader.read(asking(simulate(turns=turns)))
    assert isinstance(result.error, NotFoundError)
    assert result.error.model == "openai/model-2"
    assert (result.stream.text, result.stream.usage) == ("", None)


def test_each_model_has_all_of_its_attempts(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(503, None)}, {"fault": refusing(429, None)}, {"text": "I do."})
    simulator = simulate(turns=turns)
    assert reader.read(asking(simulator, retry_attempts=2, retry_interval=0)).stream.final == "I do."
    assert asked(simulator) == ["0", "0", "0", "1", "1", "1", "2"]


def test_after_an_error_that_is_not_retryable_the_next_model_is_asked(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(400, None, body=TOO_LONG)}, {"text": "I read more."})
    simulator = simulate(turns=turns)
    assert reader.read(asking(simulator, retry_attempts=5)).stream.final == "I read more."
    assert asked(simulator) == ["0", "1"]


def test_each_turn_asks_the_first_model_first(simulate: Simulate, reader: Reader) -> None:
    calls = {"tool_calls": [calling("add", {"a": 1, "b": 2})]}
    turns = [
        {"when": {"model": "model-0", "role": "tool"}, "text": "It is 3."},
        {"when": {"model": "model-0"}, "fault": refusing(503, None)},
        {"when": {"model": "model-1"}, **calls},
    ]
    simulator = simulate(turns=turns)
    result = reader.read(asking(simulator, tools=[add], max_loops=3))
    assert (result.error, result.stream.final) == (None, "It is 3.")
    assert asked(simulator) == ["0", "1", "0"]


def test_fallback_model_name_comes_before_fallback_models(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(503)}, {"fault": refusing(503)}, {"text": "I do."})
    simulator = simulate(turns=turns)
    agent = asking(simulator, fallback_model_name="model-1", fallback_models=["model-2"])
    assert reader.read(agent).stream.final == "I do."
    assert asked(simulator) == ["0", "1", "2"]


def test_fallback_models_are_a_list(simulate: Simulate, reader: Reader) -> None:
    with pytest.raises(ConfigurationError, match="fallback_models must be a list"):
        reader.read(asking(simulate(), fallback_models="openai/model-1"))


# --- events ---------------------------------------------------------------------------------------------------------


def test_each_fallback_is_an_event(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(401)}, {"fault": refusing(503)}, {"text": "I do."})
    events: list[Any] = reader.read(asking(simulate(turns=turns)), with_events=True).tokens
    fallbacks = [event for event in events if isinstance(event, Fallback)]
    assert [(event.model, event.fallback) for event in fallbacks] == [
        ("openai/model-0", "openai/model-1"),
        ("openai/model-1", "openai/model-2"),
    ]
    assert "401" in fallbacks[0].error
    assert "503" in fallbacks[1].error
    assert fallbacks[0]["type"] == "fallback"
    starts = [event for event in events if isinstance(event, TurnStart)]
    assert [(event.turn, event.model, event.resumed) for event in starts] == [
        (1, "openai/model-0", False),
        (1, "openai/model-1", False),
        (1, "openai/model-2", False),
    ]
    assert [event.seq for event in events] == list(range(len(events)))
    assert isinstance(events[-1], RunEnd)
    assert (events[-1].turns, events[-1].text) == (1, "I do.")


# --- other providers ------------------------------------------------------------------------------------------------


def test_a_model_without_a_key_is_skipped(simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    simulator = simulate("I do.")
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    agent = Agent(model_name="anthropic/claude-sonnet-4-5", fallback_models=["openai/sim"], print_on=False)
    events: list[Any] = reader.read(agent, with_events=True).tokens
    [fallback] = [event for event in events if isinstance(event, Fallback)]
    assert "ANTHROPIC_API_KEY" in fallback.error
    assert events[-1].text == "I do."


def test_the_last_model_without_a_key_is_an_error(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    agent = asking(simulate(fault=refusing(503, None)), fallback_models=["anthropic/claude-sonnet-4-5"])
    assert type(reader.read(agent).error) is MissingKeyError


def test_another_providers_model_is_asked_in_its_dialect_and_without_the_first_ones_key(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = simulate(fault=refusing(529, None))
    second = simulate("I do.", api_key="another-key")
    monkeypatch.setenv("ANTHROPIC_API_BASE", second.base_url.removesuffix("/v1"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key")
    agent = agent_at(first, llm_api_key=KEY, fallback_models=["anthropic/claude-sonnet-4-5"])
    stream = reader.read(agent).stream
    assert (stream.final, stream.turns[0].dialect) == ("I do.", "anthropic")
    assert [request["path"] for request in second.report()["requests"]] == ["/v1/messages"]


def test_a_fallback_model_is_asked_after_an_error_of_the_llm(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("I do.")

    def llm(_messages: object) -> str:
        raise OverloadedError("not now")

    assert reader.read(asking(simulator, 2, llm=llm)).stream.final == "I do."


def test_a_stream_that_timed_out_is_closed_when_another_model_is_asked(simulate: Simulate, reader: Reader) -> None:
    turns = [
        {"when": {"model": "claude-3-haiku-20240307"}, "text": "one", "fault": {"kind": "stall"}},
        {"when": {"model": "claude-3-opus-20240229"}, "text": ["one", " two"], "fault": {"kind": "stall", "after": 1}},
    ]
    simulator = simulate(turns=turns)
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    agent = agent_at(
        simulator.base_url.removesuffix("/v1"),
        # The first model is in the fed lane.
        model_name="anthropic/claude-3-haiku-20240307",
        llm_api_key=KEY,
        llm_args={"response_format": schema},
        timeouts=Timeouts(first_token=2.0),
        fallback_models=["anthropic/claude-3-opus-20240229"],
    )
    with reader.start(agent) as reading:
        assert reading.take(1) == ["one"]
        wait_for_outcomes(simulator, "disconnected")


# --- after a token --------------------------------------------------------------------------------------------------

HALF = {"text": ["one", " two", " three"], "fault": {"kind": "reset", "after": 2}}


def test_after_a_token_no_other_model_is_asked(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=models(HALF, {"text": "I do."}))
    result = reader.read(asking(simulator))
    assert (result.tokens, type(result.error)) == (["one", " two"], ConnectionFailedError)
    assert asked(simulator) == ["0"]


def test_resume_on_error_asks_the_same_model_once_more_and_then_another(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=models(HALF, {"text": ["I", " do."]}))
    result = reader.read(asking(simulator, resume_on_error=True, retry_interval=0))
    # The same model once more, because the connection may not break this time.
    assert asked(simulator) == ["0", "0", "1"]
    assert (result.tokens, result.error) == (["one", " two", "one", " two", "I", " do."], None)
    stream = result.stream
    assert [turn.text for turn in stream.turns] == ["one two", "one two", "I do."]
    assert stream.text == "one twoone twoI do."
    assert stream.final == "I do."
    assert [message["content"] for message in stream.messages] == ["Go.", "I do."]
    # The incomplete answer is not in the next request.
    assert {len(body["messages"]) for body in bodies(simulator)} == {1}


def interrupted_once(reader: Reader, **options: Any) -> Result:
    """The result of a run with a model whose connection breaks once, after two tokens."""
    connections = itertools.count()
    token = 'data: {{"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}\n\n'
    end = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    def handle(connection: socket.socket) -> None:
        receive_request(connection)
        is_cut = next(connections) == 0
        said = token.format("one") + token.format(" two") + ("" if is_cut else token.format(" three") + end)
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        connection.sendall((head + said).encode())

    with serving(handle) as port:
        return reader.read(agent_at(f"http://127.0.0.1:{port}/v1", resume_on_error=True, **options))


def test_a_resumed_turn_is_marked_as_resumed(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=models(HALF, {"text": "I do."}))
    events: list[Any] = reader.read(asking(simulator, resume_on_error=True, retry_interval=0), with_events=True).tokens
    relevant = [event for event in events if isinstance(event, TurnStart | TurnEnd | Fallback | Token)]
    shown = [
        (event.turn, event.resumed)
        if isinstance(event, TurnStart)
        else event.text
        if isinstance(event, Token)
        else event.type
        for event in relevant
    ]
    assert shown == [
        (1, False), "one", " two",
        (2, True), "one", " two", "fallback",
        (3, True), "I", " do.", "turn_end",
    ]  # fmt: skip
    assert events[-1].turns == 3


def test_the_same_model_may_resume(reader: Reader) -> None:
    result = interrupted_once(reader, retry_interval=0)
    assert (result.tokens, result.error) == (["one", " two", "one", " two", " three"], None)
    assert [turn.text for turn in result.stream.turns] == ["one two", "one two three"]
    assert result.stream.final == "one two three"


def test_a_tool_call_of_a_truncated_turn_is_not_run(simulate: Simulate, reader: Reader) -> None:
    calls: list[int] = []

    def note(n: int) -> str:
        calls.append(n)
        return "noted"

    broken = {"tool_calls": [calling("note", {"n": 1})], "fault": {"kind": "reset", "after": 3}}
    simulator = simulate(turns=models(broken, {"tool_calls": [calling("note", {"n": 2})]}))
    agent = asking(simulator, tools=[note], resume_on_error=True, retry_interval=0)
    assert reader.read(agent).error is None
    assert calls == [2]


# --- how long it waits ----------------------------------------------------------------------------------------------


def http_date(seconds: float) -> str:
    """A date so many seconds from now, as HTTP writes it."""
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "0"},
        {"Retry-After": "0.001"},
        {"Retry-After": http_date(-60)},
        {"retry-after-ms": "1"},
        {"retry-after-ms": "1", "Retry-After": "3600"},
    ],
    ids=["zero", "fraction", "date", "milliseconds", "milliseconds-first"],
)
def test_the_wait_is_as_long_as_retry_after(simulate: Simulate, reader: Reader, headers: dict[str, str]) -> None:
    simulator = simulate("Now.", fault=refusing(429, headers=headers))
    # A wait as long as the interval would run into the time limit of the test.
    result = reader.read(agent_at(simulator, retry_attempts=1, retry_interval=3600))
    assert (result.error, result.stream.text) == (None, "Now.")


@pytest.mark.parametrize("value", [str, http_date], ids=["seconds", "date"])
def test_a_retry_after_of_hours_is_not_waited_for(
    simulate: Simulate, reader: Reader, value: Callable[[int], str]
) -> None:
    simulator = simulate(fault=refusing(429, None, headers={"Retry-After": value(7200)}))
    error = reader.read(agent_at(simulator, retry_attempts=5)).error
    assert isinstance(error, RateLimitError)
    assert error.retry_after is not None
    assert 7000 < error.retry_after <= 7200
    assert len(bodies(simulator)) == 1


def test_a_retry_after_beyond_the_budget_is_not_waited_for(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(fault=refusing(429, None, headers={"Retry-After": "100"}))
    error = reader.read(agent_at(simulator, retry_attempts=5, retry_budget=99)).error
    assert isinstance(error, RateLimitError)
    assert len(bodies(simulator)) == 1


def test_a_budget_ends_the_attempts_but_not_the_fallbacks(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(503, None)}, {"fault": refusing(503, None)}, {"text": "I do."})
    simulator = simulate(turns=turns)
    agent = asking(simulator, retry_attempts=9, retry_interval=1, retry_budget=0.5)
    assert reader.read(agent).stream.final == "I do."
    assert asked(simulator) == ["0", "1", "2"]


def test_a_negative_budget_is_refused(simulate: Simulate, reader: Reader) -> None:
    with pytest.raises(ConfigurationError, match="retry_budget"):
        reader.read(asking(simulate(), retry_budget=-1))


def test_the_error_is_that_of_the_last_model_asked(simulate: Simulate, reader: Reader) -> None:
    turns = models({"fault": refusing(400, None, body=TOO_LONG)}, {"fault": refusing(401, None)})
    first = reader.read(asking(simulate(turns=turns), 1)).error
    assert type(first) is ContextWindowExceededError
    assert type(reader.read(asking(simulate(turns=turns), 2)).error) is AuthenticationError
