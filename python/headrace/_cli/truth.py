"""``headrace truth``."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from headrace import bench
from headrace._bench.truth import stamps_in
from headrace.testing import Simulator

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["serve_truth", "show_check"]


def serve_truth(
    first_ms: float, interval_ms: float, tokens: int, port: int, stamps: Path | None, *, until_stdin_closes: bool
) -> None:
    """Serves stamped answers until Ctrl-C, SIGTERM, or the end of standard input if that is asked for.

    Args:
        first_ms: From a request to its first token, in milliseconds.
        interval_ms: From one token to the next.
        tokens: How many tokens an answer has.
        port: The port; 0 for any free one.
        stamps: A file for the times of all writes, a line of JSON for each answer; None for none.
        until_stdin_closes: Whether to stop at the end of standard input.
    """
    import signal
    import threading

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    turn = {"text": ["0 "] * tokens}
    pacing = {"mode": "steady", "first_ms": first_ms, "interval_ms": interval_ms}
    with Simulator(port=port, turns=[turn], stamp=True, pacing=pacing) as simulator:
        with suppress(KeyboardInterrupt):
            print(simulator.base_url, flush=True)
            if until_stdin_closes:
                sys.stdin.read()
            else:
                threading.Event().wait()
        if stamps is not None:
            _write(simulator.report(), stamps)


def _write(report: dict[str, Any], stamps: Path) -> None:
    stamps.write_text("".join(json.dumps(answer) + "\n" for answer in stamps_in(report)), encoding="utf-8")
    left_out = report["requests_seen"] - len(report["requests"])
    if left_out:
        print(f"headrace: the stamps of the first {left_out} requests are not kept", file=sys.stderr)


def show_check(stamps: Path, report: Path, *, as_json: bool) -> None:
    """Prints how far a tool's report is from the stamps.

    Args:
        stamps: The file of the stamps.
        report: The tool's report.
        as_json: Whether to print JSON.
    """
    check = bench.check_report(stamps, report)
    print(json.dumps(check.to_dict()) if as_json else check.to_text())
