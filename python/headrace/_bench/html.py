"""The report of a load as one HTML file: no scripts, nothing from the network."""

from __future__ import annotations

from html import escape
from itertools import accumulate, starmap
from typing import TYPE_CHECKING, Any, Final

from .charts import STYLE, Axis, Bar, Series, chart, lanes
from .metrics import DEFINITIONS, PHASES, steps_of
from .text import load_in_words, shown_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .findings import Findings
    from .metrics import Steps

__all__ = ["document", "fragment_of_report", "page_of_report", "section", "style"]

_POINTS: Final = 400
_DOTS: Final = 1200
_LANES: Final = 120
_BINS: Final = 40
_COLUMNS: Final = ("mean", "p50", "p90", "p95", "p99", "max")
_ERRORS: Final = 20

_PAGE: Final = """
body { background: var(--bg); color: var(--fg); font: 15px/1.5 system-ui, sans-serif; margin: 0; }
.hr { max-width: 1320px; margin: 0 auto; padding: 20px; color: var(--fg); background: var(--bg); }
.hr h1 { font-size: 20px; margin: 0 0 4px; } .hr h2 { font-size: 15px; margin: 0 0 8px; }
.hr .dim { color: var(--dim); } .hr .verdict { border-left: 5px solid var(--bad); padding: 8px 14px; margin: 14px 0;
  background: var(--card); } .hr .verdict.valid { border-color: var(--ok); }
.hr .facts { display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 12px 0 18px; }
.hr .facts div { min-width: 110px; } .hr .facts b { display: block; font-size: 17px; }
.hr .grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 18px; }
.hr .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; min-width: 0; }
.hr .scroll { overflow-x: auto; } .hr table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
.hr th, .hr td { text-align: right; padding: 4px 8px; border-bottom: 1px solid var(--line); white-space: nowrap; }
.hr th:first-child, .hr td:first-child { text-align: left; } .hr td.note { text-align: left; white-space: normal;
  min-width: 220px; color: var(--dim); } .hr .unsure { color: var(--bad); }
"""


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}{_PAGE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def style() -> str:
    """The style of a part of a page, which leaves the page itself as it is."""
    return STYLE + _PAGE.split("\n", 2)[2]


def section(title: str, body: str, note: str = "") -> str:
    """A card with a chart or a table; empty if its body is."""
    if not body:
        return ""
    below = f'<p class="dim">{escape(note)}</p>' if note else ""
    return f'<section class="card"><h2>{escape(title)}</h2><div class="scroll">{body}</div>{below}</section>'


def page_of_report(report: Findings) -> str:
    """The report as one HTML file that needs nothing else."""
    return document(f"{report.model}: {report.verdict.kind}", f'<main class="hr">{_body(report)}</main>')


def fragment_of_report(report: Findings) -> str:
    """The report as a part of a page, as a notebook shows it."""
    return f'<style>{style()}</style><div class="hr">{_body(report)}</div>'


def _body(report: Findings) -> str:
    charts = "".join(_charts(report))
    return "".join((*_head(report), section("Metrics, in ms", _table(report), _table_note(report)), _grid(charts)))


def _grid(charts: str) -> str:
    return f'<div class="grid2" style="margin-top: 18px">{charts}</div>'


def _head(report: Findings) -> Iterator[str]:
    verdict, rates = report.verdict, report.throughput
    yield f"<h1>{escape(report.model)}</h1><div class='dim'>{escape(report.target)}</div>"
    kind = " valid" if verdict.kind == "valid" else ""
    yield f'<div class="verdict{kind}"><b>{escape(verdict.kind)}</b>: {escape(verdict.reason)}</div>'
    states = ", ".join(f"{count} {state}" for state, count in report.requests.items())
    tokens = rates["output_tokens_per_s"]
    facts = {
        "load": load_in_words(report.measured.load),
        "reached at a time": f"{rates['reached_concurrency']:.1f}",
        "requests": states,
        "seconds": f"{rates['seconds']:.2f}",
        "requests/s": f"{rates['requests_per_s']:.2f}",
        "tokens/s": "not counted" if tokens is None else f"{tokens:.1f}",
        "chunks/s": f"{rates['chunks_per_s']:.1f}",
    }
    if report.goodput is not None:
        facts["goodput"] = f"{report.goodput:.1%}"
    if report.stalls is not None:
        facts[f"stalls > {report.stalls.after:.2f} s"] = str(report.stalls.count)
    yield f"<div class='facts'>{''.join(starmap(_fact, facts.items()))}</div>"
    for limit in report.missed:
        yield f"<p class='unsure'>Missed: {limit.metric}_{limit.percentile} ≤ {limit.seconds * 1e3:g} ms</p>"
    errors = list(report.errors.items())[:_ERRORS]
    if errors:
        rows = "".join(f"<tr><td>{escape(message)}</td><td>{count}</td></tr>" for message, count in errors)
        yield section("Failures", f"<table><tr><th>what</th><th>times</th></tr>{rows}</table>")


def _fact(name: str, value: str) -> str:
    return f"<div><span class='dim'>{escape(name)}</span><b>{escape(value)}</b></div>"


def _table(report: Findings) -> str:
    columns = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "".join(_row(report, name) for name in shown_metrics(report))
    return (
        f"<table><tr><th>metric</th>{columns}<th>95 % of p50</th><th>95 % of p99</th><th>own error p50, p99</th>"
        f"<th style='text-align: left'>definition</th></tr>{rows}</table>"
    )


def _row(report: Findings, name: str) -> str:
    figures, error = report.metrics[name], report.own_error(name)
    cells = "".join(
        f"<td>{getattr(figures, column) * 1e3:.2f}</td>"
        if report.is_known(name, column)
        else f"<td class='unsure'>{getattr(figures, column) * 1e3:.2f}&nbsp;?</td>"
        for column in _COLUMNS
    )
    sure = "".join(f"<td>{_interval(report, name, figure)}</td>" for figure in ("p50", "p99"))
    own = "" if error is None else f"{error.p50 * 1e3:.2f}, {error.p99 * 1e3:.2f}"
    return f"<tr><td>{name}</td>{cells}{sure}<td>{own}</td><td class='note'>{escape(DEFINITIONS[name])}</td></tr>"


def _interval(report: Findings, name: str, figure: str) -> str:
    interval = report.interval(name, figure)
    return "" if interval is None else f"{interval[0] * 1e3:.2f}–{interval[1] * 1e3:.2f}"


def _table_note(report: Findings) -> str:
    tokens = "the server's usage" if report.tokens_by == "usage" else "chunks: the server does not count tokens"
    counted = f"Tokens are counted by {tokens}."
    if report.self_error is None:
        return f"{counted} The client's own error was not measured."
    shape = report.self_error.shape
    return (
        f"{counted} Own error: this load against a server on this machine, {shape.first_ms:g} ms to the first of"
        f" {shape.tokens} tokens, {shape.interval_ms:g} ms from each to the next. ? marks what is not above it."
    )


def _charts(report: Findings) -> Iterator[str]:
    ms = Axis("ms", log=True)
    share = Axis("share of the requests", low=0.0)
    for name, whose in (("ttft", share), ("itl", Axis("share of the outputs", low=0.0))):
        steps = steps_of(report.measured, name)
        note = _error_note(report, name)
        yield section(f"{name.upper()}: how many are at most so long", chart(_cdf(name, steps), ms, whose), note)
        yield section(
            f"{name.upper()}: how often each occurs", chart(_bins(name, steps), ms, Axis("count", low=0.0, whole=True))
        )
    yield section("TTFT of each request, by when it was sent", _over_time(report))
    yield section("Requests that were open", _concurrency(report))
    yield section("Requests", _lanes(report), f"The first {_LANES} that were sent.")
    yield section("Phases and tools", _phases(report), "Seconds of each run.")


def _error_note(report: Findings, name: str) -> str:
    error = report.own_error(name)
    return (
        "" if error is None else f"The client adds at most {error.p50 * 1e3:.2f} ms (p50), {error.p99 * 1e3:.2f} (p99)."
    )


def _cdf(name: str, steps: Steps) -> list[Series]:
    if not steps:
        return []
    upto = list(accumulate(count for _, count in steps))
    picked = {min(len(steps) - 1, round(at * (len(steps) - 1) / _POINTS)) for at in range(_POINTS + 1)}
    points = [(steps[index][0] / 1e6, upto[index] / upto[-1]) for index in sorted(picked)]
    return [Series(name, points, "step")]


def _bins(name: str, steps: Steps) -> list[Series]:
    """A histogram whose bins are equally wide on a logarithmic axis."""
    positive = [(value / 1e6, count) for value, count in steps if value > 0]
    if not positive:
        return []
    low, high = positive[0][0], max(positive[-1][0], positive[0][0] * 1.01)
    factor = (high / low) ** (1 / _BINS)
    counts = [0] * _BINS
    at = 0
    for value, count in positive:
        while at < _BINS - 1 and value > low * factor ** (at + 1):
            at += 1
        counts[at] += count
    points = [(low * factor**number, float(count)) for number, count in enumerate(counts)]
    return [Series(name, [*points, (high, points[-1][1])], "step")]


def _over_time(report: Findings) -> str:
    began = report.measured.tally["began_ns"]
    points = [
        ((record["opened_ns"] - began) / 1e9, (record["first_output_ns"] - record["opened_ns"]) / 1e6)
        for record in _thinned(report.measured.complete, _DOTS)
        if record["first_output_ns"] is not None
    ]
    marks = list[tuple[float, str]]()
    if report.steady is not None and report.steady.found and report.steady.after:
        ordered = sorted(record["opened_ns"] for record in report.measured.complete)
        marks = [((ordered[report.steady.after] - began) / 1e9, "steady")]
    return chart([Series("ttft", points, "dots")], Axis("s", low=0.0), Axis("ms", low=0.0), marks=marks)


def _concurrency(report: Findings) -> str:
    began = report.measured.tally["began_ns"]
    changes = sorted(
        change for record in report.measured.records for change in ((record["opened_ns"], 1), (record["ended_ns"], -1))
    )
    levels = accumulate(change for _, change in changes)
    points = [((at - began) / 1e9, float(level)) for (at, _), level in zip(changes, levels, strict=True)]
    return chart(
        [Series("open", _thinned(points, 2 * _POINTS), "step")], Axis("s", low=0.0), Axis("open", low=0.0, whole=True)
    )


def _thinned(items: Sequence[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return list(items)
    return [items[at * len(items) // most] for at in range(most)]


def _lanes(report: Findings) -> str:
    began = report.measured.tally["began_ns"]
    rows = [(f"request {record['index']}", _bars(record, began)) for record in report.measured.records[:_LANES]]
    return lanes(rows, Axis("s", low=0.0), ("until the first output", "failed", "output"))


def _bars(record: Mapping[str, Any], began: int) -> list[Bar]:
    def seconds(at: int) -> float:
        return (at - began) / 1e9

    opened, first, ended = record["opened_ns"], record["first_output_ns"], record["ended_ns"]
    if record["state"] != "complete":
        return [Bar(seconds(opened), seconds(ended), 1, f"{record['state']}: {record['message']}")]
    if turns := record.get("turns"):
        return [bar for turn in turns for bar in _of_turn(turn, seconds)]
    if first is None:
        return [Bar(seconds(opened), seconds(ended), 0, "no output")]
    wait = f"{(first - opened) / 1e6:.1f} ms until the first output"
    return [
        Bar(seconds(opened), seconds(first), 0, wait),
        Bar(seconds(first), seconds(ended), 2, f"{(ended - first) / 1e6:.1f} ms of output"),
    ]


def _of_turn(turn: Mapping[str, Any], seconds: Any) -> Iterator[Bar]:
    opened, ended = turn["opened_ns"], turn["opened_ns"] + turn["e2e_ns"]
    first = opened + (turn["ttft_ns"] or turn["e2e_ns"])
    yield Bar(seconds(opened), seconds(first), 0, f"{(first - opened) / 1e6:.1f} ms until the first output of a turn")
    yield Bar(seconds(first), seconds(ended), 2, f"{(ended - first) / 1e6:.1f} ms of output")


def _phases(report: Findings) -> str:
    rows = list[tuple[str, list[Bar]]]()
    for record in report.measured.complete[:_LANES]:
        phases: Mapping[str, int] = record.get("phases_ns") or {}
        parts = {name: phases.get(name) for name in PHASES}
        parts["tools"] = record.get("tools_ns")
        bars, at = list[Bar](), 0.0
        for number, (name, spent) in enumerate(parts.items()):
            if spent:
                bars.append(Bar(at, at + spent / 1e9, number, f"{name}: {spent / 1e9:.2f} s"))
                at += spent / 1e9
        if bars:
            rows.append((f"request {record['index']}", bars))
    return lanes(rows, Axis("s", low=0.0), (*PHASES, "tools (also in execute)"))
