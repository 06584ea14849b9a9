"""``Agent.run``, and what a run prints."""

from __future__ import annotations

import pytest

from headrace import ServerError
from support.harness import Simulate, agent_at, wait_for_outcomes


def test_run_returns_the_whole_text(simulate: Simulate) -> None:
    assert agent_at(simulate(["one", " two"], reasoning="Hm.")).run("Go.") == "one two"


def test_run_reads_to_the_end(simulate: Simulate) -> None:
    simulator = simulate()
    agent_at(simulator).run("Go.")
    wait_for_outcomes(simulator, "complete")


def test_an_error_ends_run(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    agent = agent_at(simulate(fault={"kind": "status", "status": 500}), print_on=True)
    with pytest.raises(ServerError):
        agent.run("Go.")
    assert capsys.readouterr() == ("", "")


def test_print_on_shows_the_answer_as_plain_text_in_a_pipe(
    simulate: Simulate, capsys: pytest.CaptureFixture[str]
) -> None:
    agent_at(simulate(["one", " two"]), print_on=True).run("Go.")
    assert capsys.readouterr() == ("one two\n", "")


def test_streaming_on_shows_the_same_token_by_token(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    agent_at(simulate(["one", " two"]), print_on=True, streaming_on=True).run("Go.")
    assert capsys.readouterr() == ("one two\n", "")


def test_streaming_on_shows_what_came_before_an_error(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    simulator = simulate("one two three", fault={"kind": "error", "after": 2})
    with pytest.raises(Exception, match="mid-stream"):
        agent_at(simulator, print_on=True, streaming_on=True).run("Go.")
    assert capsys.readouterr().out.rstrip("\n") == "one two"


@pytest.mark.parametrize("streaming_on", [True, False])
def test_print_off_shows_nothing(simulate: Simulate, capsys: pytest.CaptureFixture[str], streaming_on: bool) -> None:
    agent_at(simulate(), print_on=False, streaming_on=streaming_on).run("Go.")
    assert capsys.readouterr() == ("", "")


def test_streams_show_nothing(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    agent = agent_at(simulate(), print_on=True, streaming_on=True)
    assert "".join(agent.run_stream("Go.")) == "Hello from the simulator."
    assert capsys.readouterr() == ("", "")


def test_verbose_prints_to_standard_error_only(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    agent_at(simulate(), verbose=True, agent_name="Ada").run("Go.")
    out, err = capsys.readouterr()
    assert out == ""
    assert "Ada" in err
    assert "openai/sim" in err


def test_verbose_prints_the_timing_of_turns(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    agent_at(simulate(), verbose=True).run("Go.")
    asked, *went = capsys.readouterr().err.splitlines()
    assert "asks" in asked
    assert went


def test_the_repr_names_the_agent_and_no_key() -> None:
    agent = agent_at("http://127.0.0.1/v1", agent_name="Ada", llm_api_key="sk-secret")
    assert repr(agent) == "Agent(agent_name='Ada', model_name='openai/sim', max_loops=1)"


def test_a_run_keeps_the_configuration_that_it_started_with(simulate: Simulate) -> None:
    simulator = simulate()
    agent = agent_at(simulator, system_prompt="You are brief.", llm_args={"seed": 1})
    stream = agent.run_stream("Go.")
    agent.system_prompt = "You are long-winded."
    agent.llm_args["seed"] = 2
    assert "".join(stream) == "Hello from the simulator."
    body = simulator.report()["requests"][0]["body"]
    assert (body["messages"][0]["content"], body["seed"]) == ("You are brief.", 1)
