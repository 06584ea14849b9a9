"""Traces of real load: when requests came, and how long their prompts and answers were."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

from .prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from .synthetic import Writer

__all__ = ["Entry", "prompts_of_trace", "read_trace"]

_BLOCK: Final = 512
"""The tokens of a block that Mooncake's ``hash_ids`` name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of a trace.

    Attributes:
        at: When it came, in seconds from the first.
        input_tokens: The length of its prompt.
        output_tokens: The length of its answer.
        blocks: Names of the prompt's blocks of 512 tokens; prompts with the same first names share a prefix.
    """

    at: float
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


def read_trace(path: Path, speed: float = 1.0) -> list[Entry]:
    """Reads a trace.

    Args:
        path: Mooncake's JSON lines (``timestamp`` in milliseconds, ``input_length``, ``output_length``, ``hash_ids``),
            BurstGPT's CSV (``Timestamp`` in seconds, ``Request tokens``, ``Response tokens``), or Azure's
            (``TIMESTAMP`` as a date, ``ContextTokens``, ``GeneratedTokens``).
        speed: How many times as fast it is played.

    Returns:
        The requests, in the order of their times. Those without an answer (BurstGPT's failures) are left out.

    Raises:
        ConfigurationError: The file cannot be read, has another form, or is empty.
    """
    if not speed > 0:
        raise ConfigurationError(f"the speed of a trace must be above zero, not {speed}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            is_json = file.read(1) == "{"
            file.seek(0)
            rows: Iterable[Mapping[str, Any]] = (
                map(json.loads, filter(str.strip, file)) if is_json else csv.DictReader(file)
            )
            found = [entry for row in rows if (entry := _entry(row)).output_tokens > 0]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(f"the trace {path} cannot be read: {why}") from None
    if not found:
        raise ConfigurationError(f"the trace {path} has no requests")
    found.sort(key=lambda entry: entry.at)
    first = found[0].at
    return [Entry((each.at - first) / speed, each.input_tokens, each.output_tokens, each.blocks) for each in found]


def _entry(row: Mapping[str, Any]) -> Entry:
    form = next((form for name, form in _FORMS.items() if name in row), None)
    if form is None:
        raise ValueError(f"it has the columns {', '.join(map(str, row))}, not those of Mooncake, BurstGPT or Azure")
    return form(row)


def _mooncake(row: Mapping[str, Any]) -> Entry:
    blocks = tuple(row.get("hash_ids") or ())
    return Entry(float(row["timestamp"]) / 1e3, int(row["input_length"]), int(row["output_length"]), blocks)


def _burst_gpt(row: Mapping[str, Any]) -> Entry:
    return Entry(float(row["Timestamp"]), int(row["Request tokens"]), int(row["Response tokens"]))


def _azure(row: Mapping[str, Any]) -> Entry:
    # Seven digits after the point, of which Python 3.10 reads only six.
    date, _, fraction = str(row["TIMESTAMP"]).rstrip("Z").partition(".")
    at = datetime.fromisoformat(f"{date}+00:00" if "+" not in date else date).timestamp()
    seconds = float(f"0.{fraction.partition('+')[0]}") if fraction else 0.0
    return Entry(at + seconds, int(row["ContextTokens"]), int(row["GeneratedTokens"]))


_FORMS: Final[Mapping[str, Callable[[Mapping[str, Any]], Entry]]] = {
    "input_length": _mooncake,
    "Request tokens": _burst_gpt,
    "ContextTokens": _azure,
}


def prompts_of_trace(entries: Sequence[Entry], writer: Writer, seed: int) -> list[Prompt]:
    """A prompt for each request of a trace, as long as its, with the same shared prefixes."""
    return [
        Prompt(
            ({"role": "user", "content": _text(entry, writer, (seed, number))},),
            (),
            {"max_tokens": entry.output_tokens},
        )
        for number, entry in enumerate(entries)
    ]


def _text(entry: Entry, writer: Writer, key: tuple[int, int]) -> str:
    tokens = max(1.0, entry.input_tokens - writer.overhead)
    if not entry.blocks:
        return writer.write(tokens, key)
    texts = list[str]()
    for block in entry.blocks:
        if tokens <= 0:
            break
        texts.append(writer.write(min(_BLOCK, tokens), ("block", block)))
        tokens -= _BLOCK
    return " ".join(texts)
