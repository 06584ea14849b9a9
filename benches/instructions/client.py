"""The program for callgrind: reads one stream of TOKENS tokens. ``python client.py URL METHOD TOKENS``"""

from __future__ import annotations

import asyncio
import sys

from headrace import Agent


def run_stream(agent: Agent) -> int:
    """Reads with ``for``."""
    count = 0
    for _token in agent.run_stream("go"):
        count += 1
    return count


async def arun_stream(agent: Agent) -> int:
    """Reads with ``async for``."""
    count = 0
    async for _token in agent.arun_stream("go"):
        count += 1
    return count


def main() -> None:
    """Reads the stream, and checks the number of tokens."""
    url, method, tokens = sys.argv[1:]
    agent = Agent(model_name=f"openai/t{tokens}", llm_base_url=url, llm_api_key="any", print_on=False)
    count = run_stream(agent) if method == "run_stream" else asyncio.run(arun_stream(agent))
    assert count == int(tokens), count


if __name__ == "__main__":
    main()
