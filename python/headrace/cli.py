"""The command ``headrace``.

Results go to standard output, progress and errors to standard error. An error that headrace knows is one line and
exit code 1. A further command is one more function with ``@app.command()``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import typer

from . import local
from .errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "main"]

app = typer.Typer(
    name="headrace",
    help="Stream LLM tokens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
model_app = typer.Typer(help="Models that run on this machine, without an API key.", no_args_is_help=True)
app.add_typer(model_app, name="model")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits.

    Args:
        arguments: The arguments after the command's name; those of this process if None.

    Raises:
        SystemExit: Always. Code 0 for success, 1 for an error that headrace knows, 2 for wrong usage.
    """
    try:
        app(args=None if arguments is None else list(arguments))
    except HeadraceError as error:
        typer.echo(f"headrace: {error}", err=True)
        raise SystemExit(1) from None


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


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    main()
