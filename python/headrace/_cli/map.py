"""``headrace map``: a file of tasks, and a file of answers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.agent import Agent

__all__ = ["map_file", "read_tasks"]


def read_tasks(file: TextIO) -> list[Any]:
    """Reads tasks, one a line: JSON strings, objects with the arguments of a run (``{"task": …}``), or plain text.

    Args:
        file: The file.

    Raises:
        ConfigurationError: There are none, or an object has neither ``task`` nor ``messages``.
    """
    tasks = [_task(line, number) for number, line in enumerate(file, start=1) if line.strip()]
    if not tasks:
        raise ConfigurationError("there are no tasks in the file")
    return tasks


def _task(line: str, number: int) -> Any:
    text = line.strip()
    if text[0] not in '{"':
        return text
    try:
        task: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"line {number} is no JSON: {error}") from None
    members: dict[str, Any] | None = cast("Any", task) if isinstance(task, dict) else None
    if members is None:
        return cast("Any", task)
    if members.keys().isdisjoint({"task", "messages"}):
        raise ConfigurationError(f"line {number} has neither 'task' nor 'messages'")
    return members


def map_file(agent: Agent, tasks: list[Any], out: Path | None, *, concurrency: int, rate: float | None) -> int:
    """Runs tasks, and writes a line of JSON about each, in order.

    Args:
        agent: Runs them.
        tasks: The tasks.
        out: The file; tasks whose answers it has are not asked again. None for standard output.
        concurrency: How many run at a time.
        rate: How many may begin in a second.

    Returns:
        How many failed.
    """
    failed = 0
    for result in agent.map(
        tasks, concurrency=concurrency, rate=rate, resume=out, ordered=out is None, progress=sys.stderr.isatty()
    ):
        if out is None:
            print(json.dumps(result.to_dict(), ensure_ascii=False), flush=True)
        if result.error is not None:
            failed += 1
            print(f"headrace: task {result.index} failed: {result.error}", file=sys.stderr)
    return failed
