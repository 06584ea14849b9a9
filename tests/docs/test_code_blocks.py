"""The Python of the documentation runs, block after block, against the simulator.

A page says what the simulator answers in a comment in its first line: ``<!-- simulator: {…} -->``.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import headrace
from headrace.testing import Simulator

if TYPE_CHECKING:
    from headrace.pytest_plugin import StartSimulator

DOCS: Final = Path(__file__).parents[2] / "docs"
BLOCK: Final = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SCRIPT: Final = re.compile(r"\A<!-- simulator: (\{.*?\}) -->\n")
NOT_RUN: Final = {
    "serving.md": "it is about servers that run until they are stopped, which tests/serve does",
    "providers.md": "it names providers that are not here",
    "reliability.md": "it has excerpts",
    "simulator.md": "its examples are a test module of their own, in tests/simulator",
    "from-swarms.md": "its one line is tested in tests/compat",
}
"""Pages whose blocks are no programs, and why."""

PAGES: Final = sorted(page.name for page in DOCS.glob("*.md") if BLOCK.search(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", [name for name in PAGES if name not in NOT_RUN])
def test_every_block_runs(name: str, monkeypatch: pytest.MonkeyPatch, headrace_simulator: StartSimulator) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    found = SCRIPT.match(text)
    script: dict[str, Any] = json.loads(found[1]) if found else {"turns": [{"text": ["Hello", ", world."]}]}
    with Simulator(**script) as simulator:
        monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        names: dict[str, Any] = {"__name__": f"docs_{name.removesuffix('.md').replace('-', '_')}"}
        for block in BLOCK.findall(text):
            exec(compile(block, str(DOCS / name), "exec", dont_inherit=True), names)
        for test in [value for key, value in names.items() if key.startswith("test_") and inspect.isfunction(value)]:
            test(headrace_simulator)
        assert simulator.report()["requests"] or name == "testing.md", "the page asked nothing"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    missing = [
        page.name
        for page in DOCS.glob("*.md")
        if not re.search(rf"- {re.escape(page.name)}$", navigation, re.MULTILINE)
    ]
    assert missing == []


def test_errors_of_the_table_exist() -> None:
    table = (DOCS / "errors.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named <= set(dir(headrace))
    assert len(named) > 20
