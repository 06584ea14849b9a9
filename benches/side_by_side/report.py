"""The report: ``results.md`` beside the plots, and the summary in ``benches/README.md``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import plots
from clients import CLIENTS
from results import LABELS, Results, Spread, number
from scenarios import ASYNC, FLOOR, ONE_STREAM, STREAMS
from targets import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MARKS = ("<!-- written by side_by_side/run.py -->", "<!-- end of what run.py writes -->")
QUIET = 5.0  # per cent of the processors that other processes may use before the report warns
README = Path(__file__).parent.parent / "README.md"
Row = list[str]


def write(raw: Path, folder: Path) -> Path:
    """Writes the report and the plots into ``folder``; a full run's summary also into the README."""
    results = Results(raw)
    drawn = plots.draw(results, folder)
    sections = [*head(results), *judged(results), *bursts(results, drawn), *ttft(results), *paced(results, drawn)]
    sections += [*idle(results), *cancel(results), *imports(results), *growth(results, drawn), *server(results)]
    path = folder / "results.md"
    path.write_text("\n".join([*sections, *versions(results)]) + "\n")
    if folder == Path(__file__).parent and README.exists():
        before, _, rest = README.read_text().partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        more = "The spread, the other scenarios and the plots are in [results.md](side_by_side/results.md)."
        lines = ["### Results", "", *machine(results), "", *overview(results), more, "", *judged(results, "###")]
        README.write_text("\n".join([f"{before}{MARKS[0]}", "", *lines, f"{MARKS[1]}{after}"]))
    return path


def table(header: Row, rows: Iterable[Row]) -> list[str]:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |" for line in lines] + [""]


def shown(spread: Spread | None, form: Callable[[Spread], str] = Spread.text) -> str:
    """A cell."""
    return "–" if spread is None else form(spread)


def times(spread: Spread | None) -> str:
    """A ratio as a cell."""
    return shown(spread, lambda ratio: f"{ratio.text()} ×")


def failed(results: Results, scenario: str, client: str, columns: int) -> Row:
    """The row of a client without a result, which says why."""
    why = results.sitting["missing"].get(client) or "; ".join(results.problems(scenario, client)) or "not measured"
    return [LABELS[client], f"did not run: {one_line(why)}", *["–"] * (columns - 2)]


def one_line(text: str) -> str:
    """The text in one line, which fits into a cell."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 160 else f"{flat[:160]}…"


# --- what it was measured on ---------------------------------------------------------------------------------------


def head(results: Results) -> list[str]:
    """The title, the machine, and whether it was quiet."""
    return [
        "# headrace beside its peers",
        "",
        "Written by `run.py`. Each value is the median of the repeats, with the least and the most in brackets; each",
        "ratio is the median of the ratios within one repeat. How it is measured: [../README.md](../README.md).",
        "",
        *machine(results),
        "",
    ]


def machine(results: Results) -> list[str]:
    """The machine, as a list."""
    sitting = results.sitting
    about = sitting["machine"]
    stamps = [r["at"] for clients in results.records.values() for records in clients.values() for r in records]
    began, ended = (time.strftime("%Y-%m-%d %H:%M", time.gmtime(at)) for at in (min(stamps), max(stamps)))
    others = {scenario: results.others(scenario) for scenario in results.records}
    share = Spread(tuple(value for spread in others.values() for value in spread.values))
    software = f"{about['system']}; Python {about['python']}, {about['rustc']}"
    lines = [
        f"- {about['processor']}; {about['memory']}; {software}; all over loopback",
        f"- from {began} to {ended} UTC, {sitting['repeats']} repeat(s); {sitting['files']} open files allowed",
        f"- headrace: {about['headrace']}",
        f"- other processes had {share.median:.1f} % of the processors (median), {max(share.values):.0f} % at most",
    ]
    if share.median > QUIET:
        lines.append("- **The machine was not quiet. These numbers do not count; the ratios are a hint.**")
    return lines


def overview(results: Results) -> list[str]:
    """The table of the issue."""
    rows = []
    for client in (*FLOOR, *ONE_STREAM):
        many = {"headrace_sync": None, "swarms_sync": "swarms_async"}.get(client, client)
        late = results.spread("paced-1000", many, "p99_ms") if many else None
        spent = results.spread("paced-1000", many, "cpu_us") if many else None
        cut = many and any(record["result"].get("cut") for record in results.of("paced-1000", many))
        rows.append(
            [
                LABELS[client],
                shown(results.spread("burst-coalesce", client, "rate")),
                shown(results.spread("burst-coalesce", client, "cpu_us")),
                shown(results.spread("ttft", client, "p50_us")),
                f"{'> ' if cut else ''}{shown(late)}",
                shown(spent),
            ]
        )
    header = ["client", "burst, tokens/s", "CPU µs/token", "warm TTFT, µs"]
    return table([*header, "1000 streams at 50 tokens/s: p99 latency, ms", "CPU µs/token"], rows)


def judged(results: Results, level: str = "##") -> list[str]:
    """The targets of issue 5."""
    marks = {True: "met", False: "**missed**", None: "not measured here"}
    rows = [[target.what, target.wanted, target.measured, marks[target.met]] for target in targets(results)]
    return [f"{level} The targets", "", *table(["what", "target", "this run", ""], rows)]


# --- scenarios -----------------------------------------------------------------------------------------------------


def bursts(results: Results, drawn: set[str]) -> list[str]:
    """One stream at full speed."""
    lines = ["## One burst stream", ""]
    lines += ["The whole process's processor time, all threads. The server writes as fast as the socket takes it.", ""]
    lines += picture(drawn, "burst.svg", "tokens per second")
    titles = {"burst-coalesce": "HTTP chunks of 64 KiB", "burst-frame": "one HTTP chunk for each token"}
    for scenario, title in titles.items():
        if scenario not in results.records:
            continue
        rows = []
        for client in (*FLOOR, *ONE_STREAM):
            rate = results.spread(scenario, client, "rate")
            if rate is None:
                if client not in FLOOR:
                    rows.append(failed(results, scenario, client, 6))
                continue
            ratios = (results.ratio(scenario, "rate", ours, client) for ours in ("headrace_sync", "headrace_async"))
            tokens = results.spread(scenario, client, "tokens")
            spent = results.spread(scenario, client, "cpu_us")
            rows.append([LABELS[client], rate.text(), *map(times, ratios), shown(spent), shown(tokens)])
        header = ["client", "tokens/s", "`run_stream` is faster by", "`arun_stream` is faster by"]
        lines += [f"### {title}", "", *table([*header, "CPU µs/token", "tokens of a stream"], rows)]
    return lines


def ttft(results: Results) -> list[str]:
    """The first token of a warm client."""
    if "ttft" not in results.records:
        return []
    rows = []
    for client in ("socket_sync", *ONE_STREAM):
        middle = results.spread("ttft", client, "p50_us")
        if middle is None:
            rows.append(failed(results, "ttft", client, 6))
            continue
        rest = (results.spread("ttft", client, field) for field in ("p90_us", "cpu_us", "requests"))
        ratio = results.ratio("ttft", "p50_us", client, "headrace_async")
        rows.append([LABELS[client], middle.text(), *map(shown, rest), times(ratio)])
    header = ["client", "p50, µs", "p90, µs", "CPU µs/request", "requests", "p50 over `arun_stream`’s"]
    about = "From the call to the first token, connection and caches warm, one request at a time, a server that"
    return ["## Warm time to the first token", "", f"{about} answers at once.", "", *table(header, rows)]


def paced(results: Results, drawn: set[str]) -> list[str]:
    """Many parallel streams."""
    lines = ["## Many streams at once, a token every 20 ms in each", ""]
    lines += [
        "Latency is from the stamp that the server writes into the token to the moment when the reading coroutine has",
        "it. All streams are asked for at the same moment, in one process, on one event loop, and all tokens count;",
        "*settled* counts only what was sent after every stream had its first token, so without the rush of opening",
        "them. A `>` is a client that did not get to the end in time: its latency would only grow from there. CPU is",
        "per delivered token, the opening of the streams included.",
        "",
    ]
    lines += picture(drawn, "latency.svg", "latency at 200 and 1000 streams")
    for streams in (200, 1000):
        scenario = f"paced-{streams}"
        if scenario not in results.records:
            continue
        rows = []
        for client in ("socket_sync", *ASYNC):
            late = results.spread(scenario, client, "p99_ms")
            records = [record["result"] for record in results.of(scenario, client)]
            if late is None:
                row = failed(results, scenario, client, 10)
                rows.append([row[0], "no token in time", *row[2:]] if any(r.get("cut") for r in records) else row)
                continue
            cut = "> " if any(record.get("cut") for record in records) else ""
            complete = f"{number(min(record.get('complete', 0) for record in records))} of {streams}"
            if problems := results.problems(scenario, client):
                complete += f": {one_line(problems[0])}"
            p50, settled, first, spent, rss, threads = (
                shown(results.spread(scenario, client, field))
                for field in ("p50_ms", "settled_p99_ms", "ttft_p99_ms", "cpu_us", "rss_mb", "threads")
            )
            ratio = results.ratio(scenario, "p99_ms", client, "headrace_async")
            row = [LABELS[client], complete, p50, cut + late.text(), times(ratio), settled, first, spent, rss, threads]
            rows.append(row)
        header = ["client", "complete, at the worst", "p50, ms", "p99, ms", "p99 over headrace’s", "settled p99, ms"]
        header += ["TTFT p99, ms", "CPU µs/token", "peak RSS, MB", "threads"]
        lines += [f"### {streams} streams", "", *table(header, rows)]
    return lines


def idle(results: Results) -> list[str]:
    """Very many streams with few tokens."""
    if "idle" not in results.records:
        return []
    records = results.of("idle", "headrace_async")
    streams = records[0]["streams"]
    least = min(record["result"].get("complete", 0) for record in records)
    about = f"`arun_stream`, a token a second in each, one process, one event loop: {least} of {streams} were complete"
    problems = "; ".join(map(one_line, results.problems("idle", "headrace_async")))
    fields = {"p50_ms": "p50, ms", "p99_ms": "p99, ms", "settled_p99_ms": "settled p99, ms", "cpu_us": "CPU µs/token"}
    fields |= {"rss_mb": "peak RSS, MB", "threads": "threads"}
    row = [shown(results.spread("idle", "headrace_async", field)) for field in fields]
    lines = [f"## {streams} streams", "", f"{about} at the worst.{f' {problems}' if problems else ''}", ""]
    return [*lines, *table(list(fields.values()), [row])]


def cancel(results: Results) -> list[str]:
    """The time until the server sees that the reader left."""
    if "cancel" not in results.records:
        return []
    rows = []
    for client in ("headrace_sync", *ASYNC):
        records = [record["result"] for record in results.of("cancel", client)]
        if not records or all("times" not in record for record in records):
            rows.append(failed(results, "cancel", client, 5))
            continue
        unseen = sum(record["unseen"] for record in records)
        cells = (shown(results.spread("cancel", client, field)) for field in ("p50_us", "p90_us", "max_us"))
        rows.append([LABELS[client], *cells, f"{unseen} of {unseen + sum(record['times'] for record in records)}"])
    header = ["client", "p50, µs", "p90, µs", "worst, µs", "not seen within 2 s"]
    about = "From `close()`, or `task.cancel()` where the client is asynchronous, to the server’s stamp of the close."
    return ["## Leaving a stream", "", about, "", *table(header, rows)]


def imports(results: Results) -> list[str]:
    """The cost of an import."""
    if "import" not in results.records:
        return []
    rows = []
    for client in ("headrace_sync", *ASYNC[1:-1], "swarms_sync"):
        took = results.spread("import", client, "import_ms")
        if took is None:
            rows.append(failed(results, "import", client, 3))
            continue
        rows.append([f"`{CLIENTS[client].imports}`", took.text(), shown(results.spread("import", client, "rss_mb"))])
    about = "In a fresh interpreter, over the bare one, byte code cached."
    return ["## Importing", "", about, "", *table(["statement", "ms", "RSS, MB"], rows)]


def growth(results: Results, drawn: set[str]) -> list[str]:
    """Whether the cost of a token depends on how many there are."""
    lines = ["## The cost of a token as work grows", "", "Processor time of the client’s process per token, in µs.", ""]
    lines += picture(drawn, "growth.svg", "processor time per token")
    if "growth" in results.records:
        sizes = (1, 10, 100, 1_000, 10_000)
        rows = []
        for client in results.records["growth"]:
            cells = [shown(size_cost(results, client, size)) for size in sizes]
            rows.append([LABELS[client], *cells])
        lines += ["### Tokens of an answer", "", *table(["client", *map(str, sizes)], rows)]
    counts = [streams for streams in STREAMS if f"paced-{streams}" in results.records]
    if counts:
        rows = [
            [LABELS[client], *(shown(results.spread(f"paced-{streams}", client, "cpu_us")) for streams in counts)]
            for client in ASYNC
        ]
        lines += ["### Paced streams at once", "", *table(["client", *map(str, counts)], rows)]
    return lines


def size_cost(results: Results, client: str, size: int) -> Spread | None:
    """The cost of a token in answers of this size."""
    found = [record["result"].get("sizes", {}).get(str(size)) for record in results.of("growth", client)]
    values = tuple(float(cost["cpu_us"]) for cost in found if cost)
    return Spread(values) if values else None


def server(results: Results) -> list[str]:
    """Shows that the server is not the bottleneck."""
    lines = ["## The server is not the bottleneck", ""]
    lines += [
        "A plain socket that parses nothing, from the same server in the same sitting, shows what the server gives:",
        "see the first rows above. For the paced streams, the server’s own processor time, and how late it ended its",
        "answers by its own plan while each client read them (a late server would be counted against the client only",
        "from the stamp on, which is written when the token is):",
        "",
    ]
    rows = []
    for streams in (200, 1000):
        for client in ("socket_sync", *ASYNC):
            records = [record for record in results.of(f"paced-{streams}", client) if record.get("server_late")]
            if not records:
                continue
            late = Spread(tuple(record["server_late"]["p50"] for record in records))
            worst = Spread(tuple(record["server_late"]["max"] for record in records))
            share = Spread(tuple(100 * record["server_cpu_s"] / record["result"]["seconds"] for record in records))
            rows.append([str(streams), LABELS[client], share.text(), late.text(), worst.text()])
    header = ["streams", "client", "server, % of a core", "answers late, ms (p50)", "the latest, ms"]
    return [*lines, *table(header, rows)] if rows else []


def versions(results: Results) -> list[str]:
    """The installed versions."""
    names = {package.split("[")[0] for client in CLIENTS.values() for package in client.packages}
    lines = ["## Versions", ""]
    for environment, packages in results.sitting["versions"].items():
        found = ", ".join(f"{name} {version}" for name, version in sorted(packages.items()) if name in names)
        lines.append(f"- `{environment}`: {found}")
    return lines


def picture(drawn: set[str], name: str, title: str) -> list[str]:
    """A plot, if it was drawn."""
    return [f"![{title}]({name})", ""] if name in drawn else []
