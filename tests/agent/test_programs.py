"""The three programs of swarms' documentation of streaming, with only the import line changed: they stream all text."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent
from support.conversations import bodies, calling, conversation, sent
from support.harness import PATIENCE, receive_request, serving, wait_for_outcomes

if TYPE_CHECKING:
    import socket

    from headrace.testing import Simulator
    from support.harness import Reader, Simulate


def add(a: int, b: int) -> int:
    """Add two integers.

    Args:
        a: First integer.
        b: Second integer.

    Returns:
        The sum.
    """
    return a + b


# --- Calculator ------------------------------------------------------------------------------------------------

TASK = "Use the add tool to compute 17 + 25, then state the result."
CALLS = {
    "reasoning": ["The", " user", " wants", " a", " sum."],
    "text": "I will use the add tool.",
    "tool_calls": [calling("add", {"a": 17, "b": 25}, fragments=6)],
}
STATES = {"text": "The result is 42."}


def calculator_at(simulator: Simulator) -> Agent:
    return Agent(
        agent_name="Calculator",
        model_name="openai/sim",
        llm_base_url=simulator.base_url,
        max_loops=3,
        tools=[add],
        persistent_memory=False,
        print_on=False,
    )


def test_the_calculator_streams_the_turn_that_calls_and_the_turn_that_states(
    simulate: Simulate, reader: Reader
) -> None:
    simulator = simulate(turns=conversation(CALLS, STATES))
    result = reader.read(calculator_at(simulator), TASK)
    assert result.error is None
    assert result.tokens == ["I", " will", " use", " the", " add", " tool.", "\n\n", "The", " result", " is", " 42."]
    assert len(bodies(simulator)) == 2
    [call] = sent(simulator)[1]["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("add", '{"a": 17, "b": 25}')
    assert (sent(simulator)[2]["tool_call_id"], sent(simulator)[2]["content"]) == (call["id"], "42")


@pytest.mark.parametrize(
    ("turns", "streamed"),
    [
        ([{**CALLS, "fault": {"kind": "stall", "after": 5 + 4}}], ["I", " will", " use", " the"]),
        # All of its text is there before any of the call's arguments.
        ([{**CALLS, "fault": {"kind": "stall", "after": 5 + 6 + 1}}], ["I", " will", " use", " the", " add", " tool."]),
        (
            [CALLS, {**STATES, "fault": {"kind": "stall", "after": 2}}],
            ["I", " will", " use", " the", " add", " tool.", "\n\n", "The", " result"],
        ),
    ],
    ids=["text before a call", "arguments", "synthesis"],
)
def test_the_tokens_of_the_calculator_arrive_before_the_turn_is_complete(
    simulate: Simulate, reader: Reader, turns: list[dict[str, Any]], streamed: list[str]
) -> None:
    simulator = simulate(turns=conversation(*turns))
    with reader.start(calculator_at(simulator), TASK) as reading:
        assert reading.take(len(streamed)) == streamed
        assert reading.stream.state == "streaming"
    wait_for_outcomes(simulator, "disconnected")


def test_the_parallel_calls_of_the_calculator_are_all_made(simulate: Simulate, reader: Reader) -> None:
    four = [calling("add", {"a": n, "b": n}, fragments=n) for n in range(1, 5)]
    turn = {**CALLS, "tool_calls": four, "interleave_calls": True}
    simulator = simulate(turns=conversation(turn, STATES))
    assert (
        "".join(reader.read(calculator_at(simulator), TASK).tokens) == "I will use the add tool.\n\nThe result is 42."
    )
    answers = [message["content"] for message in sent(simulator) if message["role"] == "tool"]
    assert answers == ["2", "4", "6", "8"]


# --- Writer ----------------------------------------------------------------------------------------------------


def test_the_writer_never_blocks_the_event_loop() -> None:
    """Each word is sent only after another task of the event loop has seen the word before, and asks for the next."""
    words = [f"word{number} " for number in range(20)]
    asked_for = threading.Semaphore(0)

    def answer(connection: socket.socket) -> None:
        receive_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for word in words:
            assert asked_for.acquire(timeout=PATIENCE)
            chunk = {"choices": [{"index": 0, "delta": {"content": word}}]}
            connection.sendall(f"data: {json.dumps(chunk)}\n\n".encode())
        connection.sendall(b"data: [DONE]\n\n")

    async def main(url: str) -> list[str]:
        agent = Agent(agent_name="Writer", model_name="openai/sim", llm_base_url=url, max_loops=1, print_on=False)
        tokens: list[str] = []

        async def write() -> None:
            async for token in agent.arun_stream("Write."):
                tokens.append(token)  # noqa: PERF401 - they are looked at meanwhile

        writing = asyncio.ensure_future(write())
        for number in range(len(words)):
            asked_for.release()
            while len(tokens) == number:
                assert not writing.done()
                await asyncio.sleep(0)
        await writing
        return tokens

    with serving(answer) as port:
        assert asyncio.run(main(f"http://127.0.0.1:{port}/v1")) == words


def test_the_writer_lets_other_work_go_on_while_its_model_is_silent(simulate: Simulate) -> None:
    simulator = simulate(fault={"kind": "silent"})
    agent = Agent(agent_name="Writer", model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)

    async def main() -> None:
        writing = asyncio.ensure_future(anext(agent.arun_stream("Write.")))
        await asyncio.to_thread(wait_for_outcomes, simulator, "running")
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not writing.done()
        writing.cancel()
        await asyncio.wait([writing])

    asyncio.run(main())


# --- AutoBot ---------------------------------------------------------------------------------------------------

STEPS = [
    {"step_id": "check", "description": "Check it.", "priority": "low", "dependencies": ["add"]},
    {"step_id": "add", "description": "Add the numbers.", "priority": "high", "dependencies": []},
]
SUMMARY = '{"task_id": "main", "summary": "The result is 42, and it was checked.", "success": true}'
AUTOBOT: list[dict[str, Any]] = [
    {"text": "Let me plan.", "tool_calls": [calling("create_plan", {"task_description": TASK, "steps": STEPS})]},
    {"text": "Adding.", "tool_calls": [calling("add", {"a": 17, "b": 25}, fragments=5)]},
    {"tool_calls": [calling("subtask_done", {"task_id": "add", "summary": "It is 42.", "success": True})]},
    {"text": "Checking.", "tool_calls": [calling("add", {"a": 25, "b": 17}), calling("add", {"a": 40, "b": 2})]},
    {"tool_calls": [calling("subtask_done", {"task_id": "check", "summary": "It is right.", "success": True})]},
    {"tool_calls": [calling("complete_task", SUMMARY, fragments=len(SUMMARY))]},
]
SAID = "Let me plan.\n\nAdding.\n\nChecking.\n\nThe result is 42, and it was checked."


def autobot_at(simulator: Simulator) -> Agent:
    return Agent(
        agent_name="AutoBot",
        model_name="openai/sim",
        llm_base_url=simulator.base_url,
        max_loops="auto",
        tools=[add],
        print_on=False,
    )


def test_the_autobot_streams_plan_execution_and_summary(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(*AUTOBOT))
    result = reader.read(autobot_at(simulator), TASK)
    assert result.error is None
    assert "".join(result.tokens) == result.stream.text == SAID
    assert result.stream.final == "The result is 42, and it was checked."
    assert len(bodies(simulator)) == len(AUTOBOT)


def test_each_phase_of_the_autobot_streams_before_it_is_complete(simulate: Simulate, reader: Reader) -> None:
    # In the middle of the plan's text, of a subtask's text, and of the summary inside its arguments.
    for number, after, streamed in [
        (0, 2, "Let me"),
        (3, 1, "Let me plan.\n\nAdding.\n\nChecking."),
        (5, 1 + SUMMARY.index(" is 42"), "Let me plan.\n\nAdding.\n\nChecking.\n\nThe result"),
    ]:
        turns = [dict(turn) for turn in AUTOBOT[: number + 1]]
        turns[number]["fault"] = {"kind": "stall", "after": after}
        with reader.start(autobot_at(simulate(turns=conversation(*turns))), TASK) as reading:
            said = ""
            while said != streamed:
                said += reading.next()
                assert streamed.startswith(said)
