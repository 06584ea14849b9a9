"""One measurement of one client, in its own process: ``python measure.py JOB OUT``, both JSON.

So the processor time of the process is that of the client with all its threads. Everything is bounded: by a count, by a
time, and finally by a watchdog that writes the results so far and ends the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
import time
import traceback
from array import array
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import server
from clients import CLIENTS, Ask, Client, Connect
from floor import FLOORS, paced_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

Job = dict[str, Any]
Result = dict[str, Any]

WARM_UP = 100  # tokens of the request before anything is measured
QUANTILES = [*(index / 200 for index in range(200)), 0.999, 0.9999, 1.0]
GROWTH = (1, 10, 100, 1_000, 10_000)


def cpu() -> float:
    """Seconds of processor time of all threads of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory_mb(field: str) -> float:
    """``VmHWM``, the most memory that was ever resident, or ``VmRSS``, what is now; that of ``getrusage`` would be
    inherited from the parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(field)


def threads() -> int:
    """How many threads this process has, without the watchdog."""
    return sum(1 for _ in Path("/proc/self/task").iterdir()) - 1


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """A quantile of ordered values: the nearest one."""
    return ordered[min(len(ordered) - 1, round(fraction * (len(ordered) - 1)))]


@asynccontextmanager
async def opened(client: Client, url: str) -> AsyncIterator[Connect]:
    """Opens the client's adapter, sync or async."""
    context = client.open(url)
    if client.is_async:
        async with context as connect:  # type: ignore[union-attr]
            yield connect
    else:
        with context as connect:  # type: ignore[union-attr]
            yield connect


async def drain(client: Client, ask: Ask) -> int:
    """Sends a request, reads to the end, and counts the tokens."""
    count = 0
    if client.is_async:
        async for _token in ask():
            count += 1
    else:
        for _token in ask():
            count += 1
    return count


async def check(client: Client, connect: Connect) -> None:
    """Sends one request, so that everything is loaded and connected, and checks the tokens."""
    ask = connect(f"t{WARM_UP}")
    got = [token async for token in ask()] if client.is_async else list(ask())
    if client.key not in FLOORS and got != [server.TOKENS[index % len(server.TOKENS)] for index in range(WARM_UP)]:
        raise AssertionError(f"{client.key} did not yield the tokens that were sent: {got[:10]}…")


# --- scenarios -----------------------------------------------------------------------------------------------------


async def burst(client: Client, job: Job, result: Result) -> None:
    """Streams of ``tokens`` tokens as fast as they come, one after the other until ``seconds`` are over."""
    async with opened(client, job["url"]) as connect:
        await check(client, connect)
        tokens = job["tokens"]
        streams, spent, wall = 0, 0.0, 0.0
        while wall < job["seconds"] and streams < job["streams"]:
            ask = connect(f"t{tokens}")
            cpu_before, before = cpu(), time.perf_counter()
            count = await drain(client, ask)
            wall += time.perf_counter() - before
            spent += cpu() - cpu_before
            assert client.key == "socket_sync" or count == tokens, (count, tokens)
            streams += 1
        done = tokens * streams
        result.update(tokens=tokens, streams=streams, seconds=wall, rate=done / wall, cpu_us=spent / done * 1e6)


async def ttft(client: Client, job: Job, result: Result) -> None:
    """From the call to the first token, everything warm; the rest of the answer is read, but not timed."""
    async with opened(client, job["url"]) as connect:
        ask = connect("t1")
        for _ in range(job["warm"]):
            await drain(client, connect("t1") if client.own_agent else ask)
        took: list[float] = []
        spent = cpu()
        until = time.monotonic() + job["seconds"]
        while len(took) < job["requests"] and (time.monotonic() < until or len(took) < 10):
            if client.own_agent:
                ask = connect("t1")
            before = time.perf_counter()
            if client.is_async:
                tokens = aiter(ask())
                await anext(tokens)
                took.append((time.perf_counter() - before) * 1e6)
                async for _token in tokens:
                    pass
            else:
                tokens = iter(ask())
                next(tokens)
                took.append((time.perf_counter() - before) * 1e6)
                for _token in tokens:
                    pass
        spent = cpu() - spent
        took.sort()
        result.update(
            requests=len(took),
            p50_us=quantile(took, 0.5),
            p90_us=quantile(took, 0.9),
            p99_us=quantile(took, 0.99),
            cpu_us=spent / len(took) * 1e6,
            loads_litellm="litellm" in sys.modules,
        )


async def short(client: Client, job: Job, result: Result) -> None:
    """Short answers, many at a time on one event loop: as soon as one is read, the next is asked for."""
    took: list[float] = []
    tokens = 0
    async with opened(client, job["url"]) as connect:
        ask = connect("t100")
        await check(client, connect)
        until = time.monotonic() + job["seconds"]

        async def work() -> None:
            nonlocal tokens
            while len(took) < job["requests"] and time.monotonic() < until:
                before, first = time.perf_counter(), 0.0
                async for _token in (connect("t100") if client.own_agent else ask)():
                    tokens += 1
                    first = first or time.perf_counter() - before
                took.append(first * 1e6)

        spent, before = cpu(), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(job["at_once"])))
        wall, spent = time.perf_counter() - before, cpu() - spent
    assert tokens == 100 * len(took), (tokens, len(took))
    took.sort()
    result.update(
        requests=len(took),
        seconds=wall,
        rate=len(took) / wall,
        cpu_s=spent,
        cpu_us=spent / len(took) * 1e6,
        p50_us=quantile(took, 0.5),
        p99_us=quantile(took, 0.99),
    )


class Arrivals:
    """The record of many parallel streams: when each token was sent, and how late it was received."""

    def __init__(self, streams: int) -> None:
        self.streams = streams
        self.sent, self.late = array("q"), array("q")
        self.first, self.first_at = array("q"), array("q")
        self.complete = 0
        self.errors: Counter[str] = Counter()

    def tell(self, result: Result) -> None:
        """Records the result."""
        late = array("q", sorted(self.late))
        result.update(complete=self.complete, tokens=len(late), errors=dict(self.errors))
        if late:
            # The tokens sent after every stream had begun: without the load of opening them all at once.
            open_at = max(self.first_at) if len(self.first_at) == self.streams else float("inf")
            after = sorted(late for sent, late in zip(self.sent, self.late, strict=False) if sent >= open_at)
            first = sorted(self.first)
            result.update(
                quantiles_us=[[fraction, quantile(late, fraction) / 1e3] for fraction in QUANTILES],
                p50_ms=quantile(late, 0.5) / 1e6,
                p99_ms=quantile(late, 0.99) / 1e6,
                max_ms=late[-1] / 1e6,
                settled_p99_ms=quantile(after, 0.99) / 1e6 if after else None,
                ttft_p50_ms=quantile(first, 0.5) / 1e6,
                ttft_p99_ms=quantile(first, 0.99) / 1e6,
            )


async def paced(client: Client, job: Job, result: Result) -> None:
    """``streams`` parallel streams on one event loop, all started at the same time."""
    arrivals = Arrivals(job["streams"])
    clock = time.monotonic_ns

    async def read(ask: Ask) -> None:
        seen, asked = 0, clock()
        sent, late = arrivals.sent.append, arrivals.late.append
        try:
            async for token in ask():
                now = clock()
                if not seen:
                    arrivals.first.append(now - asked)
                    arrivals.first_at.append(now)
                # A client may join tokens. Each token is a stamp and a space.
                for stamp in map(int, token.split()):
                    sent(stamp)
                    late(now - stamp)
                    seen += 1
        except Exception as error:  # noqa: BLE001 — how often a client fails is part of what is measured
            arrivals.errors[f"{type(error).__name__}: {error}"[:200]] += 1
        arrivals.complete += seen == job["tokens"]

    most_threads = threads()

    async def count_threads() -> None:
        nonlocal most_threads
        while True:
            most_threads = max(most_threads, threads())
            await asyncio.sleep(0.25)

    async with opened(client, job["url"]) as connect:
        await drain(client, connect("t1"))
        asks = (
            [connect(job["model"]) for _ in range(job["streams"])]
            if client.own_agent
            else [connect(job["model"])] * job["streams"]
        )
        result["rss_before_mb"] = memory_mb("VmRSS")
        counting = asyncio.create_task(count_threads())
        cpu_before, before = cpu(), time.perf_counter()

        def tell() -> None:
            wall, spent = time.perf_counter() - before, cpu() - cpu_before
            result.update(seconds=wall, cpu_s=spent, rss_mb=memory_mb("VmHWM"), threads=max(most_threads, threads()))
            arrivals.tell(result)
            result["cpu_us"] = spent / max(1, result["tokens"]) * 1e6

        result.on_timeout = tell  # type: ignore[attr-defined]
        tasks = [asyncio.create_task(read(ask)) for ask in asks]
        _, pending = await asyncio.wait(tasks, timeout=job["limit"])
        tell()
        counting.cancel()
        result["cut"] = bool(pending)
        if pending:
            # Not waited for, because some clients take minutes to stop.
            leave(result)


async def paced_floor(_client: Client, job: Job, result: Result) -> None:
    """The same with bare sockets."""
    arrivals = Arrivals(job["streams"])
    cpu_before, before = cpu(), time.perf_counter()
    paced_sockets(job["url"], job["model"], job["tokens"], job["limit"], arrivals)
    result.update(seconds=time.perf_counter() - before, cpu_s=cpu() - cpu_before, rss_mb=memory_mb("VmHWM"))
    arrivals.tell(result)
    result.update(cpu_us=result["cpu_s"] / max(1, result["tokens"]) * 1e6, threads=threads(), cut=False)


async def cancel(client: Client, job: Job, result: Result) -> None:
    """Leaves a stream that stalls, and asks the server when it saw the connection close."""
    took: list[float] = []
    unseen = 0
    url = job["url"]
    async with opened(client, url) as connect:
        await drain(client, connect("t1"))
        until = time.monotonic() + job["seconds"]
        while len(took) < job["times"] and time.monotonic() < until and unseen < 3:
            server.reset(url)
            left = await (leave_task if client.is_async else leave_stream)(connect("stall"))
            closed = await seen(url, job["wait"])
            if closed is None:
                unseen += 1
            else:
                took.append((closed - left) / 1e3)
    took.sort()
    result.update(times=len(took), unseen=unseen)
    if took:
        result.update(p50_us=quantile(took, 0.5), p90_us=quantile(took, 0.9), max_us=took[-1])
    if unseen:
        leave(result)


async def leave_task(ask: Ask) -> int:
    """Cancels the task that reads a stream. Returns when."""
    told = asyncio.Event()

    async def read() -> None:
        async for _token in ask():
            told.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(told.wait(), 10)
    await asyncio.sleep(0.005)
    left = time.monotonic_ns()
    task.cancel()
    await asyncio.wait([task], timeout=1)
    return left


async def leave_stream(ask: Ask) -> int:
    """Closes a stream. Returns when."""
    stream = ask()
    next(iter(stream))
    await asyncio.sleep(0.005)
    left = time.monotonic_ns()
    stream.close()
    return left


async def seen(url: str, wait: float) -> int | None:
    """When the server saw the connection of its only request close; None if it does not within ``wait`` seconds."""
    until = time.monotonic() + wait
    while time.monotonic() < until:
        # Lets the client's event loop run: some clients close a connection only in its next iteration.
        await asyncio.sleep(0.01)
        [request] = (await asyncio.to_thread(server.report, url))["requests"]
        if request["disconnected_ns"] is not None:
            return int(request["disconnected_ns"])
    return None


async def growth(client: Client, job: Job, result: Result) -> None:
    """Processor time per token of answers of 1 to 10 000 tokens."""
    sizes: dict[str, Result] = {}
    result["sizes"] = sizes
    async with opened(client, job["url"]) as connect:
        await check(client, connect)
        cost = 0.0
        for tokens in GROWTH:
            if cost * 10 > job["longest"]:
                break  # the next would take too long
            if not client.own_agent:
                await drain(client, connect(f"t{tokens}"))
            requests, spent, wall = 0, 0.0, 0.0
            while requests < 2 or (wall < job["seconds"] and requests < 2_000):
                ask = connect(f"t{tokens}")
                cpu_before, before = cpu(), time.perf_counter()
                count = await drain(client, ask)
                wall += time.perf_counter() - before
                spent += cpu() - cpu_before
                assert count == tokens, (count, tokens)
                requests += 1
            cost = wall / requests
            sizes[str(tokens)] = {"requests": requests, "cpu_us": spent / requests / tokens * 1e6}


SCENARIOS = {
    "burst": burst,
    "ttft": ttft,
    "short": short,
    "paced": paced,
    "paced_floor": paced_floor,
    "cancel": cancel,
    "growth": growth,
}


# --- the process ---------------------------------------------------------------------------------------------------


class Written(dict[str, Any]):
    """A result, and the file that it is written to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.on_timeout: Callable[[], object] = lambda: None

    def write(self) -> None:
        """Writes it atomically."""
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self))
        part.replace(self._path)


def leave(result: Result) -> None:
    """Writes the result and ends the process, even if other threads still run."""
    assert isinstance(result, Written)
    result.write()
    sys.stdout.flush()
    os._exit(0)


def watch(result: Written, seconds: float) -> None:
    """Ends the process after this number of seconds. In its own thread, because a client may block the event loop."""

    def end() -> None:
        result["cut"] = True
        try:
            result.on_timeout()
        except Exception as error:  # noqa: BLE001 — the results so far are written
            result["error"] = repr(error)
        leave(result)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def main() -> None:
    """Runs the job."""
    job, out = json.loads(sys.argv[1]), Path(sys.argv[2])
    client = {**CLIENTS, **FLOORS}[job["client"]]
    result = Written(out)
    if "limit" in job:
        watch(result, job["limit"] + job.get("grace", 30))
    try:
        asyncio.run(SCENARIOS[job["scenario"]](client, job, result))
    except Exception as error:  # noqa: BLE001 — the report contains it
        traceback.print_exc()
        result["error"] = f"{type(error).__name__}: {error}"[:500]
    leave(result)


if __name__ == "__main__":
    main()
