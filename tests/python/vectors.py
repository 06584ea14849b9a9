"""Reads the conformance vectors: bytes, and what is expected of them. See ``tests/conformance``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from harness import REPOSITORY


@dataclass(frozen=True)
class Vector:
    """One vector."""

    name: str
    body: bytes
    expected: dict[str, Any]


def read_vectors(folder: str) -> list[Vector]:
    """All vectors of a folder of ``tests/conformance``."""
    files = sorted((REPOSITORY / "tests" / "conformance" / folder).glob("*.json"))
    return [Vector(file.stem, file.with_suffix(".sse").read_bytes(), json.loads(file.read_text())) for file in files]
