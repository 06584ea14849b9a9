"""The tests' own house: what they share lies in ``tests/support``, and no test imports from another test."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from support.harness import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TESTS = REPOSITORY / "tests"
FILES = sorted(TESTS.rglob("*.py"))
ROOMS = {path.name for path in TESTS.iterdir() if path.is_dir()} - {"support"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_imports_from_no_other_test(path: Path) -> None:
    for name in imported(path):
        parts = name.split(".")
        assert not parts[-1].startswith("test_"), name
        assert parts[0] not in ROOMS | {"tests", ""}, name
