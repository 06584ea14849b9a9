"""An agent that calculates with a tool. Tokens stream both in the turn that calls the tool and in the next one.

python examples/calculator.py [MODEL]       # a model that can call tools; without it, HEADRACE_MODEL
python examples/calculator.py --simulate    # a scripted model on this machine
"""

from __future__ import annotations

import argparse
from typing import Any

from headrace import Agent
from headrace.testing import Simulator

TASK = "Use the add tool to compute 17 + 25, then state the result."

# The scripted answers, a token every 15 ms.
SCRIPT: dict[str, Any] = {
    "turns": [
        {"when": {"role": "tool"}, "text": "17 + 25 is 42.\n"},
        {
            "text": "I will add the two numbers with the tool.\n",
            "tool_calls": [{"name": "add", "arguments": {"a": 17, "b": 25}}],
        },
    ],
    "pacing": {"mode": "steady", "interval_ms": 15},
}


def add(a: int, b: int) -> int:
    """Adds two integers.

    Args:
        a: The first integer.
        b: The second integer.
    """
    return a + b


def main(model_name: str | None, llm_base_url: str | None = None) -> None:
    """Streams the answer."""
    agent = Agent(
        agent_name="Calculator",
        model_name=model_name,
        llm_base_url=llm_base_url,
        max_loops=3,
        tools=[add],
        persistent_memory=False,
        print_on=False,
    )
    for token in agent.run_stream(TASK):
        print(token, end="", flush=True)
    print()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", nargs="?", metavar="MODEL", help="such as openai/gpt-4o-mini")
parser.add_argument("--simulate", action="store_true", help="ask a scripted model")
arguments = parser.parse_args()
if arguments.simulate:
    with Simulator(**SCRIPT) as simulator:
        main("openai/sim", simulator.base_url)
else:
    main(arguments.model)
