"""``steer``: messages that the user sends during a run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from support.conversations import ADDS, add, bodies, calling, conversation, sent
from support.harness import Reader, Simulate, agent_at

if TYPE_CHECKING:
    from pathlib import Path


def users(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages if message["role"] == "user"]


def test_steering_comes_before_the_next_turn_after_the_tool_results(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "In Roman: XLII."}))
    reading = reader.start(agent_at(simulator, tools=[add], max_loops=2), "17 + 25?")
    assert "".join(reading.take(3)) == "Let me add."
    reading.stream.steer("Say it in Roman numerals.")
    assert reading.to_end().error is None
    assert [message["role"] for message in sent(simulator)] == ["user", "assistant", "tool", "user"]
    assert sent(simulator)[-1]["content"] == "Say it in Roman numerals."
    assert reading.stream.final == "In Roman: XLII."


def test_a_tool_can_steer(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"tool_calls": [calling("look")]}, {"text": "I see."}))

    def look() -> str:
        reading.stream.steer("Hurry.")
        return "much"

    reading = reader.start(agent_at(simulator, tools=[look], max_loops=2), "Look.")
    assert reading.to_end().error is None
    assert users(sent(simulator)) == ["Look.", "Hurry."]


def test_steering_during_the_last_turn_gets_another_turn(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"text": "It is 42."}, {"text": "XLII."}))
    reading = reader.start(agent_at(simulator, max_loops=5), "17 + 25?")
    tokens = reading.take(1)
    reading.stream.steer("Say it in Roman numerals.")
    rest = reading.to_end()
    assert (tokens + rest.tokens, rest.stream.final) == (["It", " is", " 42.", "XLII."], "XLII.")
    assert [message["role"] for message in sent(simulator)] == ["user", "assistant", "user"]
    assert len(bodies(simulator)) == 2


def test_max_loops_limits_turns_after_steering_too(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"text": "It is 42."}))
    reading = reader.start(agent_at(simulator, max_loops=1), "17 + 25?")
    reading.take(1)
    reading.stream.steer("Say it in Roman numerals.")
    rest = reading.to_end()
    assert (rest.error, rest.stream.final) == (None, "It is 42.")


def test_steering_before_the_first_token_comes_after_the_task(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    reading = reader.start(agent_at(simulator), "17 + 25?")
    reading.stream.steer("Be brief.")
    reading.to_end()
    assert users(sent(simulator)) == ["17 + 25?", "Be brief."]


def test_several_steering_messages_keep_their_order(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"text": "It is 42."}, {"text": "Yes."}))
    reading = reader.start(agent_at(simulator, max_loops=2), "17 + 25?")
    reading.take(1)

    def speak() -> None:
        for number in range(5):
            reading.stream.steer(f"{number}")

    thread = threading.Thread(target=speak)
    thread.start()
    thread.join()
    assert reading.to_end().error is None
    assert users(sent(simulator)) == ["17 + 25?", *"01234"]


def test_steering_affects_only_its_own_run(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    agent = agent_at(simulator)
    steered, other = reader.start(agent, "One."), reader.start(agent, "Two.")
    steered.stream.steer("Be brief.")
    assert other.to_end().error is None
    assert users(sent(simulator)) == ["Two."]
    assert steered.to_end().error is None
    assert users(sent(simulator)) == ["One.", "Be brief."]


def test_steering_is_in_the_messages_and_in_the_memory(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    simulator = simulate(turns=conversation({"text": "It is 42."}, {"text": "XLII."}))
    agent = agent_at(simulator, max_loops=2, persistent_memory=True, memory_path=tmp_path / "memory.sqlite3")
    reading = reader.start(agent, "17 + 25?")
    reading.take(1)
    reading.stream.steer("In Roman.")
    reading.to_end()
    said = [message["content"] for message in reading.stream.messages]
    assert said == ["17 + 25?", "It is 42.", "In Roman.", "XLII."]
    assert agent.memory is not None
    assert agent.memory.read() == list(reading.stream.messages)


def test_trimming_keeps_the_task_after_steering(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(
        turns=[{"when": {"role": "user", "contains": "Look"}, "tool_calls": [calling("look")]}, {"text": "."}]
    )

    def look() -> str:
        reading.stream.steer("Hurry.")
        return "word " * 800

    reading = reader.start(agent_at(simulator, tools=[look], max_loops=2, context_length=500), "Look.")
    assert reading.to_end().error is None
    assert users(sent(simulator)) == ["Look.", "Hurry."]
