"""Faults of swarms, measured with 16.0.3 and 14.0.0, which headrace must not have."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    ConnectionFailedError,
    FirstTokenTimeoutError,
    IdleTimeoutError,
    ServerError,
    StreamClosedError,
    Timeouts,
)
from support.autonomous import WHOLE, bot_at, plans
from support.conversations import ADDS, add, bodies, conversation, sent
from support.harness import PATIENCE, agent_at, collect, outcomes, wait_for_outcomes, wait_until_it_blocks

if TYPE_CHECKING:
    from headrace.testing import Simulator
    from support.harness import Reader, Simulate

WORDS = [f"word{number} " for number in range(200)]


# --- it changes the agent, so that one stream gets the answer of another ---------------------------------------


def test_two_streams_of_one_agent_get_their_own_answers_and_change_nothing_of_it(simulate: Simulate) -> None:
    turns = [{"when": {"contains": who}, "text": [f"{who}{number} " for number in range(50)]} for who in ("a", "b")]
    simulator = simulate(turns=turns, pacing={"mode": "steady", "interval_ms": 1})
    agent = agent_at(simulator)
    before = dict(vars(agent))
    one, other = agent.run_stream("a"), agent.run_stream("b")
    taken = [(next(one), next(other)) for _ in range(50)]
    assert vars(agent) == before
    assert taken == [(f"a{number} ", f"b{number} ") for number in range(50)]
    assert (list(one), list(other)) == ([], [])
    assert vars(agent) == before


def test_a_stream_and_a_run_of_one_agent_do_not_mix(simulate: Simulate) -> None:
    simulator = simulate(WORDS, pacing={"mode": "burst", "size": 10, "interval_ms": 1})
    heard: list[str] = []
    agent = agent_at(simulator)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(agent.run, "Go.", streaming_callback=heard.append)
        streamed = list(agent.run_stream("Go."))
        assert running.result() == "".join(WORDS)
    assert streamed == heard == WORDS


# --- it goes on when its consumer has left ---------------------------------------------------------------------


@pytest.fixture
def long(simulate: Simulate) -> Simulator:
    """A model that would send 200 words in a second."""
    return simulate(WORDS, pacing={"mode": "steady", "interval_ms": 5})


def assert_it_stopped(simulator: Simulator) -> None:
    """Checks that the provider noticed that the client left, and that most of the words were never sent."""
    wait_for_outcomes(simulator, "disconnected")
    [request] = simulator.report()["requests"]
    assert request["frames_written"] < len(WORDS) / 2


def test_breaking_out_stops_the_provider(long: Simulator) -> None:
    threads = threading.active_count()
    for _token in agent_at(long).run_stream("Go."):
        break
    assert threading.active_count() == threads
    assert_it_stopped(long)


def test_closing_stops_the_provider(long: Simulator, reader: Reader) -> None:
    threads = threading.active_count()
    reading = reader.start(agent_at(long))
    reading.take(3)
    reading.close()
    assert isinstance(reading.to_end().error, StreamClosedError)
    assert threading.active_count() == threads
    assert_it_stopped(long)


def test_cancelling_stops_the_provider(long: Simulator) -> None:
    async def main() -> None:
        threads = threading.active_count()
        stream = agent_at(long).arun_stream("Go.")
        assert [await anext(stream) for _ in range(3)] == WORDS[:3]
        reading = asyncio.ensure_future(collect(stream))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert threading.active_count() == threads
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert_it_stopped(long)


# --- its queue has no bound ------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [{}, {"with_events": True}, {"reasoning": True}], ids=["text", "events", "reasoning"])
def test_a_reader_that_does_not_read_slows_the_provider(
    simulate: Simulate, reader: Reader, view: dict[str, Any]
) -> None:
    """In every view, because text and events are read in different ways."""
    simulator = simulate(WORDS, repeat=400)  # some 18 MB
    with reader.start(agent_at(simulator), **view) as reading:
        reading.take(3)
        wait_until_it_blocks(simulator)
        [request] = simulator.report()["requests"]
        assert request["outcome"] == "running"
        assert request["frames_written"] < 400 * len(WORDS)
    wait_for_outcomes(simulator, "disconnected")


# --- the JSON of tool calls is in the text ---------------------------------------------------------------------


@pytest.mark.parametrize("max_loops", [3, "auto"])
def test_the_text_does_not_contain_tool_calls(simulate: Simulate, reader: Reader, max_loops: Any) -> None:
    turns = WHOLE if max_loops == "auto" else conversation(ADDS, {"text": "It is 42."})
    result = reader.read(agent_at(simulate(turns=turns), tools=[add], max_loops=max_loops))
    assert result.error is None
    for told in ("".join(result.tokens), result.stream.text, result.stream.final):
        assert told
        assert not set('{}[]"') & set(told)
        assert "add" not in told.lower().replace("let me add.", "").replace("adding.", "")


# --- after a tool turn the answer comes twice ------------------------------------------------------------------


@pytest.mark.parametrize("max_loops", [2, 3, 10])
def test_the_answer_after_a_tool_turn_comes_once(simulate: Simulate, reader: Reader, max_loops: int) -> None:
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "It is 42."}, {"when": {"role": "user"}, **ADDS}])
    result = reader.read(agent_at(simulator, tools=[add], max_loops=max_loops))
    assert "".join(result.tokens) == "Let me add.It is 42."
    # No request is sent after the answer.
    assert len(bodies(simulator)) == 2


# --- "auto" streams JSON, or never ends ------------------------------------------------------------------------


def test_an_autonomous_run_ends_even_if_the_model_ends_nothing(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[*conversation(plans("a", "b")), ADDS])
    result = reader.read(bot_at(simulator, max_subtask_loops=5))
    assert (result.error, result.stream.state) == (None, "complete")
    assert len(bodies(simulator)) <= 1 + 2 * 5 + 3


# --- a server that goes silent hangs it for ever ---------------------------------------------------------------

SILENCES: dict[str, tuple[dict[str, Any], Timeouts, type[Exception]]] = {
    "before the first token": ({"kind": "silent"}, Timeouts(first_token=1.0), FirstTokenTimeoutError),
    "after some tokens": ({"kind": "stall", "after": 2}, Timeouts(idle=1.0), IdleTimeoutError),
}


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("max_loops", [2, "auto"])
def test_a_server_that_goes_silent_ends_the_run(
    simulate: Simulate, reader: Reader, silence: str, turn: int, max_loops: Any
) -> None:
    fault, timeouts, error = SILENCES[silence]
    first = plans("a", text="Let me plan.") if max_loops == "auto" else ADDS
    turns = conversation(first, {"text": "It is 42."})
    turns[turn]["fault"] = fault
    agent = agent_at(simulate(turns=turns), tools=[add], max_loops=max_loops, timeouts=timeouts)
    result = reader.read(agent)
    assert type(result.error) is error
    assert result.stream.state == "timeout"
    # The tokens before the error are not lost.
    assert len(result.tokens) == 3 * turn + fault.get("after", 0)


# --- HTTP 500 is an empty answer -------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("max_loops", [2, "auto"])
def test_an_http_error_is_an_error(simulate: Simulate, reader: Reader, turn: int, max_loops: Any) -> None:
    first = plans("a", text="Let me plan.") if max_loops == "auto" else ADDS
    turns = conversation(first, {"text": "It is 42."})
    turns[turn]["fault"] = {"kind": "status", "status": 500}
    result = reader.read(agent_at(simulate(turns=turns), tools=[add], max_loops=max_loops))
    assert isinstance(result.error, ServerError)
    assert result.error.status == 500
    assert len(result.tokens) == 3 * turn


def test_run_and_arun_raise_it_too(simulate: Simulate) -> None:
    agent = agent_at(simulate(fault={"kind": "status", "status": 500}))
    with pytest.raises(ServerError):
        agent.run("Go.")
    with pytest.raises(ServerError):
        asyncio.run(agent.arun("Go."))


# --- a retry inside a stream repeats tokens --------------------------------------------------------------------


def test_no_token_is_repeated_by_a_retry(simulate: Simulate, reader: Reader) -> None:
    broken = {"text": WORDS, "fault": {"kind": "reset", "after": 100}, "pacing": {"mode": "burst", "interval_ms": 1}}
    simulator = simulate(turns=[broken])
    result = reader.read(agent_at(simulator, retry_attempts=5, retry_interval=0))
    assert isinstance(result.error, ConnectionFailedError)
    assert result.tokens == WORDS[: len(result.tokens)]
    assert result.tokens
    assert outcomes(simulator) == ["fault"]


# --- the history is one flat string ----------------------------------------------------------------------------


def test_the_history_is_messages_with_roles_and_ids(simulate: Simulate, reader: Reader, tmp_path: Any) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}, {"text": "You asked for a sum."}))
    agent = agent_at(
        simulator, tools=[add], max_loops=2, persistent_memory=True, memory_path=tmp_path / "memory.sqlite3"
    )
    reader.read(agent, "17 + 25?")
    reader.read(agent, "What did I ask?")
    history = sent(simulator)
    assert [message["role"] for message in history] == ["user", "assistant", "tool", "assistant", "user"]
    [call] = history[1]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "add")
    assert history[2]["tool_call_id"] == call["id"]
    assert [history[index]["content"] for index in (0, 3, 4)] == ["17 + 25?", "It is 42.", "What did I ask?"]


# --- and of all this, nothing is left --------------------------------------------------------------------------


def test_nothing_is_left_after_runs_of_all_kinds(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=[{"when": {"contains": "42"}, "text": "It is 42."}, ADDS])
    agent = agent_at(simulator, tools=[add], max_loops=2)
    before = set(threading.enumerate())
    for _ in range(10):
        reader.read(agent)
        reading = reader.start(agent)
        reading.take(4)
        reading.close()
        reader.read(agent, with_events=True)
    # The thread of a tool may be just about to end.
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()
