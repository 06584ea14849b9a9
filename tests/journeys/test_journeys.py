"""Whole jobs, as users would write them: from a web developer's to that of a switcher from swarms."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import BaseModel

import headrace
from headrace import Agent, bench
from headrace.serve import Server

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from headrace.pytest_plugin import StartSimulator


def test_a_web_developer_streams_a_chat_with_history(headrace_simulator: StartSimulator) -> None:
    """A handler that streams, keeps the conversation, and says what went wrong."""
    simulator = headrace_simulator(
        turns=[
            {"when": {"contains": "name"}, "text": ["You ", "are ", "Ann."]},
            {"when": {"contains": "break"}, "text": "half an answer", "fault": {"kind": "end", "after": 1}},
            {"text": ["Hello, ", "Ann."]},
        ]
    )
    agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
    conversations: dict[str, list[Any]] = {}

    async def handler(session: str, question: str) -> list[str]:
        history = conversations.setdefault(session, [])
        sent: list[str] = []
        stream = agent.arun_stream(question, messages=history)
        async with stream:
            try:
                async for token in stream:
                    sent += [token]
            except headrace.StreamError as error:
                return [*sent, f"[{error.state}]"]
        history += stream.messages
        return sent

    async def main() -> None:
        assert await handler("s1", "I am Ann.") == ["Hello, ", "Ann."]
        assert await handler("s1", "What is my name?") == ["You ", "are ", "Ann."]
        assert (await handler("s1", "break"))[-1] == "[truncated]"

    asyncio.run(main())
    assert len(simulator.report()["requests"][1]["body"]["messages"]) == 3


def test_a_notebook_user_looks_at_an_answer(headrace_simulator: StartSimulator) -> None:
    """An answer, its cost and its timing, without leaving the cell."""
    simulator = headrace_simulator(text=["One ", "two."])
    agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
    stream = agent.run_stream("Count.")
    assert "".join(stream) == "One two."
    for shown in (agent, stream.timing, stream.usage):
        assert shown is not None
        assert "<table>" in shown._repr_html_()


class Ticket(BaseModel):
    """What the data engineer wants of each message."""

    product: str
    urgent: bool = False


def test_a_data_engineer_reads_ten_thousand_messages_in_two_days(
    headrace_simulator: StartSimulator, tmp_path: Path
) -> None:
    """Structured answers for many rows, broken off and gone on with."""
    ticket = '{"product": "pump", "urgent": true}'
    simulator = headrace_simulator(
        turns=[
            {"when": {"contains": "row 3"}, "text": ticket, "fault": {"kind": "status", "status": 500, "times": 1}},
            {"text": ticket},
        ]
    )
    agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, output_type=Ticket, print_on=False)
    rows = [f"row {number}" for number in range(20)]
    journal = tmp_path / "tickets.jsonl"
    first_day = list(agent.map(rows, concurrency=8, resume=journal))
    assert [result.index for result in first_day if result.error] == [3]
    second_day = list(agent.map(rows, concurrency=8, resume=journal))
    assert [result.output for result in second_day] == [Ticket(product="pump", urgent=True)] * 20
    assert len(simulator.report()["requests"]) == 21
    table = [result.output.model_dump() for result in second_day]
    json.dumps(table)


def test_a_latency_engineer_compares_two_servers(headrace_simulator: StartSimulator, tmp_path: Path) -> None:
    """Before and after, with a rule for the pipeline."""
    reports = []
    for name, first_ms in (("before", 10), ("after", 60)):
        simulator = headrace_simulator(text=["a", "b"], pacing={"mode": "steady", "first_ms": first_ms})
        report = bench.run(simulator.base_url, model="sim", concurrency=2, requests=30, self_test=False)
        report.save(tmp_path / f"{name}.json")
        report.save(tmp_path / f"{name}.html")
        reports.append(report)
    comparison = bench.compare(tmp_path / "before.json", tmp_path / "after.json", ["ttft_p50 > +10%"])
    assert comparison.exit_code == 1
    assert [rule.text for rule in comparison.broken] == ["ttft_p50 > +10%"]


def test_a_platform_engineer_serves_an_agent(headrace_simulator: StartSimulator) -> None:
    """An agent with a tool behind OpenAI's protocol, and its metrics."""

    def stock(item: str) -> int:
        """How many there are."""
        return len(item)

    simulator = headrace_simulator(
        turns=[
            {"when": {"role": "tool"}, "text": ["There ", "are 4."]},
            {"tool_calls": [{"name": "stock", "arguments": {"item": "pump"}}]},
        ]
    )
    agent = Agent(
        agent_name="store",
        model_name="openai/sim",
        llm_base_url=simulator.base_url,
        tools=[stock],
        max_loops=3,
        print_on=False,
    )

    async def main() -> None:
        async with Server({"store": agent}, port=0) as server, httpx.AsyncClient(base_url=server.url) as client:
            body = {"model": "store", "messages": [{"role": "user", "content": "How many pumps?"}]}
            answer = (await client.post("/v1/chat/completions", json=body)).json()
            assert answer["choices"][0]["message"]["content"].endswith("There are 4.")
            assert "headrace_" in (await client.get("/metrics")).text

    asyncio.run(main())


def test_a_switcher_from_swarms_changes_one_line(
    headrace_simulator: StartSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of swarms: agents with its keywords, a flow, tokens with names, a conversation."""
    from headrace.compat.swarms import Agent as SwarmsAgent
    from headrace.compat.swarms import AgentRearrange, SequentialWorkflow

    simulator = headrace_simulator(text=["Fine", "."])
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def make(name: str) -> SwarmsAgent:
        return SwarmsAgent(
            agent_name=name,
            agent_description="Knows much.",
            system_prompt="You are careful.",
            model_name="openai/gpt-4o-mini",
            max_loops=1,
            dynamic_context_window=True,
            streaming_on=True,
            persistent_memory=False,
            context_length=16_000,
            user_name="Human",
            output_type="str-all-except-first",
            print_on=False,
        )

    analyst = make("Analyst")
    assert list(analyst.run_stream("Analyse NVDA.")) == ["Fine", "."]
    assert analyst.run("And AMD?").endswith("Fine.")
    seen = list(AgentRearrange(agents=[make("A"), make("B")], flow="A -> B").run_stream("Go."))
    assert seen == [("A", "Fine"), ("A", "."), ("B", "Fine"), ("B", ".")]
    assert SequentialWorkflow(agents=[make("A"), make("B")]).run("Go.")[-1] == {"role": "B", "content": "Fine."}
