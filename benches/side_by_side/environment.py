"""The environments: headrace as a wheel of this tree, its simulator, and the peers, all in ``.bench``.

The peers' versions are pinned in ``constraints/``. Two of them have their own environments, because they need versions
that conflict with the others': litellm needs the openai SDK below 3, swarms needs one old version of litellm.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from clients import CLIENTS, QUIET

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BENCH = ROOT / ".bench"
WORK = BENCH / "work"
MISSING = BENCH / "missing.json"
SIMULATOR = BENCH / "headrace-simulator"
DEPENDENCIES = ("docstring-parser", "pydantic", "rich", "typer", "typing-extensions")  # headrace's, except litellm
TOOLS = ("matplotlib", "maturin", "uvloop")  # for the plots, the wheel, and the second server
EARLIER = "venv-before"  # the environment of an earlier build of headrace
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


class Environments:
    """The virtual environments, and which clients could not be installed.

    Attributes:
        missing: The reason why a client cannot run, by the client's key.
    """

    def __init__(self) -> None:
        self.missing: dict[str, str] = json.loads(MISSING.read_text()) if MISSING.exists() else {}

    def python(self, environment: str = "venv") -> Path:
        """The interpreter of an environment."""
        return BENCH / environment / "bin" / "python"

    def install_peers(self) -> None:
        """Installs all peers. For those that cannot be installed, records the reason."""
        BENCH.mkdir(exist_ok=True)
        for name in dict.fromkeys(client.environment for client in CLIENTS.values() if client.environment != EARLIER):
            clients = [client for client in CLIENTS.values() if client.environment == name]
            packages = {package for client in clients for package in client.packages} - {"headrace"}
            tools = set(TOOLS) if name == "venv" else set()
            pins = HERE / "constraints" / f"{name}.txt"
            wanted = "\n".join(sorted(packages | tools)) + "\n" + pins.read_text()
            mark = BENCH / name / "installed.txt"
            if mark.exists() and mark.read_text() == wanted:
                continue
            say(f"installing {', '.join(sorted(packages))} into .bench/{name}")
            shutil.rmtree(BENCH / name, ignore_errors=True)
            run([base_python(), "-m", "venv", str(BENCH / name)])
            self.missing = {key: why for key, why in self.missing.items() if CLIENTS[key].environment != name}
            if self._pip(name, pins, *sorted(packages | tools)) is None:
                mark.write_text(wanted)
                continue
            # If one cannot be installed, the others are measured.
            for tool in sorted(tools):
                self._pip(name, pins, tool)
            for client in clients:
                packages = set(client.packages) - {"headrace"}
                problem = self._pip(name, pins, *sorted(packages)) if packages else None
                if problem is not None:
                    self.missing[client.key] = f"cannot be installed: {problem}"
        MISSING.write_text(json.dumps(self.missing))

    def install_headrace(self) -> None:
        """Builds the simulator and headrace from the tree, as `pip install` would, and installs it."""
        say("building headrace and its simulator (release)")
        # Its own target folder: in that of `make`, the two interpreters would cause each other's rebuilds.
        target = BENCH / "target"
        build = {**environ(), "CARGO_TARGET_DIR": str(target)}
        run(["cargo", "build", "--locked", "--release", "--quiet", "-p", "headrace-simulator"], cwd=ROOT, env=build)
        shutil.copy2(target / "release" / "headrace-simulator", SIMULATOR)
        wheels = BENCH / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        self._install_wheel(ROOT, wheels, build, "venv")

    def install_earlier(self, commit: str | None) -> None:
        """Builds an earlier headrace, which is then measured beside this tree's. None: there is none."""
        python = BENCH / EARLIER / "bin" / "python"
        if commit is not None:
            say(f"building headrace as it was at {commit}")
            tree = BENCH / "before"
            if tree.exists():
                run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT)
            run(["git", "worktree", "add", "--quiet", "--detach", str(tree), commit], cwd=ROOT)
            run([base_python(), "-m", "venv", str(BENCH / EARLIER)])
            build = {**environ(), "CARGO_TARGET_DIR": str(BENCH / "target-before")}
            self._install_wheel(tree, BENCH / "wheels-before", build, EARLIER)
        for key, client in CLIENTS.items():
            if client.environment == EARLIER:
                self.missing.pop(key, None)
                if not python.exists():
                    self.missing[key] = "no earlier build was asked for (--before)"
        MISSING.write_text(json.dumps(self.missing))

    def _install_wheel(self, tree: Path, wheels: Path, build: dict[str, str], environment: str) -> None:
        """Builds headrace in a tree and installs it."""
        maturin = [str(self.python()), "-m", "maturin", "build", "--release", "--locked", "--quiet"]
        run([*maturin, "--interpreter", str(self.python()), "--out", str(wheels)], cwd=tree, env=build)
        [wheel] = wheels.glob("*.whl")
        pins = HERE / "constraints" / "venv.txt"
        problem = self._pip(environment, pins, "--force-reinstall", "--no-deps", str(wheel))
        # Without litellm, which needs another openai SDK than the peers. Nothing measured here imports it.
        problem = problem or self._pip(environment, pins, *DEPENDENCIES)
        if problem is not None:
            raise SystemExit(f"headrace cannot be installed: {problem}")

    def versions(self) -> dict[str, dict[str, str]]:
        """The installed versions, by environment."""
        return {
            name: {
                package["name"].lower(): package["version"]
                for package in json.loads(
                    output([str(self.python(name)), "-m", "pip", "list", "--format", "json", *QUIETLY])
                )
            }
            for name in dict.fromkeys(client.environment for client in CLIENTS.values())
            if self.python(name).exists()
        }

    def _pip(self, environment: str, pins: Path, *arguments: str) -> str | None:
        """Runs pip install. Returns the error, if there was one."""
        command = [str(self.python(environment)), "-m", "pip", "install", "--quiet", *QUIETLY, "-c", str(pins)]
        done = subprocess.run([*command, *arguments], env=environ(), capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1][:300]


QUIETLY = ("--disable-pip-version-check",)


def base_python() -> str:
    """The interpreter that made this virtual environment; without one, this interpreter."""
    return str(getattr(sys, "_base_executable", sys.executable))


def environ() -> dict[str, str]:
    """The environment variables of all subprocesses: without proxies, and without the constraints of `make`."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in PROXIES | {"pip_constraint"}}
    return {**kept, **QUIET, "WORKSPACE_DIR": str(WORK)}


def machine() -> dict[str, str]:
    """A description of the machine."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")), platform.machine())
    megahertz = next((line.split(":")[1].strip() for line in cpuinfo if line.startswith("cpu MHz")), "?")
    total = next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    return {
        "processor": f"{model}, {os.cpu_count()} cores, {float(megahertz):.0f} MHz",
        "memory": f"{int(total) / 1024**2:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.freedesktop_os_release()['PRETTY_NAME']}",
        "python": platform.python_version(),
        "rustc": output(["rustc", "--version"]).strip(),
        "headrace": extension_hash(),
        "before": earlier_build(),
    }


def extension_hash() -> str:
    """The hash of the wheel, to identify the build."""
    [wheel] = (BENCH / "wheels").glob("*.whl")
    return f"{wheel.name}, sha256 {hashlib.sha256(wheel.read_bytes()).hexdigest()[:12]}…"


def earlier_build() -> str:
    """The commit of the earlier build; empty if there is none."""
    tree = BENCH / "before"
    return output(["git", "-C", str(tree), "log", "-1", "--format=%h of %cs"]).strip() if tree.exists() else ""


def run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Runs a command that must succeed."""
    subprocess.run(command, cwd=cwd, env=env or environ(), check=True)


def output(command: list[str]) -> str:
    """Runs a command and returns its output."""
    return subprocess.run(command, env=environ(), check=True, capture_output=True, text=True).stdout


def say(message: str) -> None:
    """Prints a progress message."""
    print(message, flush=True)
