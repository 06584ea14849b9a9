"""The report of a load, in all its forms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import ConfigurationError

from . import html, text
from .findings import Findings, Limit
from .joining import in_a_row
from .metrics import summary
from .verdict import verdict_on

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from .loads import Measured
    from .self_error import SelfError

__all__ = ["Report", "report_on"]


@dataclass(frozen=True)
class Report(Findings):
    """What was measured, and how far it can be trusted, as text, HTML, JSON and CSV."""

    def to_text(self) -> str:
        """The report as a page of text, durations in milliseconds."""
        return text.of_report(self)

    def to_csv(self) -> str:
        """A line for each request, with its metrics in milliseconds; for a spreadsheet or a data frame."""
        return text.csv_of_report(self)

    def to_html(self) -> str:
        """The report as one HTML file that needs nothing else."""
        return html.page_of_report(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the report as JSON, HTML or CSV, by the end of the file's name.

        Raises:
            ConfigurationError: The name has another end.
        """
        forms = {".json": self.to_json, ".html": self.to_html, ".csv": self.to_csv}
        form = forms.get(Path(path).suffix)
        if form is None:
            raise ConfigurationError(f"a report is saved as .json, .html or .csv, not as {str(path)!r}")
        Path(path).write_text(form(), encoding="utf-8")

    def _repr_html_(self) -> str:
        """The report in a notebook."""
        return html.fragment_of_report(self)


def report_on(
    target: str,
    model: str,
    runs: Sequence[Measured],
    error: SelfError | None,
    limits: tuple[Limit, ...],
    max_error_rate: float,
    stall_after: float | None = None,
) -> Report:
    """The report on one run, or on several of the same load, one after the other."""
    measured = runs[0] if len(runs) == 1 else in_a_row(runs)
    metrics = summary(measured)
    verdict = verdict_on(measured, metrics, error, max_error_rate)
    repeats = tuple(map(summary, runs)) if len(runs) > 1 else ()
    return Report(target, model, verdict, metrics, error, measured, limits, max_error_rate, repeats, stall_after)
