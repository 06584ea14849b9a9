"""``headrace decode``: prints what a recorded answer contains."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from headrace._agent.terminal import printable, printable_json
from headrace.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.decoding import Choice, Response
    from headrace.errors import StreamError

__all__ = ["decode_file", "show_response"]

_PIECE = 64 * 1024


def decode_file(file: BinaryIO, dialect: str) -> Response:
    """Decodes a file, piece by piece.

    Args:
        file: The file.
        dialect: Its dialect, or ``"auto"``.

    Returns:
        The response in it.

    Raises:
        ConfigurationError: There is no such dialect.
    """
    return decode(iter(lambda: file.read(_PIECE), b""), dialect)


def show_response(response: Response, *, as_json: bool) -> None:
    """Prints a response to standard output.

    Args:
        response: The response.
        as_json: As one line of JSON, instead of a table.
    """
    if as_json:
        print(printable_json(json.dumps(_as_json(response), ensure_ascii=False), sys.stdout))
        return
    if sys.stdout.isatty():
        _show_table(response)
        return
    for name, value in _rows(response):
        print(printable(f"{name}: {value}" if "\n" not in value else f"{name}:\n{value}", sys.stdout))


def _as_json(response: Response) -> dict[str, Any]:
    fields = {
        field.name: getattr(response, field.name)
        for field in dataclasses.fields(response)
        if field.name not in {"deltas", "error", "choices"}
    }
    first = _choice_as_json(response.first)
    del first["index"]
    return {
        **fields,
        **first,
        "usage": None if response.usage is None else dataclasses.asdict(response.usage),
        "error": _error_as_json(response.error),
        "choices": [_choice_as_json(choice) for choice in response.choices],
        "deltas": [{"type": delta.type, **dataclasses.asdict(delta)} for delta in response.deltas],
    }


def _choice_as_json(choice: Choice) -> dict[str, Any]:
    fields = dataclasses.asdict(choice)
    for call in fields["tool_calls"]:
        if call["signature"] is None:
            # Left out, because few providers sign tool calls.
            del call["signature"]
        if call["complete"]:
            # Left out, because nearly all are.
            del call["complete"]
    return fields


def _error_as_json(error: StreamError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"type": type(error).__name__, "message": str(error), "status": error.status, "code": error.code}


def _rows(response: Response) -> Iterator[tuple[str, str]]:
    """Names and values for the table. What the response does not contain has no row."""
    yield "state", response.state
    for name in ("dialect", "model", "id"):
        value = getattr(response, name)
        if value is not None:
            yield name, value
    for choice in response.choices:
        for name, value in _choice_rows(choice):
            yield (name if choice.index == 0 else f"{name} [{choice.index}]"), value
    if response.usage is not None:
        counts = dataclasses.asdict(response.usage)
        known = [f"{name} {count}" for name, count in counts.items() if isinstance(count, int)]
        yield "usage", ", ".join(known)
    if response.error is not None:
        yield "error", f"{type(response.error).__name__}: {response.error}"


def _choice_rows(choice: Choice) -> Iterator[tuple[str, str]]:
    for name in ("reasoning", "text", "refusal"):
        value = getattr(choice, name)
        if value:
            yield name, value
    for call in choice.tool_calls:
        yield "tool call", f"{call.name} {call.arguments or '{}'}" + (f" ({call.id})" if call.id else "")
    if choice.finish_reason is not None:
        raw = choice.finish_reason_raw
        yield "finish", choice.finish_reason + (f" ({raw})" if raw and raw != choice.finish_reason else "")


def _show_table(response: Response) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold blue", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(response):
        table.add_row(Text(name), Text(printable(value, sys.stdout)))
    Console().print(table)
