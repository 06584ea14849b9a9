"""Installs each wheel in an empty environment of its interpreter, and uses it as a new user would.

``make test-pythons`` runs ``run.py FOLDER PYTHON…``. For each interpreter: the time and size of the installation, the
quickstart, and the Python tests that need nothing but pytest and hypothesis.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
SUITE = ("agent", "run", "loop", "tools", "conversation", "wire", "compat")
NEEDED = ("pytest>=9.1", "pytest-timeout", "pytest-xdist", "hypothesis", "pillow")

QUICKSTART = """
import asyncio, sys
from headrace import Agent
from headrace.testing import Simulator

with Simulator(turns=[{"text": ["Hello", ", world."]}]) as simulator:
    agent = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, print_on=False)
    assert list(agent.run_stream("Say hello.")) == ["Hello", ", world."]

    async def main():
        return [token async for token in agent.arun_stream("Say hello.")]

    assert asyncio.run(main()) == ["Hello", ", world."]
    assert "litellm" not in sys.modules
print("quickstart fine on", sys.version.split()[0])
"""


def main() -> int:
    """Tries every interpreter; returns how many failed."""
    folder, *pythons = sys.argv[1:]
    failed = 0
    for python in pythons or [sys.executable]:
        tag = output([python, "-c", "import sys; print(f'cp{sys.version_info[0]}{sys.version_info[1]}')"]).strip()
        wheels = sorted(Path(folder).glob(f"headrace-*-{tag}-{tag}-*.whl"))
        if not wheels:
            print(f"{tag}: there is no wheel", file=sys.stderr)
            failed += 1
            continue
        failed += not is_fine(python, wheels[-1])
    return failed


def is_fine(python: str, wheel: Path) -> bool:
    """Whether a wheel does what it should."""
    with tempfile.TemporaryDirectory() as home:
        environment = Path(home, "env")
        subprocess.run([python, "-m", "venv", str(environment)], check=True)
        own = str(environment / "bin" / "python")
        began = time.monotonic()
        subprocess.run([own, "-m", "pip", "install", "--quiet", "--no-compile", str(wheel)], check=True)
        took = time.monotonic() - began
        size = sum(file.stat().st_size for file in environment.rglob("*") if file.is_file()) / 1e6
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB; installed in {took:.0f} s, {size:.0f} MB with all")
        if subprocess.run([own, "-c", QUICKSTART], check=False, cwd=home).returncode:
            return False
        subprocess.run([own, "-m", "pip", "install", "--quiet", *NEEDED], check=True)
        suite = [str(TESTS / name) for name in SUITE]
        options = ["-q", "-n", "auto", "--import-mode=importlib", "-p", "no:cacheprovider", "-o", "addopts="]
        return subprocess.run([own, "-m", "pytest", *options, *suite], check=False, cwd=TESTS.parent).returncode == 0


def output(command: list[str]) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
