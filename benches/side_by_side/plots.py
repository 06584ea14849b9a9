"""The plots, as SVG: small, and identical for identical numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from results import LABELS, Results, Spread, number
from scenarios import ASYNC, ONE_STREAM, STREAMS

if TYPE_CHECKING:
    from pathlib import Path

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "headrace",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e4e4e4",
        "axes.axisbelow": True,
        "legend.frameon": False,
    }
)

import matplotlib.pyplot as plt  # noqa: E402 — after the backend was chosen

# headrace has one strong colour. The peers have other colours and markers, so that they differ also in black and white.
STYLES = {
    "headrace_sync": ("#0b5fa5", "o"),
    "headrace_async": ("#0b5fa5", "o"),
    "socket_sync": ("#555555", "+"),
    "headrace_before_sync": ("#8fb8dd", "o"),
    "headrace_before_async": ("#8fb8dd", "o"),
    "aiohttp": ("#d1701a", "s"),
    "pyreqwest": ("#1b9e9e", "<"),
    "pyreqwest_sync": ("#1b9e9e", "<"),
    "httpr_sync": ("#4c9f70", ">"),
    "f3dx_sync": ("#a0522d", "h"),
    "liter_llm": ("#6a5acd", "p"),
    "httpx": ("#b59b00", "^"),
    "openai": ("#2e8b57", "v"),
    "openai_agents": ("#8a5fb0", "D"),
    "pydantic_ai": ("#c2477f", "P"),
    "litellm": ("#8c564b", "X"),
    "swarms_sync": ("#7f7f7f", "d"),
    "swarms_async": ("#7f7f7f", "d"),
}


def draw(results: Results, folder: Path) -> set[str]:
    """Draws the plots for which there are results. Returns the names of the files."""
    pictures = {"burst.svg": burst, "latency.svg": latency, "growth.svg": growth}
    return {name for name, picture in pictures.items() if picture(results, folder / name)}


def plain(key: str) -> str:
    """A client's name without Markdown."""
    return LABELS[key].replace("`", "")


def save(figure: Any, path: Path) -> bool:
    """Writes a figure without the date."""
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return True


def line(axes: Any, key: str, points: list[tuple[float, Spread]]) -> None:
    """The medians of a client, with a band from the least to the most."""
    colour, marker = STYLES[key]
    sizes = [size for size, _ in points]
    strong = key.startswith("headrace")
    axes.plot(
        sizes,
        [spread.median for _, spread in points],
        color=colour,
        marker=marker,
        markersize=4,
        linestyle="--" if key == "headrace_sync" else "-",
        linewidth=2.2 if strong else 1.2,
        label=plain(key),
        zorder=3 if strong else 2,
    )
    least, most = ([pick(spread.values) for _, spread in points] for pick in (min, max))
    axes.fill_between(sizes, least, most, color=colour, alpha=0.12, linewidth=0)


def burst(results: Results, path: Path) -> bool:
    """Tokens per second, as bars on a logarithmic scale."""
    keys = [key for key in ("socket_sync", *ONE_STREAM) if results.spread("burst-coalesce", key, "rate")]
    if not keys:
        return False
    figure, axes = plt.subplots(figsize=(7.2, 0.45 * len(keys) + 0.8))
    for offset, scenario, alpha in ((-0.2, "burst-coalesce", 1.0), (0.2, "burst-frame", 0.5)):
        for row, key in enumerate(keys):
            spread = results.spread(scenario, key, "rate")
            if spread is None:
                continue
            error = [[spread.median - min(spread.values)], [max(spread.values) - spread.median]]
            colour = STYLES[key][0]
            axes.barh(row + offset, spread.median, 0.38, color=colour, alpha=alpha, xerr=error, ecolor="#222222")
            axes.text(max(spread.values) * 1.12, row + offset, number(spread.median), va="center", fontsize=7)
    axes.set_yticks(range(len(keys)), [plain(key) for key in keys])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        "tokens per second, one burst stream\n(upper bar: HTTP chunks of 64 KiB; lower: one for each token)"
    )
    return save(figure, path)


def latency(results: Results, path: Path) -> bool:
    """Delivery latency: the share of tokens that arrive within a time, at 200 and at 1000 streams."""
    counts = [streams for streams in (200, 1000) if f"paced-{streams}" in results.records]
    if not counts:
        return False
    figure, panels = plt.subplots(1, len(counts), figsize=(4.6 * len(counts), 3.6), sharey=True, squeeze=False)
    for axes, streams in zip(panels[0], counts, strict=True):
        for key in ("socket_sync", *ASYNC):
            repeats = [record["result"].get("quantiles_us") for record in results.of(f"paced-{streams}", key)]
            repeats = [quantiles for quantiles in repeats if quantiles]
            if not repeats:
                continue
            columns = zip(*([value for _, value in quantiles] for quantiles in repeats), strict=True)
            middle = [Spread(values).median / 1e3 for values in columns]
            strong = key.startswith("headrace")
            axes.plot(
                middle,
                [fraction * 100 for fraction, _ in repeats[0]],
                color=STYLES[key][0],
                linewidth=2.2 if strong else 1.2,
                linestyle=":" if key == "socket_sync" else "-",
                label=plain(key),
            )
        axes.set_xscale("log")
        axes.set_title(f"{streams} streams, a token every 20 ms in each", fontsize=9)
        axes.set_xlabel("delivery latency, ms")
    panels[0][0].set_ylabel("tokens delivered within, %")
    panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return save(figure, path)


def growth(results: Results, path: Path) -> bool:
    """Processor time per token, by the length of the answer and by the number of streams."""
    from report import size_cost

    answers: dict[str, list[tuple[float, Spread]]] = {}
    for key in results.records.get("growth", {}):
        costs = ((size, size_cost(results, key, size)) for size in (1, 10, 100, 1_000, 10_000))
        answers[key] = [(size, cost) for size, cost in costs if cost is not None]
    streams: dict[str, list[tuple[float, Spread]]] = {}
    for key in ASYNC:
        found = ((count, results.spread(f"paced-{count}", key, "cpu_us")) for count in STREAMS)
        streams[key] = [(count, cost) for count, cost in found if cost is not None]
    panels_of = {"tokens of an answer": answers, "paced streams at once": streams}
    panels_of = {title: lines for title, lines in panels_of.items() if any(lines.values())}
    if not panels_of:
        return False
    figure, panels = plt.subplots(1, len(panels_of), figsize=(4.6 * len(panels_of), 3.6), squeeze=False)
    for axes, (title, lines) in zip(panels[0], panels_of.items(), strict=True):
        for key, points in lines.items():
            if points:
                line(axes, key, points)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(title)
    panels[0][0].set_ylabel("processor time per token, µs")
    panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return save(figure, path)
