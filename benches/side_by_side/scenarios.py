"""The scenarios, their clients, and the size of each measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server import LADDER

if TYPE_CHECKING:
    from collections.abc import Callable

Job = dict[str, Any]

BY_HAND = ("aiohttp", "pyreqwest")
RUST = ("httpr_sync", "f3dx_sync")
"""Clients with a Rust core. Their streams are sync; httpr's async client reads in threads."""
SLOW = ("liter_llm", "httpx", "openai", "openai_agents", "pydantic_ai", "litellm")
OURS_ASYNC = ("headrace_async", "headrace_before_async")
OURS = ("headrace_sync", "headrace_before_sync", *OURS_ASYNC)
ASYNC = (*OURS_ASYNC, *BY_HAND, *SLOW, "swarms_async")
ONE_STREAM = (*OURS, *BY_HAND, "pyreqwest_sync", *RUST, *SLOW, "swarms_sync")
FAST = (*OURS, *BY_HAND, "pyreqwest_sync", *RUST)
FLOOR = ("list_sync", "socket_sync")
IMPORTED = ("headrace_sync", *BY_HAND, *RUST, *SLOW, "swarms_sync")
STREAMS = (1, 10, 100, 200, 1000)
OTHER = "-other"
"""What the names of scenarios end with that are measured with the second server."""


@dataclass(frozen=True)
class Size:
    """The size of the measurements.

    Attributes:
        repeats: How often each measurement is made.
        burst_longest: The maximum duration of one burst stream in seconds; it gets as many tokens as fit.
        burst_seconds: For how many seconds streams are read, one after the other; at least one is read.
        ttft_requests: The number of requests for the first token, if they fit into ``ttft_seconds``.
        paced_tokens: Tokens of each of 200 or 1000 paced streams.
        growth_tokens: Tokens of each of fewer streams.
        limit: After how many seconds paced streams are stopped.
        tenth_tokens: Tokens of each of 3000 paced streams, ten a second.
        short_requests: The number of short answers, if they fit into ``short_seconds``.
        idle_streams: The number of streams with one token per second.
        idle_tokens: Tokens of each.
        cancels: How many streams are cancelled or closed.
        growth_seconds: For how many seconds answers of each size are requested.
        few: The only clients for the slow measurements; None for all clients.
    """

    repeats: int
    burst_longest: float
    burst_seconds: float
    ttft_requests: int
    ttft_seconds: float
    paced_tokens: int
    growth_tokens: int
    limit: float
    tenth_tokens: int
    short_requests: int
    short_seconds: float
    idle_streams: int
    idle_tokens: int
    cancels: int
    growth_seconds: float
    few: tuple[str, ...] | None = None


FULL = Size(5, 1.5, 1.0, 300, 4.0, 250, 100, 25.0, 50, 4000, 4.0, 10_000, 10, 50, 0.5)
QUICK_CLIENTS = ("headrace_sync", "headrace_async", "aiohttp")
QUICK = Size(1, 0.6, 0.3, 100, 1.0, 50, 50, 5.0, 20, 500, 1.0, 10_000, 5, 10, 0.15, QUICK_CLIENTS)


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Attributes:
        name: Its name on the command line and in the raw results.
        server: Which server.
        clients: The clients.
        job: Makes the client's job, given its tokens per second, as far as they are known.
        paced_ms: The planned duration of the answers; 0 if it is not checked.
        calibrated: Whether the speed of each client must be known first.
    """

    name: str
    server: str
    clients: tuple[str, ...]
    job: Callable[[str, float], Job]
    paced_ms: float = 0.0
    calibrated: bool = False


def fitting(rate: float, seconds: float, most: int = LADDER[-1]) -> int:
    """As many tokens as a client that reads ``rate`` a second gets in so many seconds, as far as the server has it."""
    return max([count for count in LADDER if count <= min(most, rate * seconds)], default=LADDER[0])


def calibration(size: Size) -> Job:
    """Measures the approximate speed of a client."""
    return {"scenario": "burst", "tokens": 1000, "seconds": size.burst_seconds / 4, "streams": 50}


def plan(size: Size) -> list[Scenario]:
    """All scenarios, in order."""
    few = set(size.few or (*ONE_STREAM, *ASYNC))

    def burst(_client: str, rate: float) -> Job:
        tokens = fitting(rate, size.burst_longest)
        return {"scenario": "burst", "tokens": tokens, "seconds": size.burst_seconds, "streams": 50}

    def other_burst(_client: str, rate: float) -> Job:
        tokens = fitting(rate, size.burst_longest, 300_000)  # the second server keeps its answers in memory
        return {"scenario": "burst", "tokens": tokens, "seconds": size.burst_seconds, "streams": 50}

    def short(_client: str, _rate: float) -> Job:
        return {"scenario": "short", "requests": size.short_requests, "seconds": size.short_seconds, "at_once": 64}

    def ttft(_client: str, _rate: float) -> Job:
        return {"scenario": "ttft", "requests": size.ttft_requests, "seconds": size.ttft_seconds, "warm": 20}

    def cancel(_client: str, _rate: float) -> Job:
        return {"scenario": "cancel", "times": size.cancels, "seconds": 10.0, "wait": 2.0}

    def growth(_client: str, _rate: float) -> Job:
        return {"scenario": "growth", "seconds": size.growth_seconds, "longest": 6.0}

    def paced(streams: int, tokens: int, model: str) -> Callable[[str, float], Job]:
        def job(client: str, _rate: float) -> Job:
            scenario = "paced_floor" if client == "socket_sync" else "paced"
            return {
                "scenario": scenario,
                "streams": streams,
                "tokens": tokens,
                "model": f"{model}{tokens}",
                "limit": size.limit + (size.idle_tokens if model == "idle" else 0),
            }

        return job

    def paced_at(streams: int) -> Scenario:
        clients = tuple(client for client in ASYNC if client in few or streams == 200)
        clients += ("socket_sync",) if streams >= 200 else ()
        tokens = size.paced_tokens if streams >= 200 else size.growth_tokens
        job = paced(streams, tokens, "paced")
        return Scenario(f"paced-{streams}", "stamped", clients, job, paced_ms=(tokens - 1) * 20.0)

    return [
        Scenario("burst-coalesce", "coalesce", (*FLOOR, *ONE_STREAM), burst, calibrated=True),
        Scenario("burst-frame", "frame", ("socket_sync", *ONE_STREAM), burst, calibrated=True),
        Scenario("ttft", "frame", ("socket_sync", *ONE_STREAM), ttft),
        *(paced_at(streams) for streams in STREAMS),
        Scenario(
            "idle",
            "stamped",
            OURS_ASYNC,
            paced(size.idle_streams, size.idle_tokens, "idle"),
            paced_ms=(size.idle_tokens - 1) * 1000.0,
        ),
        Scenario(
            "paced-3000",
            "stamped",
            (*OURS_ASYNC, *BY_HAND, "socket_sync"),
            paced(3000, size.tenth_tokens, "tenth"),
            paced_ms=(size.tenth_tokens - 1) * 100.0,
        ),
        Scenario("short", "frame", (*OURS_ASYNC, *BY_HAND, "httpx", "openai"), short),
        Scenario(f"ttft{OTHER}", "other", ("socket_sync", *FAST), ttft),
        Scenario(f"burst-frame{OTHER}", "other", ("socket_sync", *FAST), other_burst, calibrated=True),
        Scenario(f"short{OTHER}", "other", (*OURS_ASYNC, *BY_HAND), short),
        Scenario(
            f"paced-1000{OTHER}",
            "other",
            (*OURS_ASYNC, *BY_HAND, "socket_sync"),
            paced(1000, size.paced_tokens, "paced"),
            paced_ms=(size.paced_tokens - 1) * 20.0,
        ),
        Scenario("cancel", "frame", ("headrace_sync", *ASYNC), cancel),
        Scenario("growth", "coalesce", tuple(client for client in ONE_STREAM if client in few), growth),
        Scenario("import", "frame", IMPORTED, lambda _client, _rate: {}),
    ]
