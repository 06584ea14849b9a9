"""Several measured loads as one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from .loads import Measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .loads import Load

__all__ = ["in_a_row", "side_by_side"]

_SPANS: Final = frozenset({"longest_gap_ns", "read_lag_ns", "tools_ns", "tool_ns", "phases_ns"})
"""Members of a record that end as points in time do, but are none."""


def in_a_row(runs: Sequence[Measured]) -> Measured:
    """Several runs of one load as one: each begins where the one before ended."""
    shifted, at = list[dict[str, Any]](), 0
    for run in runs:
        shifted.append(_shifted(run.tally, at - run.tally["began_ns"]))
        at = shifted[-1]["ended_ns"]
    cpu, wall = sum(run.cpu_seconds for run in runs), sum(run.wall_seconds for run in runs)
    return Measured(runs[0].load, _joined(shifted), cpu, wall)


def side_by_side(parts: Sequence[Measured], load: Load, cpu_seconds: float) -> Measured:
    """Parts of one load that ran at the same time, on any machine: all begin at 0, since their clocks differ."""
    shifted = [_shifted(part.tally, -part.tally["began_ns"]) for part in parts]
    return Measured(load, _joined(shifted), cpu_seconds, max(part.wall_seconds for part in parts))


def _shifted(tally: Mapping[str, Any], by_ns: int) -> dict[str, Any]:
    """A tally whose points in time are moved."""
    points = {name for record in tally["records"][:1] for name in record if name.endswith("_ns")} - _SPANS
    records: list[dict[str, Any]] = [
        {**record, **{name: _moved(record[name], by_ns) for name in points}} for record in tally["records"]
    ]
    for record in records:
        turns: list[dict[str, Any]] = record.get("turns") or []
        if turns:
            record["turns"] = [{**turn, "opened_ns": turn["opened_ns"] + by_ns} for turn in turns]
    return {**tally, "records": records, "began_ns": tally["began_ns"] + by_ns, "ended_ns": tally["ended_ns"] + by_ns}


def _moved(at_ns: int | None, by_ns: int) -> int | None:
    return None if at_ns is None else at_ns + by_ns


def _joined(tallies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    records = [record for tally in tallies for record in tally["records"]]
    records.sort(key=lambda record: record["opened_ns"])
    joined: dict[str, Any] = {
        "began_ns": min(tally["began_ns"] for tally in tallies),
        "ended_ns": max(tally["ended_ns"] for tally in tallies),
        "records": [{**record, "index": index} for index, record in enumerate(records)],
    }
    for name in ("gaps", "token_gaps", "read_lags", "deliveries", "gap_errors"):
        counts = Counter[int]()
        for tally in tallies:
            counts.update({int(value): int(count) for value, count in tally[name]})
        joined[name] = sorted(counts.items())
    return joined
