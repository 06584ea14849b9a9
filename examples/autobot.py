"""An autonomous agent: it makes a plan, executes it with a tool, and sums up. All text streams, the summary too.

python examples/autobot.py [MODEL]       # a model that can call tools; without it, HEADRACE_MODEL
python examples/autobot.py --simulate    # a scripted model on this machine
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from headrace import Agent
from headrace.testing import Simulator

TASK = "Add 17 and 25, then add 100 to the result, and explain what you did."


def add(a: int, b: int) -> int:
    """Adds two integers.

    Args:
        a: The first integer.
        b: The second integer.
    """
    return a + b


async def main(model_name: str | None, llm_base_url: str | None = None) -> None:
    """Streams the agent's text of all phases."""
    agent = Agent(
        agent_name="AutoBot",
        model_name=model_name,
        llm_base_url=llm_base_url,
        max_loops="auto",
        tools=[add],
        print_on=False,
    )
    async for token in agent.arun_stream(TASK):
        print(token, end="", flush=True)
    print()


def says(text: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """A turn of the scripted model: text and a tool call."""
    return {"text": text, "tool_calls": [{"name": tool, "arguments": arguments}]}


FIRST: dict[str, Any] = {"step_id": "first", "description": "Add 17 and 25.", "priority": "high", "dependencies": []}
SECOND = {"step_id": "second", "description": "Add 100 to that.", "priority": "medium", "dependencies": ["first"]}
SUMMARY = "I added 17 and 25, which is 42, and then 100 to that: the result is 142."

# The scripted answers, turn by turn, a token every 15 ms.
TURNS = [
    says("This takes two steps.\n", "create_plan", task_description=TASK, steps=[SECOND, FIRST]),
    says("First the small numbers.\n", "add", a=17, b=25),
    says("", "subtask_done", task_id="first", summary="17 + 25 = 42", success=True),
    says("Now the hundred.\n", "add", a=42, b=100),
    says("", "subtask_done", task_id="second", summary="42 + 100 = 142", success=True),
    says("", "complete_task", task_id="main", summary=SUMMARY, success=True),
]
SCRIPT: dict[str, Any] = {
    "turns": [{"when": {"turn": number}, **turn} for number, turn in enumerate(TURNS)],
    "pacing": {"mode": "steady", "interval_ms": 15},
}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", nargs="?", metavar="MODEL", help="such as openai/gpt-4o-mini")
parser.add_argument("--simulate", action="store_true", help="ask a scripted model")
arguments = parser.parse_args()
if arguments.simulate:
    with Simulator(**SCRIPT) as simulator:
        asyncio.run(main("openai/sim", simulator.base_url))
else:
    asyncio.run(main(arguments.model))
