"""The extension's stub, which is its documentation, says what the extension is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.harness import PATIENCE, REPOSITORY


def test_the_stub_is_that_of_the_extension() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy.stubtest", "headrace._native", "--mypy-config-file", "pyproject.toml"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
