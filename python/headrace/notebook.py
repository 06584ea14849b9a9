"""How timings, usages and agents show themselves in a notebook: HTML with units, and a plot of a stream's timing.

Example:
    >>> from headrace import Usage
    >>> Usage(input_tokens=10, output_tokens=5)._repr_html_().count("<tr>")
    2
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["of_agent", "of_timing", "of_usage", "plot_of_timing"]

_WIDTH: Final = 640
_HEIGHT: Final = 54
_LEFT: Final = 8
_MOST: Final = 2000
_MS: Final = 1e-6


def of_timing(timing: Any) -> str:
    """The figures of a timing with their units, and its plot.

    Args:
        timing: A :class:`~headrace.Timing`.

    Returns:
        HTML.
    """
    rows = [
        ("TTFT", _seconds(timing.ttft)),
        ("TTFT of the answer", _seconds(timing.ttft_answer)),
        ("TPOT", _seconds(timing.tpot)),
        ("ITL", _spread(timing.itl)),
        ("your lag", _spread(timing.lag)),
        ("duration", _seconds(timing.duration)),
        ("chunks", f"{timing.chunks}, stamped by {timing.stamped_by}"),
    ]
    return _table((name, value) for name, value in rows if value) + plot_of_timing(timing)


def plot_of_timing(timing: Any) -> str:
    """A line for each arrival, from the request to the end.

    Args:
        timing: A :class:`~headrace.Timing`.

    Returns:
        An SVG element; empty if nothing has arrived.
    """
    arrivals = [(at - timing.opened_ns) * _MS for at in timing.arrivals_ns]
    if not arrivals:
        return ""
    end = max(arrivals[-1], 1e-6)
    shown = arrivals if len(arrivals) <= _MOST else arrivals[:: len(arrivals) // _MOST + 1]
    span = _WIDTH - 2 * _LEFT
    lines = "".join(f'<path d="M{_LEFT + at / end * span:.1f} 6V30"/>' for at in shown)
    axis = f'<path d="M{_LEFT} 34H{_WIDTH - _LEFT}"/>'
    first = _LEFT + arrivals[0] / end * span
    words = (
        f'<text x="{_LEFT}" y="48">request</text>'
        f'<text x="{min(max(first, 60), _WIDTH - 130):.1f}" y="48">first after {arrivals[0]:.1f} ms</text>'
        f'<text x="{_WIDTH - _LEFT}" y="48" text-anchor="end">{end:.1f} ms</text>'
    )
    style = "stroke: currentColor; stroke-width: 1; opacity: 0.75"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" style="max-width: {_WIDTH}px; width: 100%" role="img"'
        f' aria-label="arrivals of a stream"><g style="{style}">{lines}{axis}</g>'
        f'<g style="font: 10px sans-serif; fill: currentColor">{words}</g></svg>'
    )


def of_usage(usage: Any) -> str:
    """The counts of a usage.

    Args:
        usage: A :class:`~headrace.Usage`.

    Returns:
        HTML.
    """
    names = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "total_tokens")
    suffix = " (estimated)" if usage.estimated else ""
    rows = ((name.replace("_", " "), getattr(usage, name)) for name in names)
    return _table((name, f"{value:,}{suffix}") for name, value in rows if value is not None)


def of_agent(agent: Any) -> str:
    """What an agent is made of; without its key.

    Args:
        agent: The agent.

    Returns:
        HTML.
    """
    tools = ", ".join(agent.toolbox.names) or "none"
    prompt = agent.system_prompt or "none"
    kind = agent.output_type
    return _table(
        [
            ("agent", agent.agent_name),
            ("model", agent.model_name),
            ("system prompt", prompt if len(prompt) <= 300 else f"{prompt[:300]}…"),  # noqa: PLR2004 - a few lines
            ("tools", tools),
            ("max_loops", str(agent.max_loops)),
            ("answers", kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))),
        ]
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1e3:.2f} ms" if value < 1 else f"{value:.3f} s"


def _spread(spread: Any) -> str:
    if spread is None:
        return ""
    return ", ".join(f"{name} {_seconds(getattr(spread, name))}" for name in ("p50", "p90", "p99", "max"))
