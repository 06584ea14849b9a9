"""``Agent.map`` and ``Agent.amap``: many tasks, bounded, in order or as they come, resumed, and slower when asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from headrace import ConfigurationError, ServerError, TaskResult
from headrace.testing import Simulator
from support.harness import agent_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from headrace import Agent


def echoing(count: int, **more: Any) -> list[dict[str, Any]]:
    """Answers "number N." with "N!"; the later ones first."""
    return [
        {
            "when": {"contains": f"number {number}."},
            "text": f"{number}!",
            "pacing": {"mode": "fast", "first_ms": (count - number) * 3},
            **more,
        }
        for number in range(count)
    ]


def tasks(count: int) -> list[str]:
    return [f"number {number}." for number in range(count)]


def mapped(agent: Agent, way: str, given: Any, **options: Any) -> list[TaskResult]:
    if way == "map":
        return list(agent.map(given, **options))

    async def main() -> list[TaskResult]:
        return [result async for result in agent.amap(given, **options)]

    return asyncio.run(main())


ways = pytest.mark.parametrize("way", ["map", "amap"])


@ways
def test_results_are_in_order_with_what_is_known_of_each(way: str) -> None:
    with Simulator(turns=echoing(8)) as simulator:
        results = mapped(agent_at(simulator), way, tasks(8), concurrency=8)
    assert [result.index for result in results] == list(range(8))
    assert [result.output for result in results] == [f"{number}!" for number in range(8)]
    first = results[0]
    assert (first.task, first.text, first.state, first.ok, first.attempts) == ("number 0.", "0!", "complete", True, 1)
    assert first.usage is not None
    assert first.ttft is not None
    assert 0 < first.ttft <= first.duration
    assert len(first.timings) == 1
    json.dumps([result.to_dict() for result in results])


@ways
def test_results_come_as_they_come(way: str) -> None:
    slow = {"when": {"contains": "number 0."}, "text": "0!", "fault": {"kind": "stall", "after": 0}}
    with Simulator(turns=[slow, *echoing(4)[1:]]) as simulator:
        agent = agent_at(simulator)
        if way == "map":
            found = agent.map(tasks(4), ordered=False)
            seen = {next(found).index for _ in range(3)}
            found.close()  # type: ignore[attr-defined]
        else:

            async def main() -> set[int]:
                results = agent.amap(tasks(4), ordered=False)
                seen = {(await anext(results)).index for _ in range(3)}
                await results.aclose()  # type: ignore[attr-defined]
                return seen

            seen = asyncio.run(main())
        assert seen == {1, 2, 3}
        assert simulator.wait_for(lambda report: all(each["outcome"] != "running" for each in report["requests"]))


@ways
def test_never_more_connections_than_asked(way: str) -> None:
    with Simulator(turns=[{"text": "x"}], pacing={"mode": "fast", "first_ms": 2}) as simulator:
        results = mapped(agent_at(simulator), way, tasks(40), concurrency=3)
        assert simulator.wait_for(lambda report: all(each["finished_ns"] for each in report["requests"]))
        connections = simulator.report()["connections"]["accepted"]
        requests = simulator.report()["requests"]
    assert len(results) == 40
    assert connections <= 3
    changes = sorted([(each["received_ns"], 1) for each in requests] + [(each["finished_ns"], -1) for each in requests])
    level = most = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    assert most <= 3


@ways
def test_a_failed_task_is_kept_with_its_error(way: str) -> None:
    turns = echoing(3)
    turns[1] |= {"fault": {"kind": "status", "status": 500}}
    with Simulator(turns=turns) as simulator:
        results = mapped(agent_at(simulator), way, tasks(3))
    assert [result.ok for result in results] == [True, False, True]
    failed = results[1]
    assert isinstance(failed.error, ServerError)
    assert (failed.output, failed.state) == (None, "rejected")
    assert failed.to_dict()["error"]["type"] == "ServerError"


@ways
def test_an_error_is_raised_if_that_is_wanted(way: str) -> None:
    turns = echoing(3)
    turns[1] |= {"fault": {"kind": "status", "status": 500}}
    turns[2] |= {"fault": {"kind": "stall", "after": 0}}
    with Simulator(turns=turns) as simulator:
        with pytest.raises(ServerError):
            mapped(agent_at(simulator), way, tasks(3), on_error="raise")
        assert simulator.wait_for(lambda report: all(each["outcome"] != "running" for each in report["requests"]))


@ways
def test_a_provider_that_is_asked_too_much_is_asked_again_later(way: str) -> None:
    limited = {"kind": "status", "status": 429, "headers": {"retry-after": "0.05"}, "times": 3}
    with Simulator(turns=[{"text": "fine", "fault": limited}]) as simulator:
        results = mapped(agent_at(simulator), way, tasks(6), concurrency=6)
        requests = simulator.report()["requests"]
    assert [result.output for result in results] == ["fine"] * 6
    assert sum(result.attempts for result in results) == 9 == len(requests)


@ways
def test_a_rate_spreads_the_beginnings(way: str) -> None:
    with Simulator(turns=[{"text": "x"}]) as simulator:
        mapped(agent_at(simulator), way, tasks(5), rate=50)
        received = [request["received_ns"] for request in simulator.report()["requests"]]
    # 20 ms apart: at least four such times from the first to the last. A busy machine takes longer.
    assert max(received) - min(received) >= 4 * 0.018e9


def test_a_broken_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    turns = echoing(4)
    turns[2] |= {"fault": {"kind": "status", "status": 500, "times": 1}}
    with Simulator(turns=turns) as simulator:
        agent = agent_at(simulator)
        first = mapped(agent, "map", tasks(4), resume=journal)
        assert [result.ok for result in first] == [True, True, False, True]
        with journal.open("a", encoding="utf-8") as file:
            file.write('{"index": 9, "tas')  # the process ended here
        again = mapped(agent, "amap", tasks(4), resume=journal)
        assert [result.output for result in again] == ["0!", "1!", "2!", "3!"]
        assert again[0].usage == first[0].usage
        assert len(simulator.report()["requests"]) == 5
        assert all(result.ok for result in mapped(agent, "map", tasks(4), resume=journal))
        assert len(simulator.report()["requests"]) == 5
        with pytest.raises(ConfigurationError, match="task 1 is another one"):
            mapped(agent, "map", ["number 0.", "something else"], resume=journal)
    (tmp_path / "other").write_text("hello\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="line 1"):
        agent.map(["x"], resume=tmp_path / "other")


class Number(BaseModel):
    value: int


@pytest.mark.parametrize("kind", [Number, list[int], int])
def test_a_type_is_kept_over_a_resumed_batch(tmp_path: Path, kind: Any) -> None:
    text = '{"value": [7]}' if kind == list[int] else '{"value": 7}'
    with Simulator(turns=[{"text": text}]) as simulator:
        agent = agent_at(simulator, output_type=kind)
        results = [mapped(agent, "map", ["x"], resume=tmp_path / "run.jsonl")[0].output for _ in range(2)]
        assert len(simulator.report()["requests"]) == 1
    assert results[0] == results[1] == (Number(value=7) if kind is Number else [7] if kind == list[int] else 7)


def test_tasks_may_be_options_and_come_from_generators() -> None:
    history = [{"role": "user", "content": "earlier"}, {"role": "assistant", "content": "yes"}]

    def lazily() -> Iterator[Any]:
        yield {"task": "number 0.", "temperature": 0.25}
        yield {"task": "number 1.", "messages": history}

    async def slowly() -> AsyncIterator[Any]:
        for task in lazily():
            await asyncio.sleep(0)
            yield task

    with Simulator(turns=echoing(2)) as simulator:
        agent = agent_at(simulator)
        assert [result.output for result in agent.map(lazily(), system_prompt="Be brief.")] == ["0!", "1!"]
        assert [result.output for result in mapped(agent, "amap", slowly())] == ["0!", "1!"]
        sent = [request["body"] for request in simulator.report()["requests"]][:2]
    assert {body["messages"][0]["content"] for body in sent} == {"Be brief."}
    assert sorted(len(body["messages"]) for body in sent) == [2, 4]


def test_an_endless_generator_is_read_as_needed() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "go"

    with Simulator(turns=[{"text": "x"}]) as simulator:
        found = agent_at(simulator).map(endless(), concurrency=2)
        assert [next(found).output for _ in range(5)] == ["x"] * 5
        found.close()  # type: ignore[attr-defined]
    assert taken <= 5 + 4 * 2 + 1


@ways
@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        ("one task", {}, "must be a list"),
        (["fine", ""], {}, "the task is empty"),
        ([{"img": "x"}], {}, "'task' or 'messages'"),
        (["x"], {"concurrency": 0}, "concurrency must be"),
        (["x"], {"rate": 0}, "rate must be above 0"),
        (["x"], {"on_error": "ignore"}, "on_error must be"),
        (["x"], {"resume": "/no/such/folder/file"}, "cannot be written"),
    ],
)
def test_what_cannot_work_says_why(way: str, given: Any, options: dict[str, Any], says: str) -> None:
    with Simulator(turns=[{"text": "x"}]) as simulator, pytest.raises(ConfigurationError, match=says):
        mapped(agent_at(simulator), way, given, **options)


def test_concurrent_runs_keep_the_answers_that_came() -> None:
    turns = echoing(3)
    turns[1] |= {"fault": {"kind": "status", "status": 500}}
    with Simulator(turns=turns) as simulator:
        agent = agent_at(simulator)
        with pytest.raises(ServerError) as caught:
            agent.run_concurrent(tasks(3))
        assert caught.value.results == ["0!", None, "2!"]  # type: ignore[attr-defined]
        kept = agent.run_concurrent(tasks(3), on_error="keep")
    assert kept[0::2] == ["0!", "2!"]
    assert isinstance(kept[1], ServerError)


def test_progress_is_shown_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Simulator(turns=[{"text": "x"}]) as simulator:
        list(agent_at(simulator).map(["a", "b"], progress=True))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err


def test_a_tool_that_exits_ends_the_batch() -> None:
    def leave() -> str:
        """Leaves."""
        raise SystemExit(3)

    with Simulator(turns=[{"tool_calls": [{"name": "leave"}]}]) as simulator:
        agent = agent_at(simulator, tools=[leave], max_loops=2)
        with pytest.raises(SystemExit), suppress(ConfigurationError):
            list(agent.map(["x", "y"]))
