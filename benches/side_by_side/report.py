"""The report: ``results.md`` beside the plots, and the summary in ``benches/README.md``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plots
from clients import CLIENTS
from environment import EARLIER
from results import LABELS, Results, Spread, number
from scenarios import ASYNC, FLOOR, IMPORTED, ONE_STREAM, OTHER, OURS_ASYNC, STREAMS
from targets import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MARKS = ("<!-- written by side_by_side/run.py -->", "<!-- end of what run.py writes -->")
QUIET = 5.0  # per cent of the processors that other processes may use before the report warns
README = Path(__file__).parent.parent / "README.md"
WITHOUT_LOOP = {"headrace_sync", "headrace_before_sync", "pyreqwest_sync"}
Row = list[str]


def write(raw: Path, folder: Path) -> Path:
    """Writes the report and the plots into ``folder``; a full run's summary also into the README."""
    results = Results(raw)
    drawn = plots.draw(results, folder)
    sections = [*head(results), *judged(results), *bursts(results, drawn), *ttft(results), *paced(results, drawn)]
    sections += [
        *short(results),
        *idle(results),
        *cancel(results),
        *imports(results),
        *growth(results, drawn),
        *server(results),
    ]
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


def asked(results: Results, scenario: str, clients: Iterable[str]) -> list[str]:
    """The clients that were measured, or that were to be measured and could not be."""
    missing = {key for key in results.sitting["missing"] if CLIENTS[key].environment != EARLIER}
    return [client for client in clients if results.of(scenario, client) or client in missing]


def of_server(scenario: str) -> str:
    """What the title of a scenario says about its server."""
    return ", second server" if scenario.endswith(OTHER) else ""


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
        f"- headrace: {about['headrace']}"
        + (f"; the earlier build: {earlier}" if (earlier := about["before"]) else ""),
        f"- other processes had {share.median:.1f} % of the processors (median), {max(share.values):.0f} % at most",
    ]
    if share.median > QUIET:
        lines.append("- **The machine was not quiet. These numbers do not count; the ratios are a hint.**")
    return lines


def overview(results: Results) -> list[str]:
    """The table of the issue."""
    rows = []
    for client in asked(results, "burst-coalesce", (*FLOOR, *ONE_STREAM)):
        many = None if client in WITHOUT_LOOP else client.replace("swarms_sync", "swarms_async")
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
    """The targets of issues 5 and 12."""
    marks = {True: "met", False: "**missed**", None: "not measured here"}
    rows = [[target.what, target.wanted, target.measured, marks[target.met]] for target in targets(results)]
    return [f"{level} The targets", "", *table(["what", "target", "this run", ""], rows)]


# --- scenarios -----------------------------------------------------------------------------------------------------


def bursts(results: Results, drawn: set[str]) -> list[str]:
    """One stream at full speed."""
    lines = ["## One burst stream", ""]
    lines += ["The whole process's processor time, all threads. The server writes as fast as the socket takes it.", ""]
    lines += picture(drawn, "burst.svg", "tokens per second")
    frame = "one HTTP chunk for each token"
    titles = {"burst-coalesce": "HTTP chunks of 64 KiB", "burst-frame": frame}
    titles[f"burst-frame{OTHER}"] = f"{frame}, second server"
    for scenario, title in titles.items():
        if scenario not in results.records:
            continue
        rows = []
        for client in asked(results, scenario, (*FLOOR, *ONE_STREAM)):
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
    lines = ["## Warm time to the first token", ""]
    lines += ["From the call to the first token, connection and caches warm, one request at a time, a server that"]
    lines += ["answers at once.", ""]
    for scenario in ("ttft", f"ttft{OTHER}"):
        rows = []
        for client in asked(results, scenario, ("socket_sync", *ONE_STREAM)):
            middle = results.spread(scenario, client, "p50_us")
            if middle is None:
                rows.append(failed(results, scenario, client, 7))
                continue
            rest = (results.spread(scenario, client, field) for field in ("p90_us", "cpu_us", "requests"))
            ratios = (results.ratio(scenario, "p50_us", client, other) for other in ("headrace_async", "socket_sync"))
            rows.append([LABELS[client], middle.text(), *map(shown, rest), *map(times, ratios)])
        if rows:
            header = ["client", "p50, µs", "p90, µs", "CPU µs/request", "requests", "p50 over `arun_stream`’s"]
            title = f"### One request at a time{of_server(scenario)}"
            lines += [title, "", *table([*header, "over a socket’s"], rows)]
    return lines


def short(results: Results) -> list[str]:
    """Answers of 100 tokens."""
    lines = ["## Short answers", ""]
    lines += [
        "Answers of 100 tokens, 64 at a time on one event loop; as soon as one is read, the next is asked for.",
        "",
    ]
    for scenario in ("short", f"short{OTHER}"):
        rows = []
        for client in asked(results, scenario, ASYNC):
            rate = results.spread(scenario, client, "rate")
            if rate is None:
                rows.append(failed(results, scenario, client, 8))
                continue
            rest = (results.spread(scenario, client, field) for field in ("cpu_us", "p50_us", "p99_us"))
            ratio = results.ratio(scenario, "rate", "headrace_async", client)
            shares = shares_of_machine(results.of(scenario, client))
            rows.append([LABELS[client], rate.text(), times(ratio), *map(shown, rest), *shares])
        if rows:
            header = [
                "client",
                "answers/s",
                "`arun_stream` is faster by",
                "CPU µs/answer",
                "TTFT p50, µs",
                "TTFT p99, µs",
            ]
            lines += [f"### 64 at a time{of_server(scenario)}", "", *table([*header, *SHARES], rows)]
    return lines


SHARES = ["client, % of the machine", "server, % of the machine"]


def shares_of_machine(records: list[dict[str, Any]]) -> list[str]:
    """The share of all processors that a client and its server took: of all of it, latency says only who is late."""
    cores = os.cpu_count() or 1
    ours = [100 * r["result"]["cpu_s"] / r["result"]["seconds"] / cores for r in records if "cpu_s" in r["result"]]
    servers = [100 * r["server_cpu_s"] / r["result"]["seconds"] / cores for r in records if "cpu_s" in r["result"]]
    return [Spread(tuple(share)).text() if share else "–" for share in (ours, servers)]


def paced(results: Results, drawn: set[str]) -> list[str]:
    """Many parallel streams."""
    lines = ["## Many streams at once, a token every 20 ms in each (every 100 ms in each of 3000)", ""]
    lines += [
        "Latency is from the stamp that the server writes into the token to the moment when the reading coroutine has",
        "it. All streams are asked for at the same moment, in one process, on one event loop, and all tokens count;",
        "*settled* counts only what was sent after every stream had its first token, so without the rush of opening",
        "them. A `>` is a client that did not get to the end in time: its latency would only grow from there. CPU is",
        "per delivered token, the opening of the streams included.",
        "",
    ]
    lines += picture(drawn, "latency.svg", "latency at 200 and 1000 streams")
    for scenario in ("paced-200", "paced-1000", "paced-3000", f"paced-1000{OTHER}"):
        if scenario not in results.records:
            continue
        streams = int(scenario.split("-")[1])
        rows = []
        for client in asked(results, scenario, ("socket_sync", *ASYNC)):
            late = results.spread(scenario, client, "p99_ms")
            records = [record["result"] for record in results.of(scenario, client)]
            if late is None:
                row = failed(results, scenario, client, 12)
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
            rows.append([*row, *shares_of_machine(results.of(scenario, client))])
        header = ["client", "complete, at the worst", "p50, ms", "p99, ms", "p99 over headrace’s", "settled p99, ms"]
        header += ["TTFT p99, ms", "CPU µs/token", "peak RSS, MB", "threads", *SHARES]
        lines += [f"### {streams} streams{of_server(scenario)}", "", *table(header, rows)]
    return lines


def idle(results: Results) -> list[str]:
    """Very many streams with few tokens."""
    if "idle" not in results.records:
        return []
    fields = {"p50_ms": "p50, ms", "p99_ms": "p99, ms", "settled_p99_ms": "settled p99, ms", "cpu_us": "CPU µs/token"}
    fields |= {"rss_mb": "peak RSS, MB", "threads": "threads"}
    rows = []
    for client in asked(results, "idle", OURS_ASYNC):
        least = min(record["result"].get("complete", 0) for record in results.of("idle", client))
        problems = "; ".join(map(one_line, results.problems("idle", client)))
        cells = [shown(results.spread("idle", client, field)) for field in fields]
        rows.append([LABELS[client], f"{least}{f': {problems}' if problems else ''}", *cells])
    streams = next(iter(results.records["idle"].values()))[0]["streams"]
    about = "A token a second in each, one process, one event loop."
    header = ["client", "complete, at the worst", *fields.values()]
    return [f"## {streams} streams", "", about, "", *table(header, rows)]


def cancel(results: Results) -> list[str]:
    """The time until the server sees that the reader left."""
    if "cancel" not in results.records:
        return []
    rows = []
    for client in asked(results, "cancel", ("headrace_sync", *ASYNC)):
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
    for client in asked(results, "import", IMPORTED):
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
            if any(results.of(f"paced-{streams}", client) for streams in counts)
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
