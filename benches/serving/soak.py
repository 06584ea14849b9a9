"""A soak of ``headrace serve``: ``make soak-serving``.

A thousand clients ask for ten minutes, at the same time. They read whole answers, leave in the middle, read slowly,
stop reading, and ask models that fail. Every text is checked, and in the end nothing may be left: no streams, no
connections to the model, no descriptors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from servers import Process, Upstream, headrace

WORDS = ["The", " wheel", " turns", " “while”", " the", " water\n", " runs", " down", " the", " channel. "]
SIZES = {"tiny": 1, "short": 2, "middle": 40, "long": 2000}
PACED = 8
FAULTS: dict[str, dict[str, Any]] = {
    "breaks": {"kind": "end", "after": 15},
    "resets": {"kind": "reset", "after": 15},
    "refuses": {"kind": "status", "status": 503},
}


def script() -> dict[str, Any]:
    """The upstream's answers, by the name of the model."""
    answers = [{"when": {"model": name}, "text": WORDS, "repeat": size} for name, size in SIZES.items()]
    pacing = {"mode": "steady", "interval_ms": 20}
    faults = [{"when": {"model": name}, "text": WORDS, "repeat": 4, "fault": fault} for name, fault in FAULTS.items()]
    return {
        "turns": [*answers, *faults, {"when": {"model": "paced"}, "text": WORDS, "repeat": PACED, "pacing": pacing}]
    }


def text_of(model: str) -> str:
    """The whole text of a model."""
    return "".join(WORDS) * {**SIZES, "paced": PACED}.get(model, 4)


@dataclass
class Soak:
    """What happened.

    Attributes:
        outcomes: How many requests ended in which way.
        wrong: What should not have been.
    """

    url: str
    until: float
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def client(self, seed: int) -> None:
        """Asks again and again, in one way or another."""
        chance = random.Random(seed)
        while time.monotonic() < self.until:
            model = chance.choices(["tiny", "short", "middle", "long", "paced", *FAULTS], [20, 30, 20, 3, 20, 3, 3, 3])[
                0
            ]
            way = chance.choices(["whole", "leaves", "slow", "stalls"], [70, 15, 10, 5])[0]
            try:
                await asyncio.wait_for(self._ask(model, way, chance), 300)
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                self.wrong.append(f"{model} {way}: {type(error).__name__} {error}")

    async def _ask(self, model: str, way: str, chance: random.Random) -> None:
        host, port = self.url.removeprefix("http://").removesuffix("/v1").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 16)
        try:
            body = json.dumps({"model": model, "messages": [{"role": "user", "content": "go"}], "stream": True})
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
            writer.write(f"{head}connection: close\r\n\r\n{body}".encode())
            if way == "leaves":
                await reader.read(chance.randrange(1, 600))
                self.outcomes["left"] += 1
                return
            if way == "stalls":
                await reader.readexactly(1)
                await asyncio.sleep(chance.random() * 3)
                self.outcomes["stalled"] += 1
                return
            got = b""
            while block := await reader.read(16_000 if way == "slow" else 1 << 16):
                got += block
                if way == "slow":
                    await asyncio.sleep(0.003)
            self._check(model, got)
        finally:
            writer.transport.abort()

    def _check(self, model: str, got: bytes) -> None:
        head, _, body = got.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if model == "refuses":
            self._expect(status == 503, f"{model}: status {status}")
            self.outcomes["refused"] += 1
            return
        # The chunks' sizes are lines of their own between the events.
        events = [
            json.loads(line.removeprefix("data: "))
            for line in body.decode().replace("\r\n", "\n").split("\n")
            if line.startswith("data: {")
        ]
        said = "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ()))
        errors = [event["error"] for event in events if "error" in event]
        if model in FAULTS:
            self._expect(bool(errors), f"{model}: no error")
            self._expect(text_of(model).startswith(said), f"{model}: wrong text")
            self.outcomes["failed as it should"] += 1
            return
        self._expect(not errors, f"{model}: {errors}")
        self._expect(said == text_of(model), f"{model}: {len(said)} of {len(text_of(model))} characters")
        self._expect(b"data: [DONE]" in body, f"{model}: no end")
        self.outcomes["whole"] += 1

    def _expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.wrong.append(otherwise)


def descriptors(process: Process) -> int:
    """How many files and sockets the server has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def running(url: str) -> float:
    """How many answers the server says are under way."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("headrace_streams{"))


async def soak(server: Process, clients: int, seconds: float) -> Soak:
    """Runs all clients, and tells what goes on."""
    one = Soak(server.url, time.monotonic() + seconds)
    told = 0
    tasks = [asyncio.ensure_future(one.client(number)) for number in range(clients)]
    while not all(task.done() for task in tasks):
        await asyncio.wait(tasks, timeout=10)
        left = max(0.0, one.until - time.monotonic())
        for wrong in one.wrong[told:][:20]:
            print(f"wrong: {wrong}", flush=True)
        told = len(one.wrong)
        print(
            f"{left:4.0f} s left, {server.memory():.0f} MB, {descriptors(server)} descriptors, "
            f"{dict(one.outcomes)}, {len(one.wrong)} wrong",
            flush=True,
        )
    await asyncio.gather(*tasks)
    return one


def main() -> None:
    """Runs the soak; exit code 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with TemporaryDirectory() as folder:
        upstream = Upstream(script(), Path(folder))
        server = headrace([*SIZES, *FAULTS, "paced"], upstream.url, Path(folder))
        try:
            asyncio.run(soak(server, 20, 3))  # what is made once
            idle, memory = descriptors(server), server.memory()
            done = asyncio.run(soak(server, options.clients, options.seconds))
            until = time.monotonic() + 30
            # Idle connections to the model are kept for the next requests, so a few descriptors more are none too many.
            while (running(server.url) or descriptors(server) > idle + 64) and time.monotonic() < until:
                time.sleep(0.5)
            left = running(server.url)
            print(f"streams left {left:.0f}, descriptors {idle} → {descriptors(server)}")
            print(f"memory {memory:.0f} → {server.memory():.0f} MB")
            for wrong, count in Counter(done.wrong).most_common(20):
                print(f"wrong, {count} times: {wrong}")
            if done.wrong or left:
                sys.exit(1)
        finally:
            server.stop()
            upstream.stop()


if __name__ == "__main__":
    main()
