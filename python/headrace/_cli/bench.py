"""``headrace bench`` and ``headrace truth``."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from headrace import bench
from headrace._agent.terminal import printable
from headrace.errors import ConfigurationError
from headrace.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

__all__ = ["json_values", "milliseconds", "pairs", "serve_truth", "show_bench"]


def show_bench(target: str, options: dict[str, Any], as_json: Path | None, per_request: Path | None) -> int:
    """Measures a target, and prints the report.

    Args:
        target: The target of :func:`headrace.bench.run`.
        options: Its options.
        as_json: A file for the report as JSON; None for none.
        per_request: A file for a line of JSON about each request; None for none.

    Returns:
        The exit code.
    """
    with _progress(sys.stderr, options.get("requests")) as progress:
        report = bench.run(target, progress=progress, **options)
    print(printable(report.to_text(), sys.stdout))
    if as_json is not None:
        as_json.write_text(report.to_json() + "\n", encoding="utf-8")
    if per_request is not None:
        lines = (json.dumps(record) + "\n" for record in report.measured.records)
        per_request.write_text("".join(lines), encoding="utf-8")
    return report.exit_code


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Parses ``name=value``.

    Raises:
        ConfigurationError: One has no ``=``.
    """
    for each in given:
        if "=" not in each:
            raise ConfigurationError(f"{option} needs name=value, not {each!r}")
    return dict(each.split("=", 1) for each in given)


def json_values(given: Mapping[str, str], option: str) -> dict[str, Any]:
    """Parses values as JSON.

    Raises:
        ConfigurationError: One is not JSON.
    """
    try:
        return {name: json.loads(value) for name, value in given.items()}
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{option} needs name=JSON, such as temperature=0.5: {error}") from None


def milliseconds(given: Mapping[str, str], option: str) -> dict[str, float]:
    """Parses values as milliseconds.

    Returns:
        The values in seconds.

    Raises:
        ConfigurationError: One is not a number above zero.
    """
    seconds = dict[str, float]()
    for name, value in given.items():
        try:
            seconds[name] = float(value.removesuffix("ms")) / 1e3
        except ValueError:
            seconds[name] = 0.0
        if not 0 < seconds[name] < float("inf"):
            raise ConfigurationError(f"{option} needs milliseconds above zero, such as {name}=200, not {value!r}")
    return seconds


@contextmanager
def _progress(out: TextIO, requests: int | None) -> Generator[Callable[[int, int, int], object] | None]:
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

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=out), transient=True) as shown:
        task = shown.add_task("warm-up and own error", total=requests)

        def update(sent: int, done: int, failed: int) -> None:
            description = f"{sent - done} open, {failed} failed"
            shown.update(task, description=description, completed=done)

        yield update


def serve_truth(first_ms: float, interval_ms: float, tokens: int, port: int, *, until_stdin_closes: bool) -> None:
    """Serves stamped answers until Ctrl-C, SIGTERM, or the end of standard input if that is asked for.

    Args:
        first_ms: From a request to its first token, in milliseconds.
        interval_ms: From one token to the next.
        tokens: How many tokens an answer has.
        port: The port; 0 for any free one.
        until_stdin_closes: Whether to stop at the end of standard input.
    """
    import signal
    import threading

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    turn = {"text": ["0 "] * tokens}
    pacing = {"mode": "steady", "first_ms": first_ms, "interval_ms": interval_ms}
    with (
        suppress(KeyboardInterrupt),
        Simulator(port=port, turns=[turn], stamp=True, pacing=pacing) as simulator,
    ):
        print(simulator.base_url, flush=True)
        if until_stdin_closes:
            sys.stdin.read()
        else:
            threading.Event().wait()
