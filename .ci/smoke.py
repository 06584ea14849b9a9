"""Streams two answers of the simulator: the least that an installed headrace must do. Needs no key and no network."""

from __future__ import annotations

import asyncio

from headrace import Agent
from headrace.testing import Simulator

ANSWER = "Water finds its way."


async def read(agent: Agent) -> str:
    """The whole answer, by ``arun_stream``."""
    return "".join([token async for token in agent.arun_stream("Go.")])


with Simulator(turns=[{"text": ANSWER}]) as simulator:
    agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, llm_api_key="none", print_on=False)
    answers = ["".join(agent.run_stream("Go.")), asyncio.run(read(agent))]

if answers != [ANSWER, ANSWER]:
    message = f"expected {ANSWER!r} twice, got {answers!r}"
    raise SystemExit(message)
print("streamed two answers")
