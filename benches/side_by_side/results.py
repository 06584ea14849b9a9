"""The raw results of all measurements, with their medians, spread, and ratios within the same repeat."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from clients import CLIENTS
from floor import FLOORS

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {key: client.label for key, client in {**CLIENTS, **FLOORS}.items()}


@dataclass(frozen=True)
class Spread:
    """Some values of one quantity."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Their median."""
        return median(self.values)

    def text(self) -> str:
        """The median, and in brackets the least and the most."""
        if len(self.values) == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(min(self.values))}–{number(max(self.values))})"


def number(value: float) -> str:
    """A number with about three digits, as a person writes it."""
    for least, factor, unit in ((1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= least:
            return number(value / factor) + unit
    if value == round(value):
        return f"{value:.0f}"
    if abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


class Results:
    """Everything that was measured, by scenario and client, in the order of the repeats."""

    def __init__(self, raw: Path) -> None:
        self.sitting: dict[str, Any] = json.loads((raw / "sitting.json").read_text())
        self.records: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for path in sorted(raw.glob("*.jsonl")):
            clients = self.records[path.stem] = {}
            for line in path.read_text().splitlines():
                record = json.loads(line)
                clients.setdefault(record["client"], []).append(record)

    def of(self, scenario: str, client: str) -> list[dict[str, Any]]:
        """The records of a client in a scenario."""
        return self.records.get(scenario, {}).get(client, [])

    def spread(self, scenario: str, client: str, field: str) -> Spread | None:
        """One field of a client's results; None if there are none."""
        values = [record["result"].get(field) for record in self.of(scenario, client)]
        there = tuple(float(value) for value in values if value is not None)
        return Spread(there) if there else None

    def ratio(self, scenario: str, field: str, over: str, under: str) -> Spread | None:
        """The ratio of two clients' fields, computed within each repeat, so that disturbances of both cancel out."""
        pairs = zip(self.of(scenario, over), self.of(scenario, under), strict=False)
        values = [(a["result"].get(field), b["result"].get(field)) for a, b in pairs]
        there = tuple(a / b for a, b in values if a is not None and b)
        return Spread(there) if there else None

    def problems(self, scenario: str, client: str) -> list[str]:
        """The errors of a client, each only once."""
        found = []
        for record in self.of(scenario, client):
            result = record["result"]
            if "error" in result:
                found.append(result["error"])
            found += list(result.get("errors", {}))
        return list(dict.fromkeys(found))

    def others(self, scenario: str) -> Spread:
        """The share of the processors that other processes used, in per cent."""
        return Spread(tuple(r["others"] * 100 for records in self.records[scenario].values() for r in records))
