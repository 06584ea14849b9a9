"""Servers without a schema: a stream goes on if a member of an event has another type than expected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import headrace
from support.vectors import read_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS = {
    "openai": "openai_chat",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "cohere": "cohere",
    "ollama": "ollama",
}
OTHERS: list[Any] = [None, 7, -1, 1.5, "x", True, [], {}, [None], ["x"], [[]], {"a": 1}, [{}]]


def events(folder: str) -> Iterator[dict[str, Any]]:
    for vector in read_vectors(folder):
        if vector.expected["state"] == "complete":
            for line in vector.body.splitlines():
                try:
                    event = json.loads(line.removeprefix(b"data:"))
                except ValueError:
                    continue
                if isinstance(event, dict):
                    yield event


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield (*path, name)
        yield from places(member, (*path, name))


def with_another(event: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copy: Any = json.loads(json.dumps(event))
    parent = copy
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = value
    assert isinstance(copy, dict)
    return copy


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_member_of_the_wrong_type_does_not_end_the_stream(folder: str) -> None:
    tried: set[object] = set()
    for event in events(folder):
        for path in places(event):
            place = (event.get("type"), tuple(0 if isinstance(name, int) else name for name in path))
            if place in tried:
                continue
            tried.add(place)
            for other in OTHERS:
                changed = with_another(event, path, other)
                data = json.dumps(changed).encode()
                body = data + b"\n" if folder == "ollama" else b"data: " + data + b"\n\n"
                found = headrace.decode(body, FOLDERS[folder])
                assert found.state != "protocol", (changed, found.error)
    assert len(tried) > 10
