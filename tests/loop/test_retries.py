"""A failed turn is retried if the error is retryable, and if the caller has not seen tokens of it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    NotFoundError,
    OverloadedError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamClosedError,
    Timeouts,
    TruncatedError,
)
from headrace.events import RunEnd, TurnEnd, TurnStart
from support.conversations import ADDS, add, bodies, calling, conversation, refusing, sent
from support.harness import (
    PATIENCE,
    Reader,
    Simulate,
    agent_at,
    collect,
    outcomes,
    receive_request,
    serving,
    wait_for_outcomes,
)

if TYPE_CHECKING:
    import socket


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_a_retryable_status_is_retried(simulate: Simulate, reader: Reader, status: int) -> None:
    simulator = simulate("It is fine.", fault=refusing(status, times=2))
    result = reader.read(agent_at(simulator, retry_attempts=2, retry_interval=0))
    assert (result.error, "".join(result.tokens), result.stream.state) == (None, "It is fine.", "complete")
    first, *more = bodies(simulator)
    assert more == [first, first]


@pytest.mark.parametrize(
    ("status", "error"), [(429, RateLimitError), (500, ServerError), (503, OverloadedError), (529, OverloadedError)]
)
def test_after_the_last_attempt_the_error_is_raised(
    simulate: Simulate, reader: Reader, status: int, error: type[Exception]
) -> None:
    simulator = simulate(fault=refusing(status, times=None))
    result = reader.read(agent_at(simulator, retry_attempts=2, retry_interval=0))
    assert type(result.error) is error
    assert result.stream.state not in {"complete", "streaming", "cancelled"}
    assert len(bodies(simulator)) == 3


def test_there_are_no_retries_by_default(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(fault=refusing(503))
    assert isinstance(reader.read(agent_at(simulator)).error, OverloadedError)
    assert len(bodies(simulator)) == 1


@pytest.mark.parametrize(
    ("status", "error"), [(400, BadRequestError), (401, AuthenticationError), (404, NotFoundError)]
)
def test_a_status_that_is_not_retryable_is_not_retried(
    simulate: Simulate, reader: Reader, status: int, error: type[Exception]
) -> None:
    simulator = simulate(fault=refusing(status))
    assert type(reader.read(agent_at(simulator, retry_attempts=5, retry_interval=0)).error) is error
    assert len(bodies(simulator)) == 1


FAULTS: dict[str, type[Exception]] = {
    "reset": ConnectionFailedError,
    "end": TruncatedError,
    "error": ProviderError,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_after_a_token_there_is_no_retry_and_no_token_comes_twice(
    simulate: Simulate, reader: Reader, kind: str
) -> None:
    simulator = simulate(["one", " two", " three"], fault={"kind": kind, "after": 2})
    result = reader.read(agent_at(simulator, retry_attempts=5, retry_interval=0))
    assert result.tokens == ["one", " two"]
    assert isinstance(result.error, FAULTS[kind])
    assert len(bodies(simulator)) == 1


def test_an_error_has_delivered_if_tokens_of_its_turn_were_seen(simulate: Simulate, reader: Reader) -> None:
    for after, delivered in [(0, False), (1, True)]:
        turns = conversation(ADDS, {"text": "It is 42.", "fault": {"kind": "reset", "after": after}})
        error = reader.read(agent_at(simulate(turns=turns), tools=[add], max_loops=2)).error
        assert isinstance(error, ConnectionFailedError)
        assert error.delivered is delivered


def test_a_delta_of_a_tool_call_counts_as_seen(simulate: Simulate, reader: Reader) -> None:
    fault = {"kind": "reset", "after": 2}
    simulator = simulate("", tool_calls=[calling("add", {"a": 1, "b": 2})], fault=fault)
    result = reader.read(agent_at(simulator, tools=[add], retry_attempts=5, retry_interval=0), with_events=True)
    assert isinstance(result.error, ConnectionFailedError)
    assert len(bodies(simulator)) == 1


@pytest.mark.parametrize("failure", ["closed", "silent"])
def test_a_connection_that_sends_nothing_is_retried(reader: Reader, failure: str) -> None:
    connections = itertools.count()
    body = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + body

    def handle(connection: socket.socket) -> None:
        receive_request(connection)
        if next(connections) > 0:
            connection.sendall(answer)
        elif failure == "silent":
            # Waits until the client has closed the connection.
            connection.recv(1)

    timeouts = Timeouts(first_token=1.0 if failure == "silent" else PATIENCE)
    with serving(handle) as port:
        agent = agent_at(f"http://127.0.0.1:{port}/v1", retry_attempts=1, retry_interval=0, timeouts=timeouts)
        result = reader.read(agent)
    assert (result.tokens, result.error) == (["Hi"], None)


def test_retry_after_has_priority_over_the_interval(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("It is fine.", fault=refusing(429, headers={"Retry-After": "0"}))
    # A wait as long as the interval would run into the time limit of the test.
    result = reader.read(agent_at(simulator, retry_attempts=1, retry_interval=3600))
    assert (result.error, result.stream.text) == (None, "It is fine.")
    assert len(bodies(simulator)) == 2


def test_a_retry_of_a_later_turn_does_not_run_the_tools_again(simulate: Simulate, reader: Reader) -> None:
    calls: list[int] = []

    def note(n: int) -> str:
        calls.append(n)
        return "noted"

    first = {"text": "Noting.", "tool_calls": [calling("note", {"n": 1})]}
    simulator = simulate(turns=conversation(first, {"text": "Noted.", "fault": refusing(503, times=2)}))
    agent = agent_at(simulator, tools=[note], max_loops=2, retry_attempts=2, retry_interval=0)
    result = reader.read(agent)
    assert (result.error, result.tokens, calls) == (None, ["Noting.", "Noted."], [1])
    assert len(bodies(simulator)) == 4
    assert sent(simulator, 1) == sent(simulator, 2) == sent(simulator, 3)


def test_each_turn_has_all_of_its_attempts(simulate: Simulate, reader: Reader) -> None:
    call = {"tool_calls": [calling("add", {"a": 1, "b": 2})]}
    turns = conversation(*({**turn, "fault": refusing(500, times=2)} for turn in (call, call, {"text": "3"})))
    simulator = simulate(turns=turns)
    agent = agent_at(simulator, tools=[add], max_loops=3, retry_attempts=2, retry_interval=0)
    assert reader.read(agent).stream.final == "3"
    assert len(bodies(simulator)) == 9


def test_the_events_of_a_retried_run_are_numbered_without_gaps(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two", fault=refusing(503))
    agent = agent_at(simulator, retry_attempts=1, retry_interval=0)
    events: list[Any] = reader.read(agent, with_events=True).tokens
    assert [event.seq for event in events] == list(range(len(events)))
    assert isinstance(events[-1], RunEnd)
    assert (events[-1].state, events[-1].text) == ("complete", "one two")


def test_a_turn_with_a_retry_is_one_turn(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two", fault=refusing(503))
    result = reader.read(agent_at(simulator, retry_attempts=1, retry_interval=0))
    assert [turn.text for turn in result.stream.turns] == ["one two"]
    assert len(result.stream.timings) == 1


def test_the_events_of_a_turn_with_a_retry_have_one_turn_number(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("one two", fault=refusing(503))
    agent = agent_at(simulator, retry_attempts=1, retry_interval=0)
    events: list[Any] = reader.read(agent, with_events=True).tokens
    assert {event.turn for event in events if isinstance(event, TurnStart | TurnEnd)} == {1}
    assert events[-1].turns == 1


# --- closing during a wait -------------------------------------------------------------------------------------


def test_the_wait_for_the_next_attempt_can_be_cancelled(simulate: Simulate) -> None:
    simulator = simulate(fault=refusing(503, times=None))
    agent = agent_at(simulator, retry_attempts=1, retry_interval=3600)

    async def main() -> None:
        stream = agent.arun_stream("Go.")
        task = asyncio.ensure_future(collect(stream))
        await asyncio.to_thread(wait_for_outcomes, simulator, "fault")
        for _ in range(100):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stream.state == "cancelled"

    asyncio.run(main())
    assert outcomes(simulator) == ["fault"]


@pytest.mark.parametrize("seconds", ["601", "1e12", "1e300"])
def test_a_retry_after_of_more_than_ten_minutes_is_not_waited_for(
    simulate: Simulate, reader: Reader, seconds: str
) -> None:
    simulator = simulate(fault=refusing(503, times=None, headers={"Retry-After": seconds}))
    result = reader.read(agent_at(simulator, retry_attempts=1))
    assert isinstance(result.error, OverloadedError)
    assert outcomes(simulator) == ["fault"]


@pytest.mark.parametrize(("seconds", "budget"), [("599", None), ("1e12", 1e13), ("1e300", 1e301)])
def test_the_wait_for_the_next_attempt_ends_when_the_stream_is_closed(
    simulate: Simulate, seconds: str, budget: float | None
) -> None:
    # The wait may be longer than the system's clock can count.
    simulator = simulate(fault=refusing(503, times=None, headers={"Retry-After": seconds}))
    stream = agent_at(simulator, retry_attempts=1, retry_budget=budget).run_stream("Go.")
    errors: list[Exception] = []

    def read() -> None:
        try:
            list(stream)
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    wait_for_outcomes(simulator, "fault")
    thread.join(0.2)
    assert thread.is_alive()
    stream.close()
    # Without closing, even the shortest wait would take longer.
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [StreamClosedError]
