"""An agent that writes on an event loop with other work. At the end it prints the longest pause of that other work.

python examples/writer.py [MODEL]       # any model; without it, HEADRACE_MODEL, or the local model
python examples/writer.py --simulate    # a scripted model on this machine
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from typing import Any

from headrace import Agent
from headrace.testing import Simulator

TASK = "Write two sentences about the water wheel of an old mill."

# The scripted answer, a token every 15 ms.
SCRIPT: dict[str, Any] = {
    "turns": [
        {
            "text": "The old wheel turns slowly in the clear water of the brook. "
            "Each of its buckets carries a little of the hill down into the valley.",
        },
    ],
    "pacing": {"mode": "steady", "interval_ms": 15},
}


async def heartbeat(beats: list[float]) -> None:
    """Does other work: records the time every millisecond, if the event loop is free."""
    while True:
        beats.append(time.monotonic())
        await asyncio.sleep(0.001)


async def main(model_name: str | None, llm_base_url: str | None = None) -> None:
    """Streams the answer."""
    agent = Agent(agent_name="Writer", model_name=model_name, llm_base_url=llm_base_url, max_loops=1, print_on=False)
    beats: list[float] = []
    other_work = asyncio.create_task(heartbeat(beats))
    async for token in agent.arun_stream(TASK):
        print(token, end="", flush=True)
    other_work.cancel()
    pause = max((later - earlier for earlier, later in itertools.pairwise(beats)), default=0.0)
    print(f"\n\nThe event loop did other work {len(beats)} times, at most {pause * 1e3:.1f} ms apart.")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", nargs="?", metavar="MODEL", help="such as openai/gpt-4o-mini")
parser.add_argument("--simulate", action="store_true", help="ask a scripted model")
arguments = parser.parse_args()
if arguments.simulate:
    with Simulator(**SCRIPT) as simulator:
        asyncio.run(main("openai/sim", simulator.base_url))
else:
    asyncio.run(main(arguments.model))
