"""Compares headrace with its peers: ``python benches/side_by_side/run.py`` (about 45 minutes).

Installs everything in ``.bench``, starts the servers, runs each measurement in its own process, with the clients in
rotation, and writes ``results.md`` and the plots beside this file. With ``--quick`` (a few minutes, one repeat,
imprecise numbers) they are written to ``.bench/quick`` instead.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from clients import CLIENTS
from environment import BENCH, HERE, SIMULATOR, WORK, Environments, environ, machine, say
from floor import FLOORS
from scenarios import FULL, QUICK, Job, Scenario, Size, calibration, plan
from server import Server, lateness_ms, scripts

MEASURE = HERE / "measure.py"
PATIENCE = 180.0  # seconds that a measurement may take beyond its own limit

IMPORTS = 5  # how often a client is imported in each repeat, if that takes no longer than the seconds below
IMPORT_SECONDS = 2.0
IMPORT = """
import sys, time
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before, began = rss(), time.perf_counter()
{imports}
took = time.perf_counter() - began
print(took * 1e3, rss() - before, "litellm" in sys.modules, file=open({out!r}, "w"))
"""


class Sitting:
    """One run of all measurements: the servers, the order, and the file with the raw results.

    Args:
        environments: Where the clients are installed.
        servers: The servers by name.
        raw: The folder of the raw results.
    """

    def __init__(self, environments: Environments, servers: dict[str, Server], raw: Path) -> None:
        self._environments = environments
        self._servers = servers
        self._raw = raw
        self._rates: dict[tuple[str, str], float] = {}

    def measure(self, scenario: Scenario, size: Size) -> None:
        """Makes all measurements of a scenario: repeat by repeat, each client once in each, in a rotating order."""
        clients = [client for client in scenario.clients if client not in self._environments.missing]
        began = time.monotonic()
        path = self._raw / f"{scenario.name}.jsonl"
        with path.with_suffix(".part").open("w") as lines:
            for repeat in range(size.repeats):
                turn = repeat % len(clients)
                for key in clients[turn:] + clients[:turn]:
                    record = self._record(scenario, key, size, repeat)
                    lines.write(json.dumps(record) + "\n")
                    lines.flush()
        path.with_suffix(".part").replace(path)
        say(f"  {scenario.name}: {time.monotonic() - began:.0f} s")

    def _record(self, scenario: Scenario, key: str, size: Size, repeat: int) -> dict[str, Any]:
        server = self._servers[scenario.server]
        rate = self._rate(scenario, key, size) if scenario.calibrated else 0.0
        job = {**scenario.job(key, rate), "client": key, "url": server.url}
        if scenario.name != "cancel":
            server.reset()
        load, cpu, busy, began = os.getloadavg()[0], server.cpu(), busy_seconds(), time.monotonic()
        result, spent = self._import(key) if scenario.name == "import" else self._run(key, job)
        wall, server_cpu = time.monotonic() - began, server.cpu() - cpu
        # The processor time of all other processes: almost nothing on a quiet machine.
        others = (busy_seconds() - busy - spent - server_cpu) / (wall * (os.cpu_count() or 1))
        record: dict[str, Any] = {
            "scenario": scenario.name,
            "client": key,
            "repeat": repeat,
            "at": time.time(),
            "wall_s": wall,
            "load": load,
            "others": max(0.0, others),
            "server_cpu_s": server_cpu,
            **{name: job[name] for name in ("tokens", "streams", "limit") if name in job},
            "result": result,
        }
        if scenario.paced_ms:
            with suppress(OSError):
                record["server_late"] = lateness_ms(server.report(), scenario.paced_ms)
        say(f"    {scenario.name} {key} #{repeat + 1}: {summary(result)}")
        return record

    def _rate(self, scenario: Scenario, key: str, size: Size) -> float:
        """How many tokens a second a client reads, roughly; this also warms what is cached between processes."""
        known = self._rates.get((scenario.name, key))
        if known is None:
            url = self._servers[scenario.server].url
            result, _ = self._run(key, {**calibration(size), "client": key, "url": url})
            known = self._rates[scenario.name, key] = float(result.get("rate", 100.0))
            # Once more at full size, because the server prepares an answer at the first request for it.
            self._run(key, {**scenario.job(key, known), "client": key, "url": url, "seconds": 0.0})
        return known

    def _run(self, key: str, job: Job) -> tuple[dict[str, Any], float]:
        """Runs a job in its own process. Returns its result, and the processor time of the process."""
        out = WORK / "result.json"
        out.unlink(missing_ok=True)
        client = {**CLIENTS, **FLOORS}[key]
        command = [str(self._environments.python(client.environment)), str(MEASURE), json.dumps(job), str(out)]
        status, spent, tail = spawn(command, PATIENCE + job.get("limit", 0.0))
        if out.exists():
            return json.loads(out.read_text()), spent
        return {"error": f"no result, {status}: {tail}"}, spent

    def _import(self, key: str) -> tuple[dict[str, Any], float]:
        """The cost of importing a client: the median of several imports, because a single one is noisy."""
        until, took = time.monotonic() + IMPORT_SECONDS, [self._import_once(key)]
        while len(took) < IMPORTS and time.monotonic() < until:
            took.append(self._import_once(key))
        took.sort(key=lambda once: float(once[0].get("import_ms", 0.0)))
        return took[len(took) // 2][0], sum(spent for _, spent in took)

    def _import_once(self, key: str) -> tuple[dict[str, Any], float]:
        """The cost in an interpreter that has imported nothing else."""
        out = WORK / "import.txt"
        out.unlink(missing_ok=True)
        client = CLIENTS[key]
        code = IMPORT.format(imports=client.imports, out=str(out))
        status, spent, tail = spawn([str(self._environments.python(client.environment)), "-c", code], PATIENCE)
        if not out.exists():
            return {"error": f"no result, {status}: {tail}"}, spent
        took, rss, litellm = out.read_text().split()
        return {"import_ms": float(took), "rss_mb": float(rss), "loads_litellm": litellm == "True"}, spent


def spawn(command: list[str], seconds: float) -> tuple[str, float, str]:
    """Runs a process with a time limit. Returns its exit status, its processor time, and its last lines of output."""
    log = WORK / "log.txt"
    with log.open("w") as words:
        # Its own process group, so that its child processes can be ended too.
        process = subprocess.Popen(
            command,
            cwd=WORK,
            env=environ(),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
    ended = False
    handle = os.pidfd_open(process.pid)
    try:
        ended = bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    how = f"exit status {process.returncode}" if ended else f"ended after {seconds:.0f} s"
    return how, usage.ru_utime + usage.ru_stime, log.read_text(errors="replace").strip()[-300:]


def busy_seconds() -> float:
    """Processor time that the machine spent on anything since it started, on all cores."""
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def summary(result: dict[str, Any]) -> str:
    """The progress message for a result."""
    if "error" in result:
        return f"FAILED: {result['error']}"
    shown = ("rate", "cpu_us", "p50_us", "p90_us", "p50_ms", "p99_ms", "complete", "rss_mb", "import_ms", "unseen")
    return ", ".join(f"{name} {value:.4g}" for name in shown if (value := result.get(name)) is not None)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short repeat, into .bench/quick")
    parser.add_argument("--repeats", type=int, help="how often each measurement is made")
    parser.add_argument("--only", metavar="NAME,…", help="only these scenarios; the others keep the results they have")
    parser.add_argument("--before", metavar="COMMIT", help="also build headrace as it was then, and measure it beside")
    parser.add_argument("--clients", metavar="NAME,…", help="only these clients")
    parser.add_argument("--no-build", action="store_true", help="measure what was built and installed last")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report again")
    return parser.parse_args()


def main() -> None:
    """Runs everything."""
    options = arguments()
    size = QUICK if options.quick else FULL
    if options.repeats:
        size = replace(size, repeats=options.repeats)
    environments = Environments()
    if not options.report:
        environments.install_peers()
        if not options.no_build:
            environments.install_headrace()
            environments.install_earlier(options.before)
    if Path(sys.prefix) != BENCH / "venv":
        # The rest needs matplotlib, which is there.
        rest = ["--no-build", *sys.argv[1:]]
        os.execve(environments.python(), [str(environments.python()), str(HERE / "run.py"), *rest], environ())
    raw = BENCH / ("quick" if options.quick else "full")
    raw.mkdir(parents=True, exist_ok=True)
    WORK.mkdir(parents=True, exist_ok=True)
    if not options.report:
        sit(environments, size, raw, options.only, options.clients)
    import report  # here, because it needs matplotlib

    written = report.write(raw, raw if options.quick else HERE)
    say(f"written: {written}")


def sit(environments: Environments, size: Size, raw: Path, only: str | None, clients: str | None) -> None:
    """Measures."""
    scenarios = [scenario for scenario in plan(size) if only is None or scenario.name in only.split(",")]
    if clients is not None:
        asked = clients.split(",")
        scenarios = [
            replace(scenario, clients=tuple(client for client in scenario.clients if client in asked))
            for scenario in scenarios
        ]
        scenarios = [scenario for scenario in scenarios if scenario.clients]
    if not scenarios:
        raise SystemExit(f"no such scenario; there are {', '.join(scenario.name for scenario in plan(size))}")
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sitting = {
        "machine": machine(),
        "versions": environments.versions(),
        "missing": environments.missing,
        "repeats": size.repeats,
        "files": hard,
    }
    (raw / "sitting.json").write_text(json.dumps(sitting))
    # A signal to stop also ends the current measurement.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name, script in scripts().items():
            path = WORK / f"{name}.json"
            path.write_text(json.dumps(script))
            servers[name] = Server.simulator(SIMULATOR, path)
            stack.callback(servers[name].stop)
        servers["other"] = Server.other()
        stack.callback(servers["other"].stop)
        session = Sitting(environments, servers, raw)
        for scenario in scenarios:
            session.measure(scenario, size)


if __name__ == "__main__":
    main()
