"""Reads the conformance vectors: bodies, and what they must be decoded to. See ``tests/conformance``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.harness import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

# The file name endings of bodies: one for each framing, and one for bodies that are not streams.
BODIES = (".sse", ".ndjson", ".awses", ".body")


@dataclass(frozen=True)
class Vector:
    """One vector."""

    name: str
    body: bytes
    expected: dict[str, Any]


def read_vectors(folder: str) -> list[Vector]:
    """All vectors of a folder of ``tests/conformance``."""
    files = sorted((REPOSITORY / "tests" / "conformance" / folder).glob("*.json"))
    return [Vector(file.stem, _body(file).read_bytes(), json.loads(file.read_text())) for file in files]


def _body(expected: Path) -> Path:
    [body] = [path for ending in BODIES if (path := expected.with_suffix(ending)).exists()]
    return body
