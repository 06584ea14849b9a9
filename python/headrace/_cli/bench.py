"""``headrace bench``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from headrace import bench
from headrace._agent.terminal import printable
from headrace._bench.arrivals import parse_profile
from headrace.errors import ConfigurationError, HeadraceError

from .references import load
from .values import json_values, milliseconds, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

__all__ = ["Outputs", "measure", "options_of", "show_comparison", "show_merged"]


class Outputs(NamedTuple):
    """The files that a report is written to; None for none."""

    as_json: Path | None
    html: Path | None
    csv: Path | None
    jsonl: Path | None

    def write(self, report: bench.Report | bench.Sweep) -> None:
        """Writes a report, or what a sweep has of it."""
        for path, form in ((self.as_json, "json"), (self.html, "html"), (self.csv, "csv")):
            if path is not None:
                text = getattr(report, f"to_{form}", None)
                if text is None:
                    raise ConfigurationError(f"a sweep has no {form}; --json has the reports of all loads")
                path.write_text(text(), encoding="utf-8")
        if self.jsonl is not None:
            if isinstance(report, bench.Sweep):
                raise ConfigurationError("a sweep has no JSON lines; --json has the reports of all loads")
            lines = (json.dumps(record) + "\n" for record in report.measured.records)
            self.jsonl.write_text("".join(lines), encoding="utf-8")


def options_of(
    given: dict[str, Any],
    headers: Sequence[str],
    parameters: Sequence[str],
    max_tokens: int | None,
    slos: Sequence[str],
    part: str | None,
) -> dict[str, Any]:
    """The options of :func:`headrace.bench.run`, from those of the command.

    Raises:
        ConfigurationError: One has another form.
    """
    members = json_values(pairs(parameters, "--parameter"), "--parameter")
    return {
        **given,
        "profile": None if given["profile"] is None else parse_profile(given["profile"]),
        "headers": pairs(headers, "--header"),
        "parameters": members if max_tokens is None else {**members, "max_tokens": max_tokens},
        "limits": milliseconds(pairs(slos, "--slo"), "--slo"),
        "part": None if part is None else _part(part),
    }


def _part(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise ConfigurationError(f"--part needs NUMBER/HOW MANY, such as 2/4, not {text!r}")
    return int(number) - 1, int(of)


def measure(
    target: str,
    options: dict[str, Any],
    outputs: Outputs,
    *,
    sweep: str | None,
    search: bool,
    processes: int,
    only_self_test: bool,
    is_worker: bool,
) -> int:
    """Measures a target, and prints the report.

    Args:
        target: A URL, a model, or ``module:agent``.
        options: The options of :func:`headrace.bench.run`.
        outputs: Files for the report.
        sweep: ``concurrency=1,2,4`` or ``rate=…``; None for one load.
        search: Whether to look for the highest load that meets the limits.
        processes: How many processes send the load.
        only_self_test: Whether to measure only the client's own error.
        is_worker: Whether it is one of several machines, so that a part and a file are needed.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: The options do not go together.
    """
    if is_worker and (options["part"] is None or outputs.as_json is None):
        raise ConfigurationError("a worker needs --part, such as 1/4, and --json for its report")
    if processes > 1:
        if sweep or only_self_test or options["part"] is not None:
            raise ConfigurationError("--processes does not go with --sweep, --selftest and --part")
        return _show(_in_processes(processes), outputs)
    asked = _asked(target)
    name = None if asked is target else target
    if sweep is not None:
        over, values = _loads(sweep)
        given = {key: value for key, value in options.items() if key not in ("concurrency", "rate")}
        with _progress(sys.stderr, options["requests"]) as progress:
            swept = bench.sweep(asked, over, values, search=search, progress=progress, name=name, **given)
        return _show(swept, outputs)
    if search:
        raise ConfigurationError("--search needs --sweep")
    if only_self_test:
        return _show_self_error(asked, options)
    with _progress(sys.stderr, options["requests"]) as progress:
        report = bench.run(asked, progress=progress, name=name, **options)
    return _show(report, outputs)


def _asked(target: str) -> Any:
    """The target itself; for ``module:agent``, the object."""
    is_object = ":" in target and "/" not in target
    return load(target, "the agent") if is_object else target


def _loads(sweep: str) -> tuple[str, list[float]]:
    over, _, values = sweep.partition("=")
    try:
        return over, [float(value) for value in values.split(",")]
    except ValueError:
        raise ConfigurationError(f"--sweep needs concurrency=1,2,4 or rate=10,20,40, not {sweep!r}") from None


def _show(report: bench.Report | bench.Sweep, outputs: Outputs) -> int:
    print(printable(report.to_text(), sys.stdout))
    outputs.write(report)
    return report.exit_code


def _show_self_error(target: Any, options: dict[str, Any]) -> int:
    error = bench.self_error(target, **options)
    print(f"{'ms':<10}{'p50':>10}{'p99':>10}")
    for name, figures in (("ttft", error.ttft), ("itl", error.itl), ("delivery", error.delivery)):
        if figures is not None:
            print(f"{name:<10}{figures.p50 * 1e3:>10.3f}{figures.p99 * 1e3:>10.3f}")
    print(f"This client, at this load, on this machine adds that at most; {error.requests} requests were compared.")
    return 0


def _in_processes(count: int) -> bench.Report:
    """The same command in several processes, each with a part of the load."""
    kept = _without(sys.argv[1:], ("--processes", "--json", "--html", "--csv", "--jsonl"))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.json") for number in range(1, count + 1)]
        commands = [
            [sys.executable, "-m", "headrace", *kept, "--part", f"{number}/{count}", "--json", str(file)]
            for number, file in enumerate(files, start=1)
        ]
        started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]  # noqa: S603 - our own
        for process in started:
            process.wait()
        missing = [file for file in files if not file.exists()]
        if missing:
            raise HeadraceError(f"{len(missing)} of {count} processes made no report; what they said is above")
        return bench.merge([bench.read_report(file) for file in files])


def _without(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    kept, at = list[str](), 0
    while at < len(arguments):
        name = arguments[at].partition("=")[0]
        if name in options:
            at += 1 if "=" in arguments[at] else 2
        else:
            kept.append(arguments[at])
            at += 1
    return kept


def show_comparison(before: Path, after: Path, fail_if: Sequence[str], *, as_json: bool) -> int:
    """Compares two reports, and prints what changed.

    Returns:
        The exit code.
    """
    comparison = bench.compare(before, after, fail_if)
    text = json.dumps(comparison.to_dict()) if as_json else comparison.to_text()
    print(printable(text, sys.stdout))
    return comparison.exit_code


def show_merged(parts: Sequence[Path], outputs: Outputs) -> int:
    """Merges reports, and prints the whole.

    Returns:
        The exit code.
    """
    return _show(bench.merge([bench.read_report(part) for part in parts]), outputs)


@contextmanager
def _progress(out: TextIO, requests: int | None) -> Generator[Callable[[bench.Snapshot], object] | None]:
    if not out.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=out), transient=True) as shown:
        task = shown.add_task("warm-up and own error", total=requests)

        def update(now: bench.Snapshot) -> None:
            shown.update(task, description=_in_a_line(now), completed=now.done)

        yield update


def _in_a_line(now: bench.Snapshot) -> str:
    failed = f", {now.failed} failed" if now.failed else ""
    times = ""
    if now.ttft_p50 is not None and now.ttft_p99 is not None:
        times = f", TTFT p50 {now.ttft_p50 * 1e3:.1f} p99 {now.ttft_p99 * 1e3:.1f} ms"
    return f"{now.sent - now.done} open{failed}{times}"
