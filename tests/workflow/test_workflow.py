"""Workflows: what agents pass on, how their tokens are interleaved, and how an error or the reader ends the run."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pytest

from headrace import ConfigurationError, ProviderError, ServerError, StreamClosedError, TruncatedError
from headrace.events import AgentEnd, AgentFailed, AgentStart, RunEnd, RunStart, Token, ToolResultReturned
from headrace.workflow import AgentRearrange, ConcurrentWorkflow, SequentialWorkflow
from support.harness import PATIENCE, Reader, Reading, Simulate, agent_at, outcomes, run_python, wait_for_outcomes

if TYPE_CHECKING:
    from headrace import Agent
    from headrace.testing import Simulator

Workflow: TypeAlias = "SequentialWorkflow | ConcurrentWorkflow | AgentRearrange"
Team: TypeAlias = "tuple[Simulator, list[Agent]]"
Run: TypeAlias = Callable[..., Any]

STALLED: dict[str, Any] = {"text": "b1 b2 b3", "fault": {"kind": "stall", "after": 2}}
FAILING: dict[str, Any] = {"text": "a1 a2 a3", "fault": {"kind": "error", "after": 2}}
REFUSED: dict[str, Any] = {"fault": {"kind": "status", "status": 500}}


def team(simulate: Simulate, **turns: Any) -> Team:
    """Agents, named by the keywords. Each has its own model, which sends the text or plays the turn."""
    script = [
        {"when": {"model": name}, **(turn if isinstance(turn, dict) else {"text": turn})}
        for name, turn in turns.items()
    ]
    simulator = simulate(turns=script)
    return simulator, [agent_at(simulator, agent_name=name, model_name=f"openai/{name}") for name in turns]


def start(reader: Reader, workflow: Workflow, task: str = "Go.", **options: Any) -> Reading[Any]:
    """Starts a run. Workflows and agents have the same methods for streaming."""
    return reader.start(cast("Agent", workflow), task, **options)


def read(reader: Reader, workflow: Workflow, task: str = "Go.", **options: Any) -> Any:
    """Runs to the end. Gives a ``support.harness.Result``, whose stream is the workflow's."""
    return start(reader, workflow, task, **options).to_end()


def events(reader: Reader, workflow: Workflow) -> list[Any]:
    """All events of a run."""
    return cast("list[Any]", read(reader, workflow, with_events=True).tokens)


@pytest.fixture(params=["run", "arun"])
def run(request: pytest.FixtureRequest) -> Run:
    """The two ways of running without a stream."""
    if request.param == "run":
        return lambda workflow, task="Go.": workflow.run(task)
    return lambda workflow, task="Go.": asyncio.run(workflow.arun(task))


def told(simulator: Simulator, model: str) -> list[str]:
    """The prompt of each request that a model got."""
    bodies = [request["body"] for request in simulator.report()["requests"]]
    return [body["messages"][-1]["content"] for body in bodies if body["model"] == model]


def wait_until_none_runs(simulator: Simulator) -> None:
    """Waits until no answer is being sent."""
    assert "running" not in outcomes(simulator)


def is_waiting(simulator: Simulator, count: int) -> bool:
    """Waits until so many requests have sent two tokens, and before them the role."""
    return simulator.wait_for(
        lambda report: [r["frames_written"] for r in report["requests"]].count(3) == count, PATIENCE
    )


# --- what is passed on -----------------------------------------------------------------------------------------


def test_each_agent_of_a_sequence_gets_the_answers_before_it(simulate: Simulate, run: Run) -> None:
    simulator, agents = team(simulate, A="a1 a2", B="b1", C="c1")
    assert run(SequentialWorkflow(agents=agents)) == "c1"
    assert told(simulator, "A") == ["Go."]
    assert told(simulator, "B") == ["Go.\n\nWhat the agents have said so far:\n\n[A]\na1 a2"]
    assert told(simulator, "C") == ["Go.\n\nWhat the agents have said so far:\n\n[A]\na1 a2\n\n[B]\nb1"]


def test_concurrent_agents_get_the_task_and_answer_in_order(simulate: Simulate, run: Run) -> None:
    slow = {"text": "a1 a2", "pacing": {"mode": "steady", "first_ms": 50}}
    simulator, agents = team(simulate, A=slow, B="b1", C="c1")
    assert list(run(ConcurrentWorkflow(agents=agents)).items()) == [("A", "a1 a2"), ("B", "b1"), ("C", "c1")]
    assert [told(simulator, name) for name in "ABC"] == [["Go."]] * 3


def test_a_flow_runs_its_steps_in_order(simulate: Simulate, run: Run) -> None:
    simulator, agents = team(simulate, A="a1", B="b1", C="c1")
    assert run(AgentRearrange(agents=agents, flow="A, B -> C")) == "c1"
    assert [told(simulator, name) for name in "AB"] == [["Go."]] * 2
    assert told(simulator, "C") == ["Go.\n\nWhat the agents have said so far:\n\n[A]\na1\n\n[B]\nb1"]


def test_a_flow_that_ends_with_several_agents_has_their_answers_by_name(simulate: Simulate, run: Run) -> None:
    _, agents = team(simulate, A="a1", B="b1", C="c1")
    assert run(AgentRearrange(agents=agents, flow="A -> C, B")) == "[C]\nc1\n\n[B]\nb1"


def test_an_agent_may_be_in_several_steps_and_gets_its_own_answer(simulate: Simulate, run: Run) -> None:
    simulator, agents = team(simulate, A="a1", B="b1", C="c1")
    assert run(AgentRearrange(agents=agents, flow="A -> B -> A", output_type="outputs")) == {"B": "b1", "A": "a1"}
    assert told(simulator, "A")[1].endswith("[A]\na1\n\n[B]\nb1")
    assert told(simulator, "C") == []


def test_a_later_loop_gets_only_the_answers_of_the_last_one(simulate: Simulate, reader: Reader) -> None:
    simulator, agents = team(simulate, A="a1", B="b1")
    result = read(reader, SequentialWorkflow(agents=agents, max_loops=3))
    assert result.tokens == ["a1", "\n\n", "b1", "\n\n"] * 2 + ["a1", "\n\n", "b1"]
    said = "Go.\n\nWhat the agents have said so far:\n\n"
    assert told(simulator, "A") == ["Go.", *[f"{said}[A]\na1\n\n[B]\nb1"] * 2]
    assert told(simulator, "B") == [f"{said}[A]\na1", *[f"{said}[B]\nb1\n\n[A]\na1"] * 2]


def test_the_answer_of_an_agent_with_tools_is_what_is_passed_on(simulate: Simulate, reader: Reader) -> None:
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    turns = [
        {"when": {"role": "tool"}, "text": "It is 3."},
        {"when": {"model": "A"}, "text": "Let me see.", "tool_calls": [{"name": "add", "arguments": {"a": 1, "b": 2}}]},
        {"when": {"model": "B"}, "text": "b1"},
    ]
    simulator = simulate(turns=turns)
    adder = agent_at(simulator, agent_name="A", model_name="openai/A", tools=[add], max_loops=2)
    other = agent_at(simulator, agent_name="B", model_name="openai/B")
    stream = read(reader, SequentialWorkflow(agents=[adder, other])).stream
    assert told(simulator, "B")[0].endswith("[A]\nIt is 3.")
    assert stream.text == "Let me see.It is 3.\n\nb1"
    assert len(stream.turns) == len(stream.timings) == 3


@pytest.mark.parametrize(
    ("output_type", "output"),
    [
        ("final", "b1"),
        ("outputs", {"A": "a1", "B": "b1"}),
        ("str", "user: Go.\n\nA: a1\n\nB: b1"),
        ("list", ["user: Go.", "A: a1", "B: b1"]),
        ("dict-all-except-first", [{"role": "A", "content": "a1"}, {"role": "B", "content": "b1"}]),
    ],
)
def test_output_type_determines_what_run_returns(
    simulate: Simulate, run: Run, output_type: str, output: object
) -> None:
    _, agents = team(simulate, A="a1", B="b1")
    assert run(SequentialWorkflow(agents=agents, output_type=output_type)) == output


# --- streaming -------------------------------------------------------------------------------------------------


def test_a_sequence_streams_agent_after_agent(simulate: Simulate, reader: Reader) -> None:
    _, agents = team(simulate, A="a1 a2", B="b1 b2")
    result = read(reader, SequentialWorkflow(agents=agents))
    assert result.tokens == ["a1", " a2", "\n\n", "b1", " b2"]
    assert (result.stream.text, result.stream.state) == ("a1 a2\n\nb1 b2", "complete")
    assert result.stream.usage is not None
    assert result.stream.usage.output_tokens == 4


def test_nothing_is_sent_before_the_first_token_is_asked_for(simulate: Simulate, reader: Reader) -> None:
    simulator, agents = team(simulate, A="a1", B="b1")
    reading = start(reader, ConcurrentWorkflow(agents=agents))
    assert reading.stream.state == "pending"
    assert outcomes(simulator) == []


def test_the_first_token_comes_while_the_others_are_silent(simulate: Simulate, reader: Reader) -> None:
    simulator, agents = team(simulate, A={"fault": {"kind": "silent"}}, B="b1 b2")
    with start(reader, ConcurrentWorkflow(agents=agents)) as reading:
        assert reading.take(2) == ["b1", " b2"]
        assert reading.stream.state == "streaming"
        # The simulator's report may come a moment after the answer.
        assert simulator.wait_for(
            lambda report: sorted(request["outcome"] for request in report["requests"]) == ["complete", "running"],
            PATIENCE,
        )


def test_the_tokens_of_parallel_agents_are_interleaved(simulate: Simulate, reader: Reader) -> None:
    pacing = {"mode": "steady", "interval_ms": 10}
    texts = {name: [f"{name}{n} " for n in range(20)] for name in "ABC"}
    _, agents = team(simulate, **{name: {"text": text, "pacing": pacing} for name, text in texts.items()})
    seen = events(reader, ConcurrentWorkflow(agents=agents))
    first_end = next(n for n, event in enumerate(seen) if isinstance(event, AgentEnd))
    assert {event.agent for event in seen[:first_end] if isinstance(event, Token)} == {"A", "B", "C"}
    for name, text in texts.items():
        assert [event.text for event in seen if isinstance(event, Token) and event.agent == name] == text


def test_an_agent_that_floods_does_not_hold_back_the_others(simulate: Simulate, reader: Reader) -> None:
    flood = {"text": ["a "] * 1000, "repeat": 50}
    simulator, agents = team(simulate, A=flood, B=["b "] * 100)
    with start(reader, ConcurrentWorkflow(agents=agents)) as reading:
        first = reading.next()
        wait_for_outcomes(simulator, "complete")  # B's, since A's is more than all buffers hold
        tokens = [first, *reading.to_end().tokens]
    assert (tokens.count("a "), tokens.count("b ")) == (50_000, 100)
    assert max(n for n, token in enumerate(tokens) if token == "b ") < 10_000


def test_a_reader_that_does_not_read_stops_all_agents(simulate: Simulate, reader: Reader) -> None:
    words = {name: [f"{name}{n:04} " for n in range(1000)] for name in "AB"}
    simulator, agents = team(simulate, **{name: {"text": text, "repeat": 100} for name, text in words.items()})

    def written() -> list[int]:
        return [request["bytes_written"] for request in simulator.report()["requests"]]

    with start(reader, ConcurrentWorkflow(agents=agents)) as reading:
        tokens = reading.take(200)
        before: list[int] = []
        while before != (held := written()) or len(held) < 2:
            before = held
            simulator.wait_for(lambda _: False, timeout=0.1)
        tokens += reading.to_end().tokens
    assert len(held) == 2
    assert all(stopped < whole / 2 for stopped, whole in zip(held, written(), strict=True))
    for name, text in words.items():
        assert [token for token in tokens if token[0] == name] == text * 100


def test_agents_of_one_step_take_one_thread_and_async_ones_none(simulate: Simulate, reader: Reader) -> None:
    pacing = {"mode": "steady", "interval_ms": 10}
    _, agents = team(simulate, **{name: {"text": "one two three", "pacing": pacing} for name in "ABCD"})
    before = set(threading.enumerate())
    reading = start(reader, ConcurrentWorkflow(agents=agents))
    reading.next()
    threads = set(threading.enumerate()) - before
    assert [thread.name for thread in threads] in ([], ["headrace-workflow"])
    reading.to_end()
    assert set(threading.enumerate()) == before


def test_tools_of_parallel_agents_see_the_callers_context(simulate: Simulate, reader: Reader) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    def tell() -> str:
        """Tells."""
        return who.get()

    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, {"tool_calls": [{"name": "tell"}]}])
    agents = [agent_at(simulator, agent_name=name, tools=[tell], max_loops=2) for name in "AB"]
    token = who.set("the caller")
    seen = events(reader, ConcurrentWorkflow(agents=agents))
    who.reset(token)
    results = [(event.agent, event.content) for event in seen if isinstance(event, ToolResultReturned)]
    assert sorted(results) == [("A", "the caller"), ("B", "the caller")]


# --- events ----------------------------------------------------------------------------------------------------


def test_events_have_one_numbering_and_one_run_start_and_end(simulate: Simulate, reader: Reader) -> None:
    _, agents = team(simulate, A="a1 a2", B="b1 b2", C="c1 c2")
    seen = events(reader, AgentRearrange(agents=agents, flow="A, B -> C", max_loops=2, name="the flow"))
    assert [event.seq for event in seen] == list(range(len(seen)))
    assert [event.agent for event in seen if isinstance(event, RunStart | RunEnd)] == ["the flow"] * 2
    assert isinstance(seen[0], RunStart)
    end = seen[-1]
    assert isinstance(end, RunEnd)
    assert (end.state, end.text, end.turns) == ("complete", "a1 a2b1 b2c1 c2" * 2, 6)
    assert end.usage is not None
    assert end.usage.output_tokens == 12
    assert end.duration > 0


def test_each_agents_events_come_between_its_start_and_its_end(simulate: Simulate, reader: Reader) -> None:
    _, agents = team(simulate, A="a1 a2", B="b1 b2")
    for workflow in (SequentialWorkflow(agents=agents), ConcurrentWorkflow(agents=agents)):
        seen = events(reader, workflow)
        for agent, text in (("A", "a1 a2"), ("B", "b1 b2")):
            types = [event.type for event in seen if event.agent == agent]
            assert types == ["agent_start", "turn_start", "token", "token", "turn_end", "agent_end"]
            assert [event.output for event in seen if event.agent == agent and isinstance(event, AgentEnd)] == [text]
        assert all(event.at_ns > 0 for event in seen)


def test_events_read_like_the_dicts_of_swarms(simulate: Simulate, reader: Reader) -> None:
    _, agents = team(simulate, A="a1")
    seen = events(reader, SequentialWorkflow(agents=agents))
    [begun, token, ended] = [event for event in seen if isinstance(event, AgentStart | Token | AgentEnd)]
    assert (begun["type"], begun["agent"]) == ("agent_start", "A")
    assert (token["type"], token["agent"], token["token"]) == ("token", "A", "a1")
    assert (ended["type"], ended["agent"], ended["output"]) == ("agent_end", "A", "a1")


# --- errors ----------------------------------------------------------------------------------------------------


def test_an_agent_that_fails_cancels_the_others(simulate: Simulate, reader: Reader) -> None:
    simulator, agents = team(simulate, A=FAILING, B=STALLED, C="c1")
    result = read(reader, AgentRearrange(agents=agents, flow="A, B -> C"))
    assert isinstance(result.error, ProviderError)
    assert [token for token in result.tokens if "a" in token] == ["a1", " a2"]
    assert result.stream.state == "error"
    assert result.stream.errors == {"A": result.error}
    assert result.stream.outputs == {}
    wait_until_none_runs(simulator)
    assert told(simulator, "C") == []
    if sys.version_info >= (3, 11):
        assert result.error.__notes__ == ["This is from the agent 'A' of the workflow 'AgentRearrange'."]


def one_that_fails_after_the_other(simulate: Simulate) -> Team:
    """An agent whose model sends an error after the other agent has sent its two words."""
    said = asyncio.Event()

    async def wait() -> str:
        """Waits for the other agent."""
        await said.wait()
        return "It has said them."

    turns = [
        {"when": {"role": "tool"}, **REFUSED},
        {"when": {"model": "A"}, "tool_calls": [{"name": "wait"}]},
        {"when": {"model": "B"}, **STALLED},
    ]
    simulator = simulate(turns=turns)
    failing = agent_at(simulator, agent_name="A", model_name="openai/A", tools=[wait], max_loops=2)
    # Parallel agents are on one event loop, the caller's or a private one.
    other = agent_at(simulator, agent_name="B", model_name="openai/B")
    other.streaming_callback = lambda token: said.set() if token == " b2" else None
    return simulator, [failing, other]


def test_the_tokens_of_the_others_come_before_the_error(simulate: Simulate, reader: Reader) -> None:
    simulator, agents = one_that_fails_after_the_other(simulate)
    result = read(reader, ConcurrentWorkflow(agents=agents), with_events=True)
    assert isinstance(result.error, ServerError)
    assert [event.text for event in result.tokens if isinstance(event, Token)] == ["b1", " b2"]
    failed = {event.agent: event for event in result.tokens if isinstance(event, AgentFailed)}
    assert {name: event.state for name, event in failed.items()} == {"A": "rejected", "B": "cancelled"}
    assert (bool(failed["A"].error), failed["B"].error) == (True, "")
    assert isinstance(result.tokens[-1], RunEnd)
    assert result.tokens[-1].state == "rejected"
    wait_for_outcomes(simulator, "disconnected")


def test_the_others_are_cancelled_though_nobody_reads(simulate: Simulate) -> None:
    simulator, agents = one_that_fails_after_the_other(simulate)
    with ConcurrentWorkflow(agents=agents).run_stream("Go.") as stream:
        assert next(stream) == "b1"
        wait_for_outcomes(simulator, "disconnected")

    async def main() -> None:
        simulator, agents = one_that_fails_after_the_other(simulate)
        async with ConcurrentWorkflow(agents=agents).arun_stream("Go.") as stream:
            assert await anext(stream) == "b1"
            await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected")

    asyncio.run(main())


def test_a_sequence_ends_with_the_agent_that_fails(simulate: Simulate, reader: Reader) -> None:
    simulator, agents = team(simulate, A="a1", B=FAILING, C="c1")
    result = read(reader, SequentialWorkflow(agents=agents, max_loops=2))
    assert isinstance(result.error, ProviderError)
    assert result.tokens == ["a1", "\n\n", "a1", " a2"]
    assert (result.stream.outputs, list(result.stream.errors)) == ({"A": "a1"}, ["B"])
    assert len(outcomes(simulator)) == 2


def test_run_raises_the_error_of_an_agent(simulate: Simulate, run: Run) -> None:
    _, agents = team(simulate, A="a1", B=REFUSED)
    for workflow in (SequentialWorkflow(agents=agents), ConcurrentWorkflow(agents=agents)):
        with pytest.raises(ServerError):
            run(workflow)


def test_with_continue_the_others_go_on(simulate: Simulate, reader: Reader) -> None:
    paced = {"text": "b1 b2 b3", "pacing": {"mode": "steady", "interval_ms": 10}}
    simulator, agents = team(simulate, A=FAILING, B=paced, C="c1")
    workflow = AgentRearrange(agents=agents, flow="A, B -> C", on_error="continue")
    result = read(reader, workflow, with_events=True)
    assert result.error is None
    stream = result.stream
    assert (stream.state, stream.outputs) == ("complete", {"B": "b1 b2 b3", "C": "c1"})
    assert [type(error) for error in stream.errors.values()] == [ServerError]
    [failed] = [event for event in result.tokens if isinstance(event, AgentFailed)]
    assert (failed.agent, failed.state, failed["type"]) == ("A", "error", "agent_failed")
    assert told(simulator, "C") == ["Go.\n\nWhat the agents have said so far:\n\n[B]\nb1 b2 b3"]


def test_with_continue_the_output_omits_the_agent_that_failed(simulate: Simulate, run: Run) -> None:
    _, agents = team(simulate, A=REFUSED, B="b1")
    assert run(ConcurrentWorkflow(agents=agents, on_error="continue")) == {"B": "b1"}
    assert run(SequentialWorkflow(agents=agents, on_error="continue")) == "b1"
    assert run(SequentialWorkflow(agents=agents[::-1], on_error="continue")) == "b1"


def test_an_answer_of_an_earlier_loop_is_dropped_if_the_agent_fails(simulate: Simulate, run: Run) -> None:
    turns = [
        {"when": {"model": "A", "contains": "[A]"}, **REFUSED},
        {"when": {"model": "A"}, "text": "a1"},
        {"when": {"model": "B"}, "text": "b1"},
    ]
    simulator = simulate(turns=turns)
    agents = [agent_at(simulator, agent_name=name, model_name=f"openai/{name}") for name in "AB"]
    assert run(ConcurrentWorkflow(agents=agents, on_error="continue", max_loops=2)) == {"B": "b1"}


def test_a_run_in_which_no_agent_answers_fails(simulate: Simulate, reader: Reader) -> None:
    truncated = {"text": "b1", "fault": {"kind": "end", "after": 1}}
    _, agents = team(simulate, A=REFUSED, B=truncated)
    result = read(reader, SequentialWorkflow(agents=agents, on_error="continue"))
    assert isinstance(result.error, ServerError)
    assert (result.tokens, result.stream.state) == (["b1"], "rejected")
    assert [type(error) for error in result.stream.errors.values()] == [ServerError, TruncatedError]


def test_an_agent_that_cannot_start_cancels_the_others(simulate: Simulate, reader: Reader) -> None:
    simulator, agents = team(simulate, A="a1", B=STALLED)
    workflow = ConcurrentWorkflow(agents=agents)
    agents[0].max_loops = 0
    result = read(reader, workflow)
    assert isinstance(result.error, ConfigurationError)
    assert (result.stream.state, result.stream.errors) == ("failed", {"A": result.error})
    wait_until_none_runs(simulator)


@pytest.mark.parametrize("error", [ZeroDivisionError(), asyncio.CancelledError()])
def test_a_callback_that_raises_ends_the_run(simulate: Simulate, reader: Reader, error: BaseException) -> None:
    simulator, agents = team(simulate, A="a1 a2", B=STALLED)

    def fail(_token: str) -> None:
        raise error

    agents[0].streaming_callback = fail
    result = read(reader, ConcurrentWorkflow(agents=agents))
    # A cancellation that does not come from the workflow must not look like the end of an agent with an empty answer.
    assert isinstance(result.error, ZeroDivisionError | StreamClosedError)
    assert [token for token in result.tokens if "a" in token] == []
    assert list(result.stream.errors) == ["A"]
    wait_until_none_runs(simulator)


# --- leaving ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stalled(simulate: Simulate) -> Team:
    """Two agents whose models send two words, and then nothing until the reader leaves."""
    return team(simulate, A=STALLED, B=STALLED)


def test_close_closes_all_connections(stalled: Team, reader: Reader) -> None:
    simulator, agents = stalled
    before = set(threading.enumerate())
    reading = start(reader, ConcurrentWorkflow(agents=agents))
    assert sorted(reading.take(4)) == [" b2", " b2", "b1", "b1"]
    reading.close()
    assert set(threading.enumerate()) == before
    wait_for_outcomes(simulator, "disconnected", 2)
    assert (reading.stream.state, reading.stream.text) == ("cancelled", "b1 b2\n\nb1 b2")
    assert isinstance(reading.to_end().error, StreamClosedError)
    reading.close()
    assert reading.stream.state == "cancelled"


def test_close_closes_the_connection_of_an_agent_alone(stalled: Team, reader: Reader) -> None:
    simulator, agents = stalled
    reading = start(reader, SequentialWorkflow(agents=agents))
    reading.take(2)
    reading.close()
    wait_for_outcomes(simulator, "disconnected")
    assert isinstance(reading.to_end().error, StreamClosedError)
    assert len(outcomes(simulator)) == 1


def test_a_workflow_may_be_closed_before_it_is_read(stalled: Team, reader: Reader) -> None:
    simulator, agents = stalled
    reading = start(reader, ConcurrentWorkflow(agents=agents))
    reading.close()
    assert reading.stream.state == "cancelled"
    assert isinstance(reading.to_end().error, StreamClosedError)
    assert outcomes(simulator) == []


def test_closing_a_workflow_that_was_read_to_its_end_does_nothing(simulate: Simulate, reader: Reader) -> None:
    _, agents = team(simulate, A="a1", B="b1")
    reading = start(reader, ConcurrentWorkflow(agents=agents))
    reading.to_end()
    reading.close()
    assert (reading.stream.state, reading.stream.outputs) == ("complete", {"A": "a1", "B": "b1"})
    assert reading.to_end().error is None


def test_the_end_of_a_with_block_and_dropping_close_all_connections(stalled: Team, reader: Reader) -> None:
    simulator, agents = stalled
    before = set(threading.enumerate())
    with start(reader, ConcurrentWorkflow(agents=agents)) as reading:
        reading.next()
        assert is_waiting(simulator, 2)
    wait_for_outcomes(simulator, "disconnected", 2)
    reading = start(reader, ConcurrentWorkflow(agents=agents))
    reading.next()
    assert is_waiting(simulator, 4)
    reading.drop()
    wait_for_outcomes(simulator, "disconnected", 4)
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("kind", [SequentialWorkflow, ConcurrentWorkflow])
def test_close_from_another_thread_ends_a_blocked_reader(stalled: Team, kind: Callable[..., Workflow]) -> None:
    simulator, agents = stalled
    stream = kind(agents=agents).run_stream("Go.")
    requests = 1 if kind is SequentialWorkflow else 2
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(list, stream)
        assert is_waiting(simulator, requests)
        stream.close()
        with pytest.raises(StreamClosedError):
            reading.result(PATIENCE)
    assert stream.state == "cancelled"
    wait_for_outcomes(simulator, "disconnected", requests)


def test_a_for_loop_that_closes_its_own_stream_gets_no_more(simulate: Simulate) -> None:
    _, agents = team(simulate, A=["a "] * 20, B=["b "] * 20)

    def loop(tokens: list[str]) -> None:
        stream = ConcurrentWorkflow(agents=agents).run_stream("Go.")
        for token in stream:
            tokens.append(token)
            stream.close()

    async def aloop(tokens: list[str]) -> None:
        stream = ConcurrentWorkflow(agents=agents).arun_stream("Go.")
        async for token in stream:
            tokens.append(token)
            await stream.aclose()

    for end in (loop, lambda tokens: asyncio.run(aloop(tokens))):
        tokens: list[str] = []
        with pytest.raises(StreamClosedError):
            end(tokens)
        assert len(tokens) == 1


def test_cancelling_the_reading_task_closes_all_connections_and_leaves_no_task(stalled: Team) -> None:
    simulator, agents = stalled

    async def main() -> None:
        stream = ConcurrentWorkflow(agents=agents).arun_stream("Go.")

        async def drain() -> None:
            async for _token in stream:
                pass

        task = asyncio.ensure_future(drain())
        assert await asyncio.to_thread(is_waiting, simulator, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert stream.state == "cancelled"
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected", 2)

    asyncio.run(main())


def test_aclose_from_another_task_ends_a_waiting_reader_and_leaves_no_task(stalled: Team) -> None:
    simulator, agents = stalled

    async def main() -> None:
        stream = ConcurrentWorkflow(agents=agents).arun_stream("Go.")
        for _ in range(4):
            await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        with pytest.raises(StreamClosedError):
            await reading
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected", 2)

    asyncio.run(main())


def test_breaking_out_of_a_loop_closes_all_connections(stalled: Team) -> None:
    simulator, agents = stalled
    for _token in ConcurrentWorkflow(agents=agents).run_stream("Go."):
        assert is_waiting(simulator, 2)
        break
    wait_for_outcomes(simulator, "disconnected", 2)

    async def main() -> None:
        async for _token in ConcurrentWorkflow(agents=agents).arun_stream("Go."):
            assert await asyncio.to_thread(is_waiting, simulator, 4)
            break
        await asyncio.to_thread(wait_for_outcomes, simulator, "disconnected", 4)

    asyncio.run(main())


def test_a_running_tool_is_cancelled_with_its_agent(simulate: Simulate, reader: Reader) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        """Waits for ever."""
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    turns: list[dict[str, Any]] = [
        {"when": {"model": "A"}, "tool_calls": [{"name": "wait"}]},
        {"when": {"model": "B"}, "text": ["b "] * 10_000, "pacing": {"mode": "steady", "interval_ms": 1}},
    ]
    simulator = simulate(turns=turns)
    waiting = agent_at(simulator, agent_name="A", model_name="openai/A", tools=[wait], max_loops=2)
    other = agent_at(simulator, agent_name="B", model_name="openai/B")
    with start(reader, ConcurrentWorkflow(agents=[waiting, other])) as reading:
        while not begun.is_set():
            reading.next()
    assert ended.is_set()
    wait_until_none_runs(simulator)


LEFT_OPEN = """
    import sys
    from headrace import Agent
    from headrace.workflow import ConcurrentWorkflow
    agents = [Agent(agent_name=name, model_name="openai/A", llm_base_url=sys.argv[1]) for name in "AB"]
    stream = ConcurrentWorkflow(agents=agents).run_stream("Go.")
    print(next(stream))
"""


def test_a_stream_that_is_left_open_does_not_keep_python_from_ending(stalled: Team) -> None:
    simulator, _ = stalled
    ended = run_python(LEFT_OPEN, simulator.base_url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "b1\n", "")


def test_ctrl_c_ends_a_reader_that_waits_for_parallel_agents(stalled: Team) -> None:
    simulator, _ = stalled
    interrupted = """
    import os, signal, threading
    try:
        with stream:
            rest = [next(stream) for _ in range(3)]
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
            next(stream)
    except KeyboardInterrupt:
        print(stream.state, "headrace-workflow" in [thread.name for thread in threading.enumerate()])
    """
    ended = run_python(LEFT_OPEN + interrupted, simulator.base_url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "b1\ncancelled False\n", "")


# --- at once ---------------------------------------------------------------------------------------------------


def test_one_workflow_may_serve_many_runs_at_once(simulate: Simulate) -> None:
    tasks = [f"task-{n};" for n in range(8)]
    turns = [
        {"when": {"model": name, "contains": task}, "text": [f"{name}-{task} ", "end"]}
        for task in tasks
        for name in "ABC"
    ]
    simulator = simulate(turns=turns, pacing={"mode": "steady", "interval_ms": 5})
    agents = [agent_at(simulator, agent_name=name, model_name=f"openai/{name}") for name in "ABC"]
    workflow = AgentRearrange(agents=agents, flow="A, B -> C", output_type="outputs")
    expected = [{name: f"{name}-{task} end" for name in "ABC"} for task in tasks]

    async def main() -> list[Any]:
        return await asyncio.gather(*map(workflow.arun, tasks))

    assert asyncio.run(main()) == expected
    with ThreadPoolExecutor(len(tasks)) as pool:
        assert list(pool.map(workflow.run, tasks)) == expected


def test_two_streams_of_one_workflow_may_be_read_alternately(simulate: Simulate, reader: Reader) -> None:
    _, agents = team(simulate, A="a1 a2", B="b1 b2")
    workflow = ConcurrentWorkflow(agents=agents)
    with start(reader, workflow) as one, start(reader, workflow) as two:
        tokens = [[one.next(), two.next()] for _ in range(4)]
    assert all(sorted(mine) == [" a2", " b2", "a1", "b1"] for mine in zip(*tokens, strict=True))


# --- configuration ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ("", "the flow is empty"),
        ("  ", "the flow is empty"),
        ("Writer -> ", "step 2 of the flow 'Writer -> ' is empty"),
        ("Writer -> -> Editor", "step 2 .* is empty"),
        ("Writer, , Editor", "step 1 .* has a comma without a name"),
        ("Writer -> Edtior", "step 2 .* names 'Edtior', which is no agent: did you mean 'Editor'?"),
        ("Writer -> X", "the agents are Writer, Editor"),
        ("Writer, Writer", "names 'Writer' twice"),
    ],
)
def test_a_flow_that_cannot_work_is_refused(flow: str, message: str) -> None:
    agents = [agent_at("http://127.0.0.1:1", agent_name=name) for name in ("Writer", "Editor")]
    with pytest.raises(ConfigurationError, match=message):
        AgentRearrange(agents=agents, flow=flow)
    workflow = AgentRearrange(agents=agents, flow="Writer -> Editor")
    workflow.flow = flow
    with pytest.raises(ConfigurationError, match=message):
        workflow.run_stream("Go.")


@pytest.mark.parametrize("kind", [SequentialWorkflow, ConcurrentWorkflow])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"agents": []}, "needs agents"),
        ({"agents": ["Writer"]}, "must be headrace.Agent objects, not str"),
        ({"max_loops": 0}, "max_loops"),
        ({"max_loops": True}, "max_loops"),
        ({"max_loops": "auto"}, "max_loops"),
        ({"on_error": "ignore"}, "on_error"),
        ({"output_type": "yaml"}, "output_type"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    kind: Callable[..., Workflow], options: dict[str, Any], message: str
) -> None:
    agents = [agent_at("http://127.0.0.1:1", agent_name="Writer")]
    with pytest.raises(ConfigurationError, match=message):
        kind(**{"agents": agents, **options})


def test_agents_must_have_different_names() -> None:
    agents = [agent_at("http://127.0.0.1:1", agent_name=name) for name in "ABA"]
    with pytest.raises(ConfigurationError, match="2 agents have the name 'A'"):
        SequentialWorkflow(agents=agents)


@pytest.mark.parametrize("task", ["", " ", None])
def test_a_task_that_cannot_work_is_refused_at_once(task: Any) -> None:
    workflow = SequentialWorkflow(agents=[agent_at("http://127.0.0.1:1")])
    for stream in (workflow.run_stream, workflow.arun_stream):
        with pytest.raises(ConfigurationError, match="the task"):
            stream(task)
