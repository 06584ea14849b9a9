"""The commands of ``headrace bench``, which itself measures what is written after it."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from headrace import local
from headrace._agent.terminal import printable
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bench_app"]


class _WithDefault(TyperGroup):
    """A group whose command ``run`` need not be written: ``headrace bench URL``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["run", *args])


bench_app = typer.Typer(cls=_WithDefault, help="Measure a model's or an agent's latency, and the client's own error.")

_OTHERS = (
    "Other commands: headrace bench compare A.json B.json · headrace bench merge PART.json… ·"
    " headrace bench worker TARGET, one part of a load on each of several machines."
)


@bench_app.command("run", epilog=_OTHERS)
@bench_app.command("worker", help="Send one part of a load: needs --part and --json; see `headrace bench merge`.")
def run(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            help="The URL of an OpenAI-compatible endpoint, a model, or module:agent; none for the local model."
        ),
    ] = None,
    *,
    model: Annotated[str | None, typer.Option(help="The model at a URL; by default the first that it lists.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="How many requests at a time.")] = None,
    rate: Annotated[float | None, typer.Option(help="How many requests a second, instead.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="A rate that changes, as SECONDS:RATE,…: a ramp is 0:10,60:100.")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="A trace to replay: Mooncake's, BurstGPT's or Azure's.")] = None,
    trace_speed: Annotated[float, typer.Option(help="How many times as fast a trace is replayed.")] = 1.0,
    requests: Annotated[int | None, typer.Option(min=1, help="How many requests; 32 without --duration.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds after which no request is sent.")] = None,
    arrivals: Annotated[str, typer.Option(help="With a rate: 'constant', 'poisson' or 'gamma'.")] = "poisson",
    burstiness: Annotated[float, typer.Option(help="With gamma: below 1 bursts, above 1 more even.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The seed of arrivals and synthetic prompts.")] = 0,
    prompts: Annotated[Path | None, typer.Option(help="A file of prompts: JSON lines, or ShareGPT's JSON.")] = None,
    input_tokens: Annotated[
        str | None,
        typer.Option(help="Synthetic prompts of so many tokens: 512, 100-900, normal:512:100, lognormal:512:0.5."),
    ] = None,
    output_tokens: Annotated[str | None, typer.Option(help="The most tokens of each answer, the same way.")] = None,
    prefix_tokens: Annotated[int, typer.Option(min=0, help="Tokens that synthetic prompts share.")] = 0,
    prefixes: Annotated[int, typer.Option(min=1, help="How many different such beginnings.")] = 1,
    api: Annotated[str, typer.Option(help="For a URL: 'chat', 'responses' or 'completions'.")] = "chat",
    api_key: Annotated[str | None, typer.Option(envvar="HEADRACE_BENCH_KEY", help="The key.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header, as name=value. May be repeated.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="A member of the requests, as name=JSON. May be repeated.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens of an answer.")] = None,
    connections: Annotated[str, typer.Option(help="'warm', or 'cold': a new one for each request.")] = "warm",
    turns: Annotated[int, typer.Option(min=1, help="How many requests a conversation has.")] = 1,
    think: Annotated[float, typer.Option(min=0, help="Seconds from an answer to its next request.")] = 0.0,
    warm_up: Annotated[int | None, typer.Option(min=0, help="How many requests are sent before.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often the load is sent; for the intervals.")] = 1,
    self_test: Annotated[bool, typer.Option(help="Whether to measure the client's own error.")] = True,
    only_self_test: Annotated[bool, typer.Option("--selftest", help="Measure only the client's own error.")] = False,
    slo: Annotated[
        list[str] | None,
        typer.Option(help="A limit in ms: ttft_p99=200 of the run, ttft=200 of each request. May be repeated."),
    ] = None,
    max_error_rate: Annotated[float, typer.Option(help="The share of answers that may fail.")] = 0.0,
    stall_after: Annotated[float | None, typer.Option(help="How many ms between two outputs are a stall.")] = None,
    sweep: Annotated[
        str | None, typer.Option(help="Several loads, as concurrency=1,2,4,8 or rate=10,20,40: the curve and its knee.")
    ] = None,
    search: Annotated[bool, typer.Option(help="With --sweep: find the highest load that meets every --slo.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="How many processes send the load.")] = 1,
    part: Annotated[str | None, typer.Option(help="Only one part of the load, such as 2/4.")] = None,
    start_at: Annotated[float | None, typer.Option(help="When the load begins, in seconds since 1970.")] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="A file for the report as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="A file for the report as one HTML page.")] = None,
    csv: Annotated[Path | None, typer.Option(help="A file for a table with a line for each request.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="A file for a line of JSON about each request.")] = None,
) -> None:
    """Measure the latency of a model or an agent, and the client's own error.

    Exit code 1: an SLO is missed; 2: not valid.
    """
    from .bench import Outputs, measure, options_of

    def measured() -> int:
        options = options_of(
            {
                "model": model,
                "concurrency": concurrency,
                "rate": rate,
                "profile": profile,
                "trace": trace,
                "trace_speed": trace_speed,
                "requests": requests,
                "duration": duration,
                "arrivals": arrivals,
                "burstiness": burstiness,
                "seed": seed,
                "prompts": prompts,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "prefix_tokens": prefix_tokens,
                "prefixes": prefixes,
                "api": api,
                "api_key": api_key,
                "connections": connections,
                "turns": turns,
                "think": think,
                "warm_up": warm_up,
                "repeats": repeats,
                "self_test": self_test,
                "max_error_rate": max_error_rate,
                "stall_after": None if stall_after is None else stall_after / 1e3,
                "start_at": start_at,
            },
            header or (),
            parameter or (),
            max_tokens,
            slo or (),
            part,
        )
        outputs = Outputs(as_json, html, csv, jsonl)
        return measure(
            target or f"local/{local.DEFAULT_MODEL}",
            options,
            outputs,
            sweep=sweep,
            search=search,
            processes=processes,
            only_self_test=only_self_test,
            is_worker=context.info_name == "worker",
        )

    raise typer.Exit(_code_of(measured))


@bench_app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="A report: of headrace, vllm, sglang, guidellm or aiperf.")],
    after: Annotated[Path, typer.Argument(help="The report that is compared with it.")],
    *,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="What must not be: 'ttft_p99 > +5%', 'ttft_p99 > 200ms'. May be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what became faster or slower. Exit code 1: a --fail-if holds; 2: a report is not valid."""
    from .bench import show_comparison

    raise typer.Exit(_code_of(lambda: show_comparison(before, after, fail_if or (), as_json=as_json)))


@bench_app.command("merge")
def merge(
    parts: Annotated[list[Path], typer.Argument(help="The reports of all parts.")],
    *,
    as_json: Annotated[Path | None, typer.Option("--json", help="A file for the report as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="A file for the report as one HTML page.")] = None,
    csv: Annotated[Path | None, typer.Option(help="A file for a table with a line for each request.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="A file for a line of JSON about each request.")] = None,
) -> None:
    """Make one report of the parts of a load that ran at the same time, in several processes or on several machines."""
    from .bench import Outputs, show_merged

    raise typer.Exit(_code_of(lambda: show_merged(parts, Outputs(as_json, html, csv, jsonl))))


def _code_of(command: Callable[[], int]) -> int:
    try:
        return command()
    except HeadraceError as error:
        # Not 1: that is a missed SLO, or a rule of --fail-if.
        typer.echo(printable(f"headrace: {error}", sys.stderr), err=True)
        return 2
