"""Whether one report is faster than another, or whether that cannot be told."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from headrace.errors import ConfigurationError

from .foreign import Figures, figures_of, read_figures
from .metrics import DEFINITIONS
from .report import Report
from .statistics import resampled, student
from .text import load_in_words, shown_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from .statistics import Interval

__all__ = ["Change", "Comparison", "Outcome", "Rule", "compare"]

Outcome: TypeAlias = Literal["faster", "slower", "within noise", "not tested"]
"""What can be said of a change."""

_SHOWN: Final = ("mean", "p50", "p90", "p99")
_UNSHOWN: Final = frozenset({"lag", "read_lag"})
_TAIL: Final = 0.025
_UNITS: Final = {"%": 0.01, "ms": 1e-3, "s": 1.0, "": 1.0}
_LEGEND: Final = (
    "Times are in ms. Within noise is what an interval says that contains 0, and what is not above the clients' own",
    "errors. The intervals are over the repeats of both reports (Welch), else by resampling each report's requests.",
)
_RULE: Final = re.compile(r"\s*([a-z0-9_]+)\s*([<>])\s*([+-]?)\s*([0-9.]+)\s*(%|ms|s|)\s*")


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure changed from one report to the other.

    Attributes:
        metric: The metric, or a rate such as ``"requests_per_s"``.
        figure: The percentile or ``"mean"``; empty for a rate.
        before: The figure of the first report: in seconds, or a second.
        after: That of the second report.
        interval: Where the relative change is with 95 % confidence; None if that cannot be told.
        outcome: ``"faster"`` and ``"slower"`` only if the interval does not contain 0, and the change is larger than
            the clients' own errors.
    """

    metric: str
    figure: str
    before: float
    after: float
    interval: Interval | None
    outcome: Outcome

    @property
    def name(self) -> str:
        """Such as ``ttft_p99``."""
        return f"{self.metric}_{self.figure}" if self.figure else self.metric

    @property
    def relative(self) -> float:
        """The change as a share of the first figure."""
        if self.before:
            return self.after / self.before - 1
        return math.inf if self.after else 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What must not be: ``ttft_p99 > +5%``, ``ttft_p99 > +10ms``, ``ttft_p99 > 200ms``, ``requests_per_s < -5%``.

    With a sign it is about the change, and holds only if the change is not within noise; without, about the second
    report.

    Attributes:
        text: The rule as it was written.
        name: The figure.
        above: Whether more is too much, or less too little.
        amount: How much: a share, seconds, or a rate.
        is_change: Whether it is about the change.
        is_share: Whether it is about the relative change.
    """

    text: str
    name: str
    above: bool
    amount: float
    is_change: bool
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Parses a rule.

        Raises:
            ConfigurationError: It has another form.
        """
        found = _RULE.fullmatch(text)
        if found is None or (found[5] == "%" and not found[3] and found[1] != "goodput"):
            raise ConfigurationError(
                f"a rule is such as 'ttft_p99 > +5%', 'ttft_p99 > 200ms' or 'requests_per_s < -5%', not {text!r}"
            )
        amount = float(found[4]) * _UNITS[found[5]]
        signed = -amount if found[3] == "-" else amount
        return cls(text, found[1], found[2] == ">", signed, bool(found[3]), bool(found[3]) and found[5] == "%")

    def is_broken_by(self, change: Change) -> bool:
        """Whether a change is what must not be."""
        if not self.is_change:
            return self._exceeds(change.after)
        if change.outcome == "within noise":
            return False
        return self._exceeds(change.relative if self.is_share else change.after - change.before)

    def _exceeds(self, value: float) -> bool:
        return value > self.amount if self.above else value < self.amount


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports side by side.

    Attributes:
        before: The first report.
        after: The second.
        changes: How each figure that both have changed.
        broken: The rules that are broken.
        problems: Why a report is not valid.
        notes: What differs between the reports besides their figures.
    """

    before: Figures
    after: Figures
    changes: tuple[Change, ...]
    broken: tuple[Rule, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if no rule is broken, 1 if one is, 2 if a report is not valid."""
        if self.problems:
            return 2
        return 1 if self.broken else 0

    def to_dict(self) -> dict[str, Any]:
        """The comparison as a dict of plain values."""
        return {
            "tools": [self.before.tool, self.after.tool],
            "changes": [{**asdict(change), "relative": change.relative} for change in self.changes],
            "broken": [rule.text for rule in self.broken],
            "problems": list(self.problems),
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """The comparison as a table."""
        counts = (f"{each.tool}: {each.complete} complete, {each.failed} failed" for each in (self.before, self.after))
        lines = [f"not valid: {problem}" for problem in self.problems]
        lines += [f"note: {note}" for note in self.notes]
        lines += [
            "; ".join(counts),
            "",
            f"{'':<22}{'before':>11}{'after':>11}{'change':>9}   95 %               outcome",
        ]
        lines += [_line(change) for change in self.changes if _is_shown(change, self.after)]
        lines += ["", *_LEGEND]
        lines += [f"Broken: {rule.text}" for rule in self.broken]
        return "\n".join(lines)


def compare(
    before: Report | str | PathLike[str], after: Report | str | PathLike[str], fail_if: Sequence[str] = ()
) -> Comparison:
    """Compares two reports.

    Args:
        before: A report, or a file: ours, or that of vllm, sglang, guidellm or aiperf.
        after: The same.
        fail_if: Rules that must not hold, such as ``"ttft_p99 > +5%"``.

    Returns:
        The comparison.

    Raises:
        ConfigurationError: A file cannot be read; a rule has another form, or is of a figure that is not in both.
    """
    first, second = _figures(before), _figures(after)
    changes = tuple(_changes(first, second))
    broken = list[Rule]()
    named = {change.name: change for change in changes}
    for rule in map(Rule.parse, fail_if):
        if rule.name not in named:
            raise ConfigurationError(f"no {rule.name!r} in both reports; there are {', '.join(named) or 'none'}")
        if rule.is_broken_by(named[rule.name]):
            broken.append(rule)
    problems = (*_problems("the first report", first), *_problems("the second report", second))
    return Comparison(first, second, changes, tuple(broken), problems, tuple(_notes(first, second)))


def _figures(given: Report | str | PathLike[str]) -> Figures:
    return figures_of(given) if isinstance(given, Report) else read_figures(Path(given))


def _problems(name: str, figures: Figures) -> list[str]:
    if not figures.complete:
        return [f"{name} has no complete request"]
    report = figures.report
    if report is not None and report.verdict.kind != "valid":
        return [f"{name} is {report.verdict.kind}: {report.verdict.reason}"]
    return []


def _notes(before: Figures, after: Figures) -> list[str]:
    if before.report is None or after.report is None:
        return [] if before.tool == after.tool else ["two tools may mean different things by one name"]
    loads = [load_in_words(each.report.measured.load) for each in (before, after) if each.report is not None]
    models = {each.report.model for each in (before, after) if each.report is not None}
    notes = [] if len(set(loads)) == 1 else [f"the loads differ: {loads[0]}; {loads[1]}"]
    return notes if len(models) == 1 else [*notes, f"the models differ: {', '.join(sorted(models))}"]


def _is_shown(change: Change, after: Figures) -> bool:
    """All is in :meth:`Comparison.to_dict`; people see each figure once."""
    if not change.figure:
        return True
    is_own = after.report is None or change.metric in shown_metrics(after.report)
    return is_own and change.figure in _SHOWN and change.metric not in _UNSHOWN


def _changes(before: Figures, after: Figures) -> list[Change]:
    keys = [(metric, figure) for metric in DEFINITIONS for figure in (*_SHOWN, "p95", "max")]
    changes = [
        _change(before, after, metric, figure)
        for metric, figure in keys
        if (metric, figure) in before.seconds and (metric, figure) in after.seconds
    ]
    return [*changes, *(_rate_change(before, after, name) for name in before.rates if name in after.rates)]


def _change(before: Figures, after: Figures, metric: str, figure: str) -> Change:
    first, second = before.seconds[metric, figure], after.seconds[metric, figure]
    interval = _of_repeats(before, after, metric, figure) or _of_requests(before, after, metric, figure)
    outcome: Outcome
    if interval is None:
        outcome = "not tested"
    elif interval[0] <= 0 <= interval[1] or abs(second - first) <= _own_errors(before, after, metric, figure):
        outcome = "within noise"
    else:
        outcome = "slower" if second > first else "faster"
    return Change(metric, figure, first, second, interval, outcome)


def _rate_change(before: Figures, after: Figures, name: str) -> Change:
    # A run has one rate, so there is nothing to test it with.
    return Change(name, "", before.rates[name], after.rates[name], None, "not tested")


def _own_errors(before: Figures, after: Figures, metric: str, figure: str) -> float:
    errors = [each.report.own_error(metric) for each in (before, after) if each.report is not None]
    return max((getattr(error, figure) for error in errors if error is not None), default=0.0)


def _of_repeats(before: Figures, after: Figures, metric: str, figure: str) -> Interval | None:
    """By Welch's test over the runs of both reports; None if one of them has only one."""
    samples = [
        [getattr(run[metric], figure) for run in each.report.repeats if metric in run] if each.report else []
        for each in (before, after)
    ]
    if min(map(len, samples)) <= 1 or not fmean(samples[0]):
        return None
    shares = [variance(sample) / len(sample) for sample in samples]
    spread = math.sqrt(sum(shares))
    parts = sum(share**2 / (len(sample) - 1) for share, sample in zip(shares, samples, strict=True))
    degrees = sum(shares) ** 2 / parts if parts else 1e9
    base, difference = fmean(samples[0]), fmean(samples[1]) - fmean(samples[0])
    half = student(degrees) * spread
    return (difference - half) / base, (difference + half) / base


def _of_requests(before: Figures, after: Figures, metric: str, figure: str) -> Interval | None:
    """By resampling the requests of both reports (bootstrap of the ratio)."""
    if metric not in before.steps or metric not in after.steps:
        return None
    first = resampled(before.steps[metric], figure, before.complete, seed=1)
    second = resampled(after.steps[metric], figure, after.complete, seed=2)
    if first is None or second is None or not all(first):
        return None
    ratios = sorted(later / earlier - 1 for earlier, later in zip(first, second, strict=True))
    return ratios[int(_TAIL * len(ratios))], ratios[int((1 - _TAIL) * len(ratios)) - 1]


def _line(change: Change) -> str:
    scale = 1e3 if change.figure else 1.0
    interval = change.interval
    sure = "" if interval is None else f"{interval[0]:+.1%} to {interval[1]:+.1%}"
    return (
        f"{change.name:<22}{change.before * scale:>11.2f}{change.after * scale:>11.2f}{change.relative:>+9.1%}"
        f"   {sure:<19}{change.outcome}"
    )
