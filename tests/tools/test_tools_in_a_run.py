"""Tools in a run: what the model calls is carried out, and what comes of it, good or bad, the model is told."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from headrace import StreamClosedError
from headrace.events import ToolCallDelta, ToolCallRequested, ToolResultReturned
from support.conversations import add, bodies, calling, conversation, sent
from support.harness import PATIENCE, Reader, Simulate, agent_at, collect

if TYPE_CHECKING:
    from headrace.testing import Simulator
    from support.harness import Reading


def told(simulator: Simulator) -> list[tuple[str, str]]:
    """What the last request says of tool calls: the call's id and the content of each tool message."""
    return [(message["tool_call_id"], message["content"]) for message in sent(simulator) if message["role"] == "tool"]


def calls(*calls: dict[str, Any], text: str = "", **turn: Any) -> list[dict[str, Any]]:
    """A script: a turn that makes these calls, and one that answers."""
    return conversation({"text": text, "tool_calls": list(calls), **turn}, {"text": "I see."})


# --- several calls of one turn ---------------------------------------------------------------------------------


def square(n: int) -> int:
    """Squares a number."""
    return n * n


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("fragments", [1, 2, 7, 100])
def test_arguments_in_pieces_arrive_whole(
    simulate: Simulate, reader: Reader, fragments: int, interleaved: bool
) -> None:
    long = 'Grüße 🦜 " \\ \n' * 5
    three = [calling("echo", {"text": f"{number}{long}"}, fragments=fragments) for number in range(3)]
    simulator = simulate(turns=calls(*three, interleave_calls=interleaved))

    def echo(text: str) -> str:
        return text

    assert reader.read(agent_at(simulator, tools=[echo], max_loops=2)).error is None
    assert told(simulator) == [(f"call_0_{number}", f"{number}{long}") for number in range(3)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_calls_of_one_turn_run_at_once(simulate: Simulate, reader: Reader, kind: str) -> None:
    simulator = simulate(turns=calls(*[calling("meet")] * 4))
    # Each waits for all: it opens only if they are all under way.
    barrier, here, all_here = threading.Barrier(4), [0], asyncio.Event()

    def meet() -> str:
        barrier.wait(PATIENCE)
        return "met"

    async def ameet() -> str:
        here[0] += 1
        if here[0] == 4:
            all_here.set()
        await asyncio.wait_for(all_here.wait(), PATIENCE)
        return "met"

    ameet.__name__ = "meet"
    tool = {"sync": meet, "async": ameet}[kind]
    assert reader.read(agent_at(simulator, tools=[tool], max_loops=2)).error is None
    assert [content for _, content in told(simulator)] == ["met"] * 4


def test_of_many_calls_only_some_run_at_once(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(*[calling("count", {"n": n}) for n in range(30)]))
    lock, now, most = threading.Lock(), [0], [0]
    eight = threading.Barrier(8)

    def count(n: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        if n < 8:
            eight.wait(PATIENCE)
        with lock:
            now[0] -= 1
        return n

    assert reader.read(agent_at(simulator, tools=[count], max_loops=2)).error is None
    assert [content for _, content in told(simulator)] == [f"{n}" for n in range(30)]
    assert most[0] == 8


def test_results_go_back_in_the_models_order_whatever_finishes_first(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(calling("slow", id="a"), calling("fast", id="b"), calling("slow", id="c")))
    fast_is_done = threading.Event()

    def slow() -> str:
        return f"slow, after fast: {fast_is_done.wait(PATIENCE)}"

    def fast() -> str:
        fast_is_done.set()
        return "fast"

    reader.read(agent_at(simulator, tools=[slow, fast], max_loops=2))
    assert told(simulator) == [("a", "slow, after fast: True"), ("b", "fast"), ("c", "slow, after fast: True")]


def test_without_parallel_tool_calls_they_run_one_after_the_other(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(*[calling("step", {"n": n}) for n in range(5)]))
    log: list[str] = []

    async def step(n: int) -> None:
        log.append(f"begin {n}")
        await asyncio.sleep(0)
        log.append(f"end {n}")

    reader.read(agent_at(simulator, tools=[step], max_loops=2, parallel_tool_calls=False))
    assert log == [f"{what} {n}" for n in range(5) for what in ("begin", "end")]


def test_the_same_call_twice_is_carried_out_twice(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(*[calling("square", {"n": 3}, id="same")] * 2))
    reader.read(agent_at(simulator, tools=[square], max_loops=2))
    assert told(simulator) == [("same", "9"), ("same", "9")]


def without_ids(*turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A script of a provider that gives calls no id, as some do."""

    def raw(functions: list[dict[str, Any]]) -> str:
        pieces = [{"index": index, "function": function} for index, function in enumerate(functions)]
        delta = {"tool_calls": pieces} if pieces else {"content": "I see."}
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls" if pieces else "stop"}]}
        return f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"

    return conversation(*({"fault": {"kind": "raw", "body": raw(turn)}} for turn in turns))


def test_calls_without_ids_get_ids_that_their_results_name(simulate: Simulate, reader: Reader) -> None:
    squares = [calling("square", {"n": n}) for n in (2, 3)]
    simulator = simulate(turns=without_ids(squares, []))
    assert reader.read(agent_at(simulator, tools=[square], max_loops=2)).error is None
    asked = [call["id"] for call in sent(simulator)[1]["tool_calls"]]
    assert len({*asked, None}) == 3
    assert told(simulator) == list(zip(asked, ["4", "9"], strict=True))


def test_calls_without_ids_get_ids_of_their_own_in_each_turn(simulate: Simulate, reader: Reader) -> None:
    squares = [calling("square", {"n": 2})]
    simulator = simulate(turns=without_ids(squares, squares, []))
    assert reader.read(agent_at(simulator, tools=[square], max_loops=3)).error is None
    ids = [call_id for call_id, _ in told(simulator)]
    assert len(set(ids)) == 2


def test_the_event_of_a_call_without_id_has_the_id_that_its_result_names(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=without_ids([calling("square", {"n": 2})], []))
    events: list[Any] = reader.read(agent_at(simulator, tools=[square], max_loops=2), with_events=True).tokens
    [called] = [event.call.id for event in events if isinstance(event, ToolCallRequested)]
    [returned] = [event.call.id for event in events if isinstance(event, ToolResultReturned)]
    assert called == returned is not None


# --- what goes wrong is told -----------------------------------------------------------------------------------


def broken(n: int) -> int:
    """Never works."""
    raise OSError(f"no disk for {n}")


def blob() -> bytes:
    """Gives what cannot be sent."""
    return b"\x00\xff"


FAILURES = {
    "malformed": ("square", '{"n": 3', "invalid_arguments", "JSON"),
    "no object": ("square", "[3]", "invalid_arguments", "object"),
    "wrong type": ("square", '{"n": "three"}', "invalid_arguments", "n"),
    "missing": ("square", "{}", "invalid_arguments", "n"),
    "unexpected": ("square", '{"n": 3, "m": 4}', "invalid_arguments", "m"),
    "unknown": ("sqare", '{"n": 3}', "unknown_tool", "'square'"),
    "raises": ("broken", '{"n": 3}', "exception", "no disk for 3"),
    "bytes": ("blob", "{}", "unserialisable", "bytes"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_goes_wrong_is_told_to_the_model_and_is_an_event(simulate: Simulate, reader: Reader, failure: str) -> None:
    name, arguments, kind, words = FAILURES[failure]
    simulator = simulate(turns=calls(calling(name, arguments), calling("square", {"n": 4})))
    agent = agent_at(simulator, tools=[square, broken, blob], max_loops=2)
    result = reader.read(agent, with_events=True)
    assert (result.error, result.stream.final) == (None, "I see.")
    # The other call of the turn is not hurt.
    [failed, fine] = told(simulator)
    assert words in failed[1]
    assert fine == ("call_0_1", "16")
    returned = [event for event in list[Any](result.tokens) if isinstance(event, ToolResultReturned)]
    # As they come: in which order, nobody promises.
    assert {(event.call.name, event.call.arguments, event.error, event.content) for event in returned} == {
        (name, arguments, kind, failed[1]),
        ("square", '{"n": 4}', None, "16"),
    }
    # Providers refuse a conversation in which arguments are not JSON.
    [asked, _] = sent(simulator)[1]["tool_calls"]
    json.loads(asked["function"]["arguments"])


def test_a_tool_that_an_agent_does_not_have_is_told_too(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(calling("add", {"a": 1, "b": 2})))
    assert reader.read(agent_at(simulator, max_loops=2)).error is None
    [(_, content)] = told(simulator)
    assert "no tool 'add'" in content


def test_an_answer_that_is_cut_inside_a_call_is_told_and_repaired(simulate: Simulate, reader: Reader) -> None:
    cut = {"tool_calls": [calling("add", '{"a": 17, "b"')], "finish_reason": "length"}
    whole = {"tool_calls": [calling("add", {"a": 17, "b": 25})]}
    simulator = simulate(turns=conversation(cut, whole, {"text": "It is 42."}))
    assert reader.read(agent_at(simulator, tools=[add], max_loops=3)).stream.final == "It is 42."
    [first, second] = [content for _, content in told(simulator)]
    assert "not called" in first
    assert "output limit" in first
    assert second == "42"


@pytest.mark.parametrize("arguments", ["", '{"n"', '{"n": 3'])
def test_a_call_that_was_cut_is_never_run(simulate: Simulate, reader: Reader, arguments: str) -> None:
    ran: list[int] = []

    def erase(n: int = 0) -> str:
        """Erases a disk."""
        ran.append(n)
        return "erased"

    cut = {"tool_calls": [calling("square", {"n": 4}), calling("erase", arguments)], "finish_reason": "length"}
    simulator = simulate(turns=conversation(cut, {"text": "I see."}))
    agent = agent_at(simulator, tools=[square, erase], max_loops=2)
    result = reader.read(agent, with_events=True)
    assert (result.error, result.stream.final, ran) == (None, "I see.", [])
    returned = [event for event in list[Any](result.tokens) if isinstance(event, ToolResultReturned)]
    assert {(event.call.name, event.error) for event in returned} == {("square", None), ("erase", "cut_off")}


def test_a_tool_that_raised_is_tried_again_as_often_as_is_said(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(calling("flaky")))
    tries: list[int] = []

    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")
        return "at last"

    reader.read(agent_at(simulator, tools=[flaky], max_loops=2, tool_retry_attempts=2))
    assert (len(tries), told(simulator)) == (3, [("call_0_0", "at last")])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_tool_that_takes_too_long_is_told_and_the_run_goes_on(simulate: Simulate, reader: Reader, kind: str) -> None:
    simulator = simulate(turns=calls(calling("sleeper")))
    over = threading.Event()

    def sleeper() -> None:
        over.wait(PATIENCE)

    async def asleeper() -> None:
        await asyncio.sleep(3600)

    asleeper.__name__ = "sleeper"
    tool = {"sync": sleeper, "async": asleeper}[kind]
    agent = agent_at(simulator, tools=[tool], max_loops=2, tool_timeout=0.02)
    events: list[Any] = reader.read(agent, with_events=True).tokens
    over.set()
    [returned] = [event for event in events if isinstance(event, ToolResultReturned)]
    assert returned.error == "timeout"
    assert told(simulator) == [("call_0_0", returned.content)]


# --- where tools run -------------------------------------------------------------------------------------------


def test_a_sync_tool_does_not_block_the_event_loop(simulate: Simulate) -> None:
    simulator = simulate(turns=calls(calling("wait")))
    loop_ran = threading.Event()
    tool_began = threading.Event()

    def wait() -> bool:
        tool_began.set()
        return loop_ran.wait(PATIENCE)

    async def main() -> None:
        streaming = asyncio.ensure_future(collect(agent_at(simulator, tools=[wait], max_loops=2).arun_stream("Go.")))
        while not tool_began.is_set():
            assert not streaming.done()
            await asyncio.sleep(0.001)
        loop_ran.set()
        await streaming

    asyncio.run(main())
    assert told(simulator) == [("call_0_0", "true")]


def test_an_async_tool_runs_on_the_callers_event_loop(simulate: Simulate) -> None:
    simulator = simulate(turns=calls(calling("where")))
    loops: list[asyncio.AbstractEventLoop] = []

    async def where() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> None:
        await collect(agent_at(simulator, tools=[where], max_loops=2).arun_stream("Go."))
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(main())


def test_run_stream_with_async_tools_works_inside_a_running_event_loop(simulate: Simulate) -> None:
    simulator = simulate(turns=calls(calling("aadd", {"a": 1, "b": 2})))

    async def aadd(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    async def main() -> None:
        # It blocks the loop, as every blocking call does; but it works.
        assert "".join(agent_at(simulator, tools=[aadd], max_loops=2).run_stream("Go.")) == "I see."

    asyncio.run(main())
    assert told(simulator) == [("call_0_0", "3")]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_context_variables_reach_tools_and_approvals(simulate: Simulate, reader: Reader, kind: str) -> None:
    simulator = simulate(turns=calls(calling("who"), calling("who")))
    user = contextvars.ContextVar("user", default="nobody")
    asked: list[str] = []

    def who() -> str:
        return user.get()

    async def awho() -> str:
        return user.get()

    def approve(_call: object, _arguments: object) -> None:
        asked.append(user.get())

    awho.__name__ = "who"
    tool = {"sync": who, "async": awho}[kind]
    agent = agent_at(simulator, tools=[tool], max_loops=2, approve=approve)
    context = contextvars.copy_context()
    context.run(user.set, "Ada")
    assert context.run(reader.read, agent).error is None
    assert [content for _, content in told(simulator)] == ["Ada", "Ada"]
    assert asked == ["Ada", "Ada"]


def test_what_a_tool_sets_in_its_context_stays_there(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(calling("change")))
    user = contextvars.ContextVar("user", default="nobody")

    def change() -> None:
        user.set("somebody")

    reader.read(agent_at(simulator, tools=[change], max_loops=2))
    assert user.get() == "nobody"


# --- approval --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("verdict", [False, "only small numbers today"])
def test_a_call_that_is_refused_is_not_made_and_the_model_is_told_why(
    simulate: Simulate, reader: Reader, kind: str, verdict: bool | str
) -> None:
    simulator = simulate(turns=calls(calling("square", {"n": 3}), calling("square", {"n": 3000})))
    squared: list[int] = []
    asked: list[tuple[str, dict[str, Any]]] = []

    def square(n: int) -> int:
        squared.append(n)
        return n * n

    def approve(call: Any, arguments: dict[str, Any]) -> bool | str:
        asked.append((call.name, arguments))
        return arguments["n"] < 100 or verdict

    async def aapprove(call: Any, arguments: dict[str, Any]) -> bool | str:
        await asyncio.sleep(0)
        return approve(call, arguments)

    judge = {"sync": approve, "async": aapprove}[kind]
    result = reader.read(agent_at(simulator, tools=[square], max_loops=2, approve=judge), with_events=True)
    assert result.stream.final == "I see."
    assert squared == [3]
    assert asked == [("square", {"n": 3}), ("square", {"n": 3000})]
    [fine, refused] = [content for _, content in told(simulator)]
    assert fine == "9"
    assert "not approved" in refused
    if isinstance(verdict, str):
        assert verdict in refused
    returned = [event for event in list[Any](result.tokens) if isinstance(event, ToolResultReturned)]
    assert {event.error for event in returned} == {None, "refused"}


def test_an_approval_that_raises_ends_the_run_with_its_error(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=calls(calling("add", {"a": 1, "b": 2}), text="Adding."))

    def approve(_call: object, _arguments: object) -> bool:
        raise PermissionError("nobody is here to ask")

    result = reader.read(agent_at(simulator, tools=[add], max_loops=2, approve=approve))
    assert result.tokens == ["Adding."]
    assert isinstance(result.error, PermissionError)
    assert result.stream.state == "failed"
    assert len(bodies(simulator)) == 1


# --- raw schemas -----------------------------------------------------------------------------------------------


def test_a_raw_schema_is_offered_and_its_calls_are_the_callers(simulate: Simulate, reader: Reader) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    schema = {"type": "function", "function": {"name": "weather", "description": "Looks.", "parameters": parameters}}
    simulator = simulate(turns=calls(calling("weather", {"city": "Oslo"})))
    agent = agent_at(simulator, tools=[add], tools_list_dictionary=[schema], max_loops=2)
    result = reader.read(agent)
    assert bodies(simulator)[0]["tools"][1] == schema
    assert result.stream.turns[0].tool_calls[0].arguments == '{"city": "Oslo"}'
    [(_, content)] = told(simulator)
    assert "recorded" in content


# --- as events -------------------------------------------------------------------------------------------------


def test_the_pieces_of_calls_make_up_the_calls(simulate: Simulate, reader: Reader) -> None:
    two = [calling("square", {"n": n}, fragments=4) for n in (12, 34)]
    simulator = simulate(turns=calls(*two, interleave_calls=True))
    events: list[Any] = reader.read(agent_at(simulator, tools=[square], max_loops=2), with_events=True).tokens
    whole = [event.call for event in events if isinstance(event, ToolCallRequested)]
    for index, call in enumerate(whole):
        pieces = [event for event in events if isinstance(event, ToolCallDelta) and event.index == index]
        assert {(piece.id, piece.name) for piece in pieces} == {(call.id, call.name)}
        assert pieces[0].arguments == ""
        assert len(pieces) == 5
        assert "".join(piece.arguments for piece in pieces) == call.arguments
    assert [call.arguments for call in whole] == ['{"n": 12}', '{"n": 34}']


class Slow:
    """Two tools, of which one is quick, and the other waits until it is let go."""

    def __init__(self, kind: str) -> None:
        self.cancelled = threading.Event()
        self._going = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._agoing = asyncio.Event()
        self.tools = [self.quick, self.slow if kind == "sync" else self.aslow]

    def quick(self) -> str:
        return "quick"

    def go(self) -> None:
        self._going.set()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._agoing.set)

    def slow(self) -> str:
        assert self._going.wait(PATIENCE)
        return "slow"

    async def aslow(self) -> str:
        self._loop = asyncio.get_running_loop()
        try:
            await self._agoing.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "slow"

    def calls(self) -> list[dict[str, Any]]:
        return calls(*[calling(tool.__name__) for tool in reversed(self.tools)])


def until_the_first_result(reading: Reading[Any]) -> ToolResultReturned:
    """Reads on until a tool has returned."""
    event: Any = None
    while not isinstance(event, ToolResultReturned):
        event = reading.next()
    return event


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_result_is_told_while_other_tools_still_run(simulate: Simulate, reader: Reader, kind: str) -> None:
    slow = Slow(kind)
    simulator = simulate(turns=slow.calls())
    reading = reader.start(agent_at(simulator, tools=slow.tools, max_loops=2), with_events=True)
    assert until_the_first_result(reading).content == "quick"
    slow.go()
    assert until_the_first_result(reading).content == "slow"
    assert reading.to_end().error is None
    # To the model they go back in its own order.
    assert [content for _, content in told(simulator)] == ["slow", "quick"]


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_who_leaves_between_two_results_cancels_the_tools_that_still_run(
    simulate: Simulate, reader: Reader, leave: str
) -> None:
    slow = Slow("async")
    simulator = simulate(turns=slow.calls())
    reading = reader.start(agent_at(simulator, tools=slow.tools, max_loops=2), with_events=True)
    until_the_first_result(reading)
    assert not slow.cancelled.is_set()
    getattr(reading, leave)()
    if leave == "close":
        assert isinstance(reading.to_end().error, StreamClosedError)
    assert slow.cancelled.is_set()
    assert len(bodies(simulator)) == 1
