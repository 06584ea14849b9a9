"""The command ``headrace``.

Results go to standard output, progress and errors to standard error. A ``HeadraceError`` is printed as one line, with
exit code 1. To add a command, add a function with ``@app.command()``.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace import local
from headrace._agent.terminal import printable
from headrace.errors import ConfigurationError, HeadraceError

from .bench_app import bench_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.agent import Agent

__all__ = ["app", "main"]

app = typer.Typer(
    name="headrace",
    help="Stream LLM tokens.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
model_app = typer.Typer(help="Models that run on this machine, without an API key.", no_args_is_help=True)
app.add_typer(model_app, name="model")
keys_app = typer.Typer(help="The keys of a server.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(bench_app, name="bench")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits.

    Args:
        arguments: The arguments after the command's name; those of this process if None.

    Raises:
        SystemExit: Always. Code 0 for success, 1 for a ``HeadraceError`` or an output that cannot be written, 2 for
            wrong usage, 130 after Ctrl-C.
    """
    try:
        app(args=None if arguments is None else list(arguments))
    except HeadraceError as error:
        _to_stderr(f"headrace: {error}{_advice(error)}")
        raise SystemExit(1) from None
    except OSError as error:
        _leave_stdout()
        _to_stderr(f"headrace: the output cannot be written: {error.strerror or error}")
        raise SystemExit(1) from None


def _advice(error: HeadraceError) -> str:
    """How long a provider asks to wait."""
    wait = getattr(error, "retry_after", None)
    return "" if wait is None else f" (the provider asks to wait {wait:g} s)"


def _leave_stdout() -> None:
    """Standard output cannot be written: without this, Python tries once more at its end, and complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback()
def headrace(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Stream LLM tokens."""


_Model = Annotated[str | None, typer.Option(help="The model; HEADRACE_MODEL, else the local one.")]
_BaseUrl = Annotated[str | None, typer.Option(help="The URL of an OpenAI-compatible endpoint.")]
_System = Annotated[str | None, typer.Option(help="The system prompt.")]
_Tools = Annotated[list[str] | None, typer.Option(help="A tool, as module:function. May be repeated.")]
_MaxLoops = Annotated[str | None, typer.Option(help="The most turns, or 'auto'; 1, with tools 10.")]
_MaxTokens = Annotated[int | None, typer.Option(min=1, help="The most tokens of an answer.")]
_Temperature = Annotated[float | None, typer.Option(help="The sampling temperature.")]


@app.command("run")
def run(
    task: Annotated[str, typer.Argument(help="What the agent is to do; - for standard input.")],
    *,
    model: _Model = None,
    base_url: _BaseUrl = None,
    system: _System = None,
    tool: _Tools = None,
    max_loops: _MaxLoops = None,
    max_tokens: _MaxTokens = None,
    temperature: _Temperature = None,
    events: Annotated[bool, typer.Option(help="Print every event as a line of JSON, not the text.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one line of JSON, not the text.")
    ] = False,
) -> None:
    """Run a task: text to standard output as it arrives, tool calls and timing to standard error."""
    from .run import show_run

    agent = _agent(model, base_url, system, tool, max_loops, max_tokens, temperature)
    try:
        show_run(
            agent, sys.stdin.read() if task == "-" else task, "events" if events else "json" if as_json else "text"
        )
    except KeyboardInterrupt:
        # 128 + SIGINT, as shells expect it. typer itself prints a message and exits with code 1.
        raise typer.Exit(130) from None


@app.command("chat")
def chat(
    *,
    model: _Model = None,
    base_url: _BaseUrl = None,
    system: _System = None,
    tool: _Tools = None,
    max_loops: _MaxLoops = None,
    max_tokens: _MaxTokens = None,
    temperature: _Temperature = None,
    reasoning: Annotated[bool, typer.Option(help="Show the model's reasoning, on standard error.")] = False,
) -> None:
    """Talk with a model: each answer streams, Ctrl-C stops it, and the conversation goes on."""
    from .chat import chat as talk

    talk(_agent(model, base_url, system, tool, max_loops, max_tokens, temperature), reasoning=reasoning)


@app.command("map")
def map_tasks(
    file: Annotated[
        typer.FileText,
        typer.Argument(help="Tasks, one a line: JSON strings, objects, or plain text; - for standard input."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The file of the answers, as JSON lines. Tasks that it has are not asked again.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="How many tasks run at a time.")] = 32,
    rate: Annotated[float | None, typer.Option(help="How many tasks may begin in a second.")] = None,
    model: _Model = None,
    base_url: _BaseUrl = None,
    system: _System = None,
    tool: _Tools = None,
    max_loops: _MaxLoops = None,
    max_tokens: _MaxTokens = None,
    temperature: _Temperature = None,
    output_type: Annotated[str | None, typer.Option(help="The type of the answers, as module:Model.")] = None,
) -> None:
    """Run many tasks, and write a line of JSON about each. Exit code 1: some failed."""
    from .map import map_file, read_tasks
    from .references import load

    kind = None if output_type is None else load(output_type, "the type")
    agent = _agent(model, base_url, system, tool, max_loops, max_tokens, temperature, kind)
    try:
        failed = map_file(agent, read_tasks(file), out, concurrency=concurrency, rate=rate)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(1 if failed else 0)


def _agent(
    model: str | None,
    base_url: str | None,
    system: str | None,
    tools: list[str] | None,
    max_loops: str | None,
    max_tokens: int | None,
    temperature: float | None,
    output_type: Any = None,
) -> Agent:
    from headrace.agent import Agent

    from .references import load
    from .run import read_loops

    return Agent(
        model_name=model,
        llm_base_url=base_url,
        system_prompt=system,
        tools=[load(reference, "the tool") for reference in tools or ()],
        max_loops=read_loops(max_loops or ("10" if tools else "1")),
        max_tokens=max_tokens,
        temperature=temperature,
        output_type=output_type,
        print_on=False,
    )


@app.command("serve")
def serve(
    agents: Annotated[
        list[str] | None, typer.Argument(help="Agents and workflows, as module:name; none for the local model.")
    ] = None,
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model to serve without an agent. May be repeated."),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 for any free one.")] = 8000,
    keys: Annotated[Path | None, typer.Option(help="The file of the keys that clients need; see `keys new`.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Serve other machines without keys.")] = False,
    max_streams: Annotated[
        int | None, typer.Option(min=1, help="How many answers may run at a time; others wait.")
    ] = None,
    max_waiting: Annotated[int | None, typer.Option(min=0, help="How many requests may wait.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="How long an answer may take, in seconds.")] = None,
    on_disconnect: Annotated[
        str, typer.Option(help="'cancel' the run of a client that leaves, or 'continue' it, so that it can read on.")
    ] = "cancel",
    expose: Annotated[
        str | None,
        typer.Option(
            help="What clients are told besides: 'text', 'tools', 'all'; by default all, with keys only text."
        ),
    ] = None,
    cors: Annotated[list[str] | None, typer.Option(help="An origin whose pages may ask. May be repeated.")] = None,
    keep_alive: Annotated[float, typer.Option(help="Seconds of silence after which a comment is sent.")] = 15.0,
    access_log: Annotated[Path | None, typer.Option(help="A file that gets a line of JSON for each request.")] = None,
    page: Annotated[bool, typer.Option(help="Whether there is a page at /.")] = True,
    otel: Annotated[
        bool, typer.Option("--otel", help="Send traces and metrics by OTLP, as the variables OTEL_… say.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="How many processes serve.")] = 1,
    drain_seconds: Annotated[float, typer.Option(help="How long running answers may take after SIGTERM.")] = 30.0,
) -> None:
    """Serve agents to clients of OpenAI's and Anthropic's protocols, and to front ends."""
    from .serve import serve_agents

    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "keys": keys,
        "public": public,
        "max_streams": max_streams,
        "max_waiting": max_waiting,
        "max_seconds": max_seconds,
        "on_disconnect": on_disconnect,
        "expose": expose,
        "cors": cors or [],
        "keep_alive": keep_alive,
        "access_log": access_log,
        "page": page,
    }
    if otel:
        from .telemetry import send_telemetry

        send_telemetry()
    serve_agents(agents or [], model or [], options, workers, drain_seconds)


@app.command("truth")
def truth(
    *,
    first_ms: Annotated[float, typer.Option(min=0, help="From a request to its first token, in ms.")] = 50.0,
    interval_ms: Annotated[float, typer.Option(min=0, help="From one token to the next, in ms.")] = 10.0,
    tokens: Annotated[int, typer.Option(min=1, help="How many tokens an answer has.")] = 100,
    port: Annotated[int, typer.Option(help="The port; 0 for any free one.")] = 0,
    stamps: Annotated[
        Path | None, typer.Option(help="A file that gets the times of all writes when the server stops.")
    ] = None,
    check: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="STAMPS REPORT", help="Do not serve, but tell how far a tool's report is from the stamps."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON.")] = False,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="Also stop when standard input ends.")
    ] = False,
) -> None:
    """Serve answers whose times are known, to check a benchmark tool. Each token is the time of its write, in ns."""
    from .truth import serve_truth, show_check

    if check is not None:
        show_check(*check, as_json=as_json)
        return
    serve_truth(first_ms, interval_ms, tokens, port, stamps, until_stdin_closes=until_stdin_closes)


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    file: Annotated[Path, typer.Option(help="The file that the key's hash is added to.")] = Path("keys.toml"),
    streams: Annotated[int | None, typer.Option(min=1, help="How many answers at a time.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="How many requests in a minute.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="How many tokens in a minute.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model that it may ask. May be repeated.")] = None,
) -> None:
    """Make a key, add its hash to a file, and print the key. It is printed only this once."""
    from . import keys

    key = keys.new_key(
        name,
        file,
        streams=streams,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        models=tuple(model or ()),
    )
    typer.echo(key)


@app.command("decode")
def decode(
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(help="The recorded body of a response; - for standard input.")
    ],
    *,
    dialect: Annotated[
        str,
        typer.Option(help="openai_chat, openai_responses, anthropic, gemini, cohere, ollama, bedrock; auto to look."),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON, each delta included.")] = False,
) -> None:
    """Decode a recorded answer of a provider. Exit code 0 if it is complete, 1 if it is not, 2 for wrong usage."""
    from .decode import decode_file, show_response

    try:
        response = decode_file(file, dialect)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="--dialect") from None
    show_response(response, as_json=as_json)
    if response.state != "complete":
        raise typer.Exit(1)


@model_app.command("pull")
def pull(name: Annotated[str, typer.Argument(help="The model.")] = local.DEFAULT_MODEL) -> None:
    """Download a model's weights and print their path."""
    typer.echo(local.pull(name, progress=_to_stderr))


@model_app.command("list")
def list_models() -> None:
    """List the models: name, size, whether the weights are here, and their path."""
    for model in local.MODELS.values():
        state = "present" if model.present else "absent"
        typer.echo(f"{model.name:<16} {model.size // 1_000_000:>6} MB  {state:<8} {model.path}")


@model_app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="The model, such as openai/gpt-4o.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON, prices in USD per token.")] = False,
) -> None:
    """Print what litellm's price list has about a model: limits, abilities, and prices in USD per million tokens."""
    from .model import show_info

    show_info(name, as_json=as_json)


def _to_stderr(line: str) -> None:
    typer.echo(printable(line, sys.stderr), err=True)


if __name__ == "__main__":
    main()
