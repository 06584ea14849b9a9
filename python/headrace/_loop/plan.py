"""Reads the plan of an autonomous run: checks what the model wrote, and puts the steps in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from headrace._tools.arguments import InvalidArgumentsError

__all__ = ["PRIORITIES", "Subtask", "read_plan"]

PRIORITIES: Final = ("critical", "high", "medium", "low")
"""The most urgent first."""


class Subtask(NamedTuple):
    """One step of a plan.

    Attributes:
        id: The model's name for it.
        description: What is to be done.
        priority: One of ``PRIORITIES``.
        dependencies: The ids of the steps that come before.
    """

    id: str
    description: str
    priority: str = "medium"
    dependencies: tuple[str, ...] = ()


def read_plan(members: Mapping[str, Any]) -> list[Subtask]:
    """Reads the arguments of a call of ``create_plan``.

    Args:
        members: The arguments.

    Returns:
        The steps in the order in which they can be done: dependencies first, then by priority, then as written.

    Raises:
        InvalidArgumentsError: The plan is not valid: no steps, a step without id or description, two steps with the
            same id, a dependency that is not a step, or dependencies in a circle.
    """
    steps = members.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InvalidArgumentsError("steps must be a list with at least one step")
    subtasks = [_read_step(number, step) for number, step in enumerate(cast("list[object]", steps), 1)]
    _check(subtasks)
    return _in_order(subtasks)


def _read_step(number: int, step: object) -> Subtask:
    if not isinstance(step, Mapping):
        raise InvalidArgumentsError(f"step {number} must be an object with step_id and description")
    members = cast("Mapping[str, Any]", step)
    name, description = members.get("step_id"), members.get("description")
    if not isinstance(name, str | int) or name == "":
        raise InvalidArgumentsError(f"step {number} has no step_id")
    if not isinstance(description, str) or not description.strip():
        raise InvalidArgumentsError(f"step {name!r} has no description")
    priority = members.get("priority") or "medium"
    if priority not in PRIORITIES:
        raise InvalidArgumentsError(
            f"step {name!r} has priority {priority!r}; it must be one of {', '.join(PRIORITIES)}"
        )
    dependencies: object = members.get("dependencies") or []
    if not isinstance(dependencies, list):
        raise InvalidArgumentsError(f"the dependencies of step {name!r} must be a list of step_ids")
    return Subtask(str(name), description, priority, tuple(map(str, cast("list[object]", dependencies))))


def _check(subtasks: Sequence[Subtask]) -> None:
    known = [subtask.id for subtask in subtasks]
    for name in known:
        if known.count(name) > 1:
            raise InvalidArgumentsError(f"two steps have the step_id {name!r}")
    for subtask in subtasks:
        for dependency in subtask.dependencies:
            if dependency not in known:
                raise InvalidArgumentsError(
                    f"step {subtask.id!r} depends on {dependency!r}, but the steps are {', '.join(known)}"
                )


def _in_order(subtasks: Sequence[Subtask]) -> list[Subtask]:
    """Kahn's algorithm, with a heap that returns the most urgent of the steps whose dependencies are done."""
    open_dependencies = {subtask.id: set(subtask.dependencies) for subtask in subtasks}
    ready = [_rank(subtasks, subtask) for subtask in subtasks if not subtask.dependencies]
    heapq.heapify(ready)
    ordered: list[Subtask] = []
    while ready:
        done = subtasks[heapq.heappop(ready)[1]]
        ordered.append(done)
        for subtask in subtasks:
            if done.id in open_dependencies[subtask.id]:
                open_dependencies[subtask.id].discard(done.id)
                if not open_dependencies[subtask.id]:
                    heapq.heappush(ready, _rank(subtasks, subtask))
    if len(ordered) < len(subtasks):
        raise InvalidArgumentsError(f"the dependencies go in a circle: {_unordered(subtasks, ordered)}")
    return ordered


def _rank(subtasks: Sequence[Subtask], subtask: Subtask) -> tuple[int, int]:
    return PRIORITIES.index(subtask.priority), subtasks.index(subtask)


def _unordered(subtasks: Iterable[Subtask], ordered: Sequence[Subtask]) -> str:
    left = [subtask for subtask in subtasks if subtask not in ordered]
    return "; ".join(f"{subtask.id!r} needs {', '.join(map(repr, subtask.dependencies))}" for subtask in left)
