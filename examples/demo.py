"""Streams an answer of the local model, sync and async, and prints the timing of each."""

from __future__ import annotations

import asyncio

from headrace import Agent, AsyncRunStream, RunStream

TASK = "Write two sentences about the water wheel of an old mill."

agent = Agent(
    model_name="local/smollm2-135m",
    system_prompt="You are a helpful assistant.",
    temperature=0.7,
    max_tokens=80,
    llm_args={"seed": 7},
)


def report(stream: RunStream[str] | AsyncRunStream[str]) -> None:
    """Prints the timing of a stream that has ended."""
    timing, usage = stream.timing, stream.usage
    assert timing is not None
    assert timing.ttft is not None
    assert timing.itl is not None
    tokens = usage.output_tokens if usage else None
    itl = timing.itl
    print(f"\n  TTFT {timing.ttft * 1e3:.1f} ms", end=" | ")
    print(f"ITL p50 {itl.p50 * 1e3:.1f} p90 {itl.p90 * 1e3:.1f} p99 {itl.p99 * 1e3:.1f} ms", end=" | ")
    print(f"{timing.chunks} chunks, {tokens} tokens | {stream.state}\n")


def sync_demo() -> None:
    """``run_stream``."""
    print("run_stream:")
    with agent.run_stream(TASK) as stream:
        for token in stream:
            print(token, end="", flush=True)
    report(stream)


async def async_demo() -> None:
    """``arun_stream``."""
    print("arun_stream:")
    async with agent.arun_stream(TASK) as stream:
        async for token in stream:
            print(token, end="", flush=True)
    report(stream)


sync_demo()
asyncio.run(async_demo())
