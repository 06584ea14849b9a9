"""The servers that are compared, each in one process of its own, and what they use."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROXY = ROOT / ".venv-proxy" / "bin" / "python"
# No downloads, and no keys, which would cost litellm's proxy something.
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
TICKS = os.sysconf("SC_CLK_TCK")

AGENTS = """
import os
from headrace import Agent

agents = {{
    name: Agent(agent_name=name, model_name=f"openai/{{name}}", llm_base_url=os.environ["UPSTREAM"], llm_api_key="sk",
                print_on=False)
    for name in {models!r}
}}
"""


class Process:
    """A server.

    Attributes:
        name: Its name in the report.
        url: Its URL, with ``/v1``.
    """

    def __init__(self, name: str, command: list[str], url: str, upstream: str, folder: Path) -> None:
        self.name, self.url = name, url
        environment = {**os.environ, "UPSTREAM": upstream, **QUIET, "NO_PROXY": "*"}
        self._log = (folder / f"{name.split(maxsplit=1)[0]}.log").open("w")
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self._log, stderr=self._log, stdin=subprocess.PIPE
        )
        host, port = url.removeprefix("http://").split("/", 1)[0].split(":")
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise SystemExit(f"{name} ended: see {self._log.name}")
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                return
            time.sleep(0.05)
        raise SystemExit(f"{name} did not start: see {self._log.name}")

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def cpu(self) -> float:
        """Seconds of processor time of all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Its resident memory in MB."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        self._log.close()


class Upstream(Process):
    """headrace's simulator: the model that all servers ask."""

    def __init__(self, script: dict[str, object], folder: Path) -> None:
        port = free_port()
        path = folder / "script.json"
        path.write_text(json.dumps(script))
        binary = ROOT / "target" / "release" / "headrace-simulator"
        command = [str(binary), "--script", str(path), "--port", str(port), "--keep", "20000", "--until-stdin-closes"]
        super().__init__("upstream", command, f"http://127.0.0.1:{port}/v1", "", folder)

    def reset(self) -> None:
        """Forgets all requests."""
        request = urllib.request.Request(self.url.removesuffix("/v1") + "/_reset", method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def disconnected_ns(self) -> int | None:
        """When it saw the connection of its only request close; None if it has not."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/_report", timeout=30) as answer:
            requests = json.load(answer)["requests"]
        return None if not requests else requests[-1]["disconnected_ns"]


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def headrace(models: list[str], upstream: str, folder: Path) -> Process:
    """``Server`` with an agent for each model, in one process."""
    port = free_port()
    code = AGENTS.format(models=models) + (
        "import asyncio\nfrom headrace.serve import Server\n"
        f"async def main():\n    async with Server(agents, port={port}):\n        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    return Process("headrace serve", [sys.executable, "-c", code], f"http://127.0.0.1:{port}/v1", upstream, folder)


def by_hand(_models: list[str], upstream: str, folder: Path) -> Process:
    """FastAPI and the openai SDK, one worker of uvicorn."""
    port = free_port()
    command = [str(PROXY), "-m", "uvicorn", "--app-dir", str(HERE), "by_hand:app", "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log"]
    return Process("FastAPI + openai", command, f"http://127.0.0.1:{port}/v1", upstream, folder)


def litellm(models: list[str], upstream: str, folder: Path) -> Process:
    """litellm's proxy, one worker."""
    port = free_port()
    listed = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": upstream, "api_key": "sk"}}
        for name in models
    ]
    settings = {"telemetry": False, "drop_params": True, "request_timeout": 600, "num_retries": 0}
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": listed, "litellm_settings": settings}))  # JSON is YAML
    command = [str(PROXY.with_name("litellm")), "--config", str(config), "--port", str(port), "--num_workers", "1"]
    return Process("litellm proxy", [*command, "--host", "127.0.0.1"], f"http://127.0.0.1:{port}/v1", upstream, folder)


SERVERS = {"headrace": headrace, "by_hand": by_hand, "litellm": litellm}
