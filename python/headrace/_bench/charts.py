"""Charts as SVG. Their colours come from the page, so that one chart is right in light and in dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["STYLE", "Axis", "Bar", "Series", "chart", "lanes"]

_WIDTH: Final = 620
_HEIGHT: Final = 240
_LEFT: Final = 58
_RIGHT: Final = 12
_TOP: Final = 18
_BOTTOM: Final = 40
_TICKS: Final = 6
_FEWEST: Final = 3
_LARGE: Final = 1000

Point = tuple[float, float]

STYLE: Final = """
:root { --bg: #ffffff; --fg: #1d2125; --dim: #5b6470; --line: #d9dee4; --card: #f6f8fa;
  --c0: #1f6feb; --c1: #c2410c; --c2: #0f766e; --c3: #7c3aed; --ok: #15803d; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e6e9ec; --dim: #9aa4af; --line: #343b43;
  --card: #1c2125; --c0: #6cb0ff; --c1: #ff9a62; --c2: #4fd1c5; --c3: #bda4ff; --ok: #4ade80; --bad: #ff8a80; } }
.hr-chart { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif; }
.hr-chart text { fill: var(--dim); } .hr-chart .axis { stroke: var(--line); stroke-width: 1; fill: none; }
.hr-chart .grid { stroke: var(--line); stroke-width: 0.6; opacity: 0.7; }
.hr-chart .s0 { --c: var(--c0); } .hr-chart .s1 { --c: var(--c1); }
.hr-chart .s2 { --c: var(--c2); } .hr-chart .s3 { --c: var(--c3); }
.hr-chart .path { stroke: var(--c); stroke-width: 1.8; fill: none; stroke-linejoin: round; }
.hr-chart .dash { stroke-dasharray: 5 4; } .hr-chart .dot { fill: var(--c); opacity: 0.75; }
.hr-chart .fill { fill: var(--c); } .hr-chart .key { fill: var(--fg); }
.hr-chart .mark { stroke: var(--dim); stroke-width: 1; stroke-dasharray: 3 3; }
"""
"""The colours, and what the charts are drawn with."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: what it shows, and how.

    Attributes:
        label: What it shows, with its unit.
        log: Whether it is logarithmic.
        low: Where it begins; None for the smallest value.
        high: Where it ends; None for the largest value.
        whole: Whether only whole numbers have a tick.
    """

    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind.

    Attributes:
        name: For the legend.
        points: The points.
        kind: How they are drawn: ``"line"``, ``"dashed"``, ``"step"``, ``"dots"``, or ``"marked"``, a line with dots.
        colour: Which of the four colours; None for the next one.
    """

    name: str
    points: Sequence[Point]
    kind: str = "line"
    colour: int | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a lane: from, to, colour, and what it is."""

    begin: float
    end: float
    colour: int
    title: str


class _Scale:
    """From values to pixels."""

    def __init__(self, axis: Axis, values: Sequence[float], begin: float, end: float) -> None:
        self.axis, self.begin, self.end = axis, begin, end
        usable = [value for value in values if not axis.log or value > 0] or [1.0]
        low = min(usable) if axis.low is None else axis.low
        high = max(usable) if axis.high is None else axis.high
        if high <= low:
            low, high = (low / 2, low * 2) if axis.log and low > 0 else (low, low + 1)
        self.low, self.high = low, high

    def __call__(self, value: float) -> float:
        if self.axis.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        if self.axis.log:
            return _log_ticks(self.low, self.high)
        ticks = _even_ticks(self.low, self.high)
        return [tick for tick in ticks if tick == round(tick)] if self.axis.whole else ticks


def _even_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / _TICKS
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= _FEWEST:
            return inside
    return [low, (low * high) ** 0.5, high]  # all within a small range


def chart(series: Sequence[Series], x: Axis, y: Axis, *, marks: Sequence[tuple[float, str]] = ()) -> str:
    """A chart of points.

    Args:
        series: The points.
        x: The horizontal axis.
        y: The vertical axis.
        marks: Vertical lines: where, and what they mark.

    Returns:
        An SVG element; empty if there are no points.
    """
    shown = [each for each in series if each.points]
    if not shown:
        return ""
    xs = [point[0] for each in shown for point in each.points]
    ys = [point[1] for each in shown for point in each.points]
    across = _Scale(x, xs, _LEFT, _WIDTH - _RIGHT)
    up = _Scale(y, ys, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_axes(across, up)]
    for number, each in enumerate(shown):
        colour = number % 4 if each.colour is None else each.colour
        parts += [f'<g class="s{colour}">', *_drawn(each, across, up), "</g>"]
    for at, title in marks:
        parts.append(f'<line class="mark" x1="{across(at):.1f}" x2="{across(at):.1f}" y1="{_TOP}" y2="{up.begin}"/>')
        parts.append(f'<text x="{across(at) + 4:.1f}" y="{_TOP + 10}">{escape(title)}</text>')
    parts += _legend(shown)
    return _svg(parts, _HEIGHT, f"{y.label} by {x.label}")


def _axes(across: _Scale, up: _Scale) -> Iterator[str]:
    bottom, right = up.begin, across.end
    for tick in across.ticks():
        at = across(tick)
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{_number(tick)}</text>'
    for tick in up.ticks():
        at = up(tick)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
    yield f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'
    middle = (_TOP + bottom) / 2
    yield f'<text x="{(_LEFT + right) / 2}" y="{bottom + 32}" text-anchor="middle">{escape(across.axis.label)}</text>'
    yield f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(up.axis.label)}</text>'


def _drawn(series: Series, across: _Scale, up: _Scale) -> Iterator[str]:
    points = [(across(x), up(y)) for x, y in series.points]
    if series.kind in ("dots", "marked"):
        yield from (f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{2.2}"/>' for x, y in points)
    if series.kind == "dots":
        return
    extra = " dash" if series.kind == "dashed" else ""
    join: Callable[[Point], str] = _step if series.kind == "step" else _straight
    (x, y), *rest = points
    yield f'<path class="path{extra}" d="M{x:.1f} {y:.1f}{"".join(map(join, rest))}"/>'


def _straight(point: Point) -> str:
    return f"L{point[0]:.1f} {point[1]:.1f}"


def _step(point: Point) -> str:
    return f"H{point[0]:.1f}V{point[1]:.1f}"


def _legend(series: Sequence[Series]) -> Iterator[str]:
    if len(series) == 1:
        return
    for number, each in enumerate(series):
        colour, at = number % 4 if each.colour is None else each.colour, _LEFT + number * 110
        yield f'<g class="s{colour}"><rect class="fill" x="{at}" y="2" width="10" height="8"/></g>'
        yield f'<text class="key" x="{at + 15}" y="10">{escape(each.name)}</text>'


def lanes(rows: Sequence[tuple[str, Sequence[Bar]]], x: Axis, colours: Sequence[str]) -> str:
    """Swim lanes: a row of bars for each request.

    Args:
        rows: A title for each row, and its bars.
        x: The axis of time.
        colours: What each colour means, for the legend.

    Returns:
        An SVG element; empty without rows.
    """
    bars = [bar for _, row in rows for bar in row]
    if not bars:
        return ""
    size = max(2.0, min(12.0, 420 / len(rows)))
    height = _TOP + 20 + size * len(rows) + _BOTTOM
    across = _Scale(x, [each for bar in bars for each in (bar.begin, bar.end)], _LEFT, _WIDTH - _RIGHT)
    parts = list[str]()
    for tick in across.ticks():
        at = across(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP + 18}" y2="{height - _BOTTOM:.1f}"/>')
        parts.append(f'<text x="{at:.1f}" y="{height - _BOTTOM + 15:.1f}" text-anchor="middle">{_number(tick)}</text>')
    for number, (title, row) in enumerate(rows):
        top = _TOP + 20 + number * size
        for bar in row:
            begin, width = across(bar.begin), max(0.8, across(bar.end) - across(bar.begin))
            parts.append(
                f'<g class="s{bar.colour}"><rect class="fill" x="{begin:.1f}" y="{top:.1f}" width="{width:.1f}"'
                f' height="{size * 0.8:.1f}"><title>{escape(title)}: {escape(bar.title)}</title></rect></g>'
            )
    for number, name in enumerate(colours):
        at = _LEFT + number * 130
        parts.append(f'<g class="s{number}"><rect class="fill" x="{at}" y="{_TOP - 4}" width="10" height="8"/></g>')
        parts.append(f'<text class="key" x="{at + 15}" y="{_TOP + 4}">{escape(name)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{height - 8:.1f}" text-anchor="middle">{escape(x.label)}</text>')
    return _svg(parts, height, x.label)


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    return (
        f'<svg class="hr-chart" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < _LARGE else f"{value:,.0f}"
