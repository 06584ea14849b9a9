"""The loop of turns: when it goes on, when it ends, and what each request contains."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.conversations import ADDS, add, bodies, calling, conversation, refusing, sent
from support.harness import Reader, Simulate, agent_at

# --- how many turns --------------------------------------------------------------------------------------------


def test_a_run_ends_with_the_first_turn_that_calls_no_tool(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    result = reader.read(agent_at(simulator, tools=[add], max_loops=10))
    assert result.error is None
    assert "".join(result.tokens) == result.stream.text == "Let me add.It is 42."
    assert (result.stream.final, result.stream.state) == ("It is 42.", "complete")
    assert [turn.text for turn in result.stream.turns] == ["Let me add.", "It is 42."]
    assert len(bodies(simulator)) == 2


def test_without_a_tool_call_there_is_one_turn(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("It is fine.")
    assert reader.read(agent_at(simulator, max_loops=5, tools=[add])).stream.final == "It is fine."
    assert len(bodies(simulator)) == 1


@pytest.mark.parametrize("most", [1, 2, 5])
def test_max_loops_limits_the_turns_and_the_tools_of_the_last_are_run(
    simulate: Simulate, reader: Reader, most: int
) -> None:
    calls: list[int] = []
    simulator = simulate(turns=[{"text": "Again.", "tool_calls": [calling("count", {"step": 1})]}])
    result = reader.read(agent_at(simulator, tools=[recording_tool("count", calls)], max_loops=most))
    assert result.error is None
    assert result.tokens == ["Again."] * most
    assert (len(bodies(simulator)), len(calls)) == (most, most)


def recording_tool(name: str, calls: list[int]) -> Any:
    """A tool with this name that records each call."""

    def tool(step: int) -> str:
        calls.append(step)
        return "noted"

    tool.__name__ = name
    return tool


def test_max_loops_is_one_by_default(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    assert "".join(reader.read(agent_at(simulator, tools=[add])).tokens) == "Let me add."
    assert len(bodies(simulator)) == 1


def test_without_any_text_the_answer_is_what_the_last_tools_returned(simulate: Simulate, reader: Reader) -> None:
    two = {"tool_calls": [calling("add", {"a": 17, "b": 25}), calling("add", {"a": 1, "b": 2})]}
    for turns, answer in (
        ([two], "42\n\n3"),
        ([two, {"tool_calls": two["tool_calls"][:1]}], "42"),
    ):
        simulator = simulate(turns=conversation(*turns))
        result = reader.read(agent_at(simulator, tools=[add], max_loops=len(turns)))
        assert (result.error, result.stream.final, result.stream.text) == (None, answer, "")


def test_run_shows_what_the_tools_returned_if_the_model_wrote_no_text(
    simulate: Simulate, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = simulate(turns=conversation({"tool_calls": [calling("add", {"a": 17, "b": 25})]}))
    for streaming_on in (False, True):
        agent = agent_at(simulator, tools=[add], print_on=True, streaming_on=streaming_on)
        assert agent.run("Go.") == "42"
        assert capsys.readouterr().out == "42\n"
    assert asyncio.run(agent_at(simulator, tools=[add], print_on=True).arun("Go.")) == "42"
    assert capsys.readouterr().out == "42\n"


def test_the_final_text_is_that_of_the_last_turn_that_had_any(simulate: Simulate, reader: Reader) -> None:
    silent = {"tool_calls": [calling("add", {"a": 1, "b": 2})]}
    simulator = simulate(turns=conversation(ADDS, silent, silent))
    result = reader.read(agent_at(simulator, tools=[add], max_loops=3))
    assert (result.stream.final, result.stream.text) == ("Let me add.", "Let me add.")


# --- what the model is sent ------------------------------------------------------------------------------------


def test_the_model_is_sent_the_conversation_as_messages_with_their_roles(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    reader.read(agent_at(simulator, tools=[add], max_loops=3, system_prompt="You calculate."), "17 + 25?")
    asked = [{"role": "system", "content": "You calculate."}, {"role": "user", "content": "17 + 25?"}]
    assert sent(simulator, 0) == asked
    call = {"id": "call_0_0", "type": "function", "function": {"name": "add", "arguments": '{"a": 17, "b": 25}'}}
    assert sent(simulator, 1)[:3] == [
        *asked,
        {"role": "assistant", "content": "Let me add.", "tool_calls": [call]},
    ]
    [result] = sent(simulator, 1)[3:]
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_0_0", "42")


def test_a_turn_without_text_goes_back_without_content(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation({"tool_calls": [calling("add", {"a": 1, "b": 2})]}, {"text": "3"}))
    reader.read(agent_at(simulator, tools=[add], max_loops=2))
    assert sent(simulator)[1]["content"] is None


def test_reasoning_goes_back_with_tool_calls_to_an_endpoint_that_is_known_by_its_url(
    simulate: Simulate, reader: Reader
) -> None:
    simulator = simulate(turns=conversation({"reasoning": "I add.", **ADDS}, {"text": "42"}))
    reader.read(agent_at(simulator, tools=[add], max_loops=2))
    assert sent(simulator)[1]["reasoning_content"] == "I add."


def test_every_turn_offers_the_tools(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "42"}))
    reader.read(agent_at(simulator, tools=[add], max_loops=2))
    offered = [[tool["function"]["name"] for tool in body["tools"]] for body in bodies(simulator)]
    assert offered == [["add"], ["add"]]


def test_each_turn_sends_all_messages_before_it(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, ADDS, ADDS, {"text": "42"}))
    result = reader.read(agent_at(simulator, tools=[add], max_loops=9))
    for number in range(1, 4):
        assert sent(simulator, number)[: 2 * number - 1] == sent(simulator, number - 1)
    roles = [message["role"] for message in result.stream.messages]
    assert roles == ["user", *["assistant", "tool"] * 3, "assistant"]
    assert [*sent(simulator), {"role": "assistant", "content": "42"}] == list(result.stream.messages)


def test_usage_and_timings_are_those_of_all_turns(simulate: Simulate, reader: Reader) -> None:
    usage = {"input_tokens": 10, "output_tokens": 4}
    simulator = simulate(turns=conversation({**ADDS, "usage": usage}, {"text": "42", "usage": usage}))
    stream = reader.read(agent_at(simulator, tools=[add], max_loops=2)).stream
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens, stream.usage.total_tokens) == (20, 8, 28)
    assert len(stream.timings) == 2
    assert stream.timing == stream.timings[-1]


# --- stopping early --------------------------------------------------------------------------------------------


STOPS: dict[str, dict[str, Any]] = {
    "stopping_token": {"stopping_token": "<DONE>"},
    "stopping_func": {"stopping_func": lambda text: text.endswith("<DONE>")},
    "stopping_condition": {"stopping_condition": lambda text: "DONE" in text},
}


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_condition_ends_the_run_after_the_tools_of_its_turn(
    simulate: Simulate, reader: Reader, stop: str
) -> None:
    calls: list[int] = []
    step = {"tool_calls": [calling("count", {"step": 7})]}
    turns = conversation({"text": "Not yet.", **step}, {"text": ["All ", "<DO", "NE>"], **step})
    simulator = simulate(turns=turns)
    result = reader.read(agent_at(simulator, tools=[recording_tool("count", calls)], max_loops=9, **STOPS[stop]))
    assert (result.error, result.stream.final) == (None, "All <DONE>")
    assert (len(bodies(simulator)), calls) == (2, [7, 7])


def test_a_stop_condition_gets_only_the_text_of_its_turn(simulate: Simulate, reader: Reader) -> None:
    judged: list[str] = []

    def note(text: str) -> bool:
        judged.append(text)
        return False

    simulator = simulate(turns=conversation({"reasoning": "Hm.", **ADDS}, ADDS, {"text": "42"}))
    reader.read(agent_at(simulator, tools=[add], max_loops=3, stopping_func=note))
    assert judged[:2] == ["Let me add.", "Let me add."]


def test_a_stop_condition_that_raises_ends_the_run_with_its_error(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS))
    result = reader.read(agent_at(simulator, tools=[add], max_loops=3, stopping_func=lambda _: 1 / 0 > 0))
    assert "".join(result.tokens) == "Let me add."
    assert isinstance(result.error, ZeroDivisionError)
    assert result.stream.state == "failed"


# --- between turns ---------------------------------------------------------------------------------------------


def test_the_loop_interval_lies_between_two_turns(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "42"}))
    assert reader.read(agent_at(simulator, tools=[add], max_loops=2, loop_interval=0.03)).error is None
    first, second = simulator.report()["requests"]
    # A wait may take longer, but never shorter.
    assert second["received_ns"] - first["first_byte_ns"] >= 30_000_000


def test_there_is_no_interval_before_the_first_turn_or_after_the_last(simulate: Simulate, reader: Reader) -> None:
    # A wait of an hour would run into the time limit of the test.
    one = simulate(turns=conversation(ADDS))
    assert reader.read(agent_at(one, tools=[add], max_loops=1, loop_interval=3600)).error is None
    other = simulate("It is 42.")
    assert reader.read(agent_at(other, tools=[add], max_loops=9, loop_interval=3600)).error is None


def test_the_event_loop_runs_during_the_interval(simulate: Simulate) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "42"}))
    agent = agent_at(simulator, tools=[add], max_loops=2, loop_interval=3600)

    async def main() -> None:
        stream = agent.arun_stream("Go.")
        assert "".join([await anext(stream) for _ in range(3)]) == "Let me add."
        waiting = asyncio.ensure_future(anext(stream))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(main())


# --- the tool choice -------------------------------------------------------------------------------------------

NAMED = {"type": "function", "function": {"name": "add"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}


@pytest.mark.parametrize("choice", ["required", "any", NAMED, {"type": "any"}, ALLOWED], ids=str)
@pytest.mark.parametrize("every_turn", [False, True])
def test_a_choice_that_demands_a_call_is_for_the_first_turn(
    simulate: Simulate, reader: Reader, choice: object, every_turn: bool
) -> None:
    simulator = simulate(turns=conversation(ADDS, ADDS, {"text": "It is 42."}))
    agent = agent_at(simulator, tools=[add], max_loops=5, tool_choice=choice, tool_choice_every_turn=every_turn)
    assert reader.read(agent).error is None
    chosen = [body.get("tool_choice") for body in bodies(simulator)]
    assert chosen == ([choice] * 3 if every_turn else [choice, None, None])
    # The next run begins with it again.
    reader.read(agent)
    assert bodies(simulator)[3]["tool_choice"] == choice


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_any_other_choice_is_for_every_turn(simulate: Simulate, reader: Reader, choice: str) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "It is 42."}))
    reader.read(agent_at(simulator, tools=[add], max_loops=5, tool_choice=choice))
    assert [body.get("tool_choice") for body in bodies(simulator)] == [choice] * 2


def test_a_retry_of_the_first_turn_has_its_tool_choice(simulate: Simulate, reader: Reader) -> None:
    failing = {**ADDS, "fault": refusing(503)}
    simulator = simulate(turns=conversation(failing, {"text": "It is 42."}))
    agent = agent_at(simulator, tools=[add], max_loops=5, tool_choice="required", retry_attempts=1, retry_interval=0)
    assert reader.read(agent).error is None
    assert [body.get("tool_choice") for body in bodies(simulator)] == ["required", "required", None]
