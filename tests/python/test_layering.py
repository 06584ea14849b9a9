"""Which module may import which: the order of ``design.md``, read from the sources."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest

from harness import REPOSITORY, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCES = {path.stem: path for path in (REPOSITORY / "python" / "headrace").glob("*.py")}

# What a module may import of headrace when it is imported itself.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "events": {"types", "errors"},
    "tools": {"events", "types", "errors"},
    "_parts": set(),
    "_context": {"_parts", "errors"},
    "_export": {"_parts", "errors"},
    "memory": {"_context", "events", "types", "errors"},
    "_requests": {"errors"},
    "_reasoning": {"types"},
    "_keys": {"types"},
    "_transport": set(),
    "_seam": {"_threads", "_transport"},
    "_wires": set(),
    "_caching": set(),
    "_plain": {"_reasoning", "_requests", "types", "errors"},
    "_frames": {"_requests", "types", "errors"},
    "_responses": {"_transport"},
    "_fallback": {"_reasoning", "_requests", "_responses", "types", "errors"},
    "_litellm_errors": {"types", "errors"},
    "_litellm": {
        "_caching",
        "_fallback",
        "_frames",
        "_keys",
        "_litellm_errors",
        "_reasoning",
        "_requests",
        "_seam",
        "_threads",
        "_wires",
        "types",
        "errors",
    },
    "providers": {"_plain", "_requests", "types", "errors"},
    "local": {"errors"},
    "_price_list": set(),
    "_prices": set(),
    "models": {"_price_list", "_prices", "types", "errors"},
    "_effects": {"events", "types"},
    "_plan": {"types"},
    "_loop": {"_effects", "_reasoning", "tools", "memory", "events", "types", "errors"},
    "_auto": {"_loop", "_plan", "_effects", "tools", "memory", "events", "types", "errors"},
    "_bell": {"_native"},
    "sse": {"_native"},
    "decoding": {"_native", "types", "errors"},
    "testing": {"_native"},
    "_complete": {"_context", "types"},
    "_run": {"_complete", "_read", "events", "types", "errors"},
    "_drive": {"_threads", "_native", "_bell", "_effects", "_loop", "providers", "types", "errors"},
    "_mcp_servers": {"errors"},
    "_mcp_sessions": {"_mcp_servers", "errors"},
    "mcp": {"_mcp_servers", "_mcp_sessions", "tools", "errors"},
    "_schema": {"_callables", "_strict", "errors"},
    "_callables": {"errors"},
    "_strict": {"errors"},
    "_threads": set(),
    "_tool_turn": {"_threads", "_effects", "tools", "errors"},
    "_dispatch": {"_callables", "_schema", "_threads", "tools", "types", "errors"},
    "_stream": {"types"},
    "_view": {"events"},
    "streams": {"_stream", "_drive", "_run", "types", "errors"},
}

# Who may import the extension when the program runs. All others may name its types.
NATIVE_IMPORTERS = {"_drive", "_bell", "decoding", "sse", "testing"}

# What a loop must not know: it holds policy, and the drivers do the work.
NOT_IN_A_LOOP = {"asyncio", "threading", "concurrent", "queue", "socket", "time", "select"}


def imports(module: str, *, lazy: bool) -> Iterator[str]:
    """The modules that a module imports at run time, those of headrace with a dot in front.

    Imports in functions count only if ``lazy``, and those under ``TYPE_CHECKING`` never do.
    """
    pending: list[ast.AST] = [ast.parse(SOURCES[module].read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not lazy:
            continue
        elif isinstance(node, ast.Import):
            yield from (alias.name.replace("headrace.", ".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "." * node.level + (node.module or "")
            inside = package in {".", "headrace"}
            yield from (f".{alias.name}" for alias in node.names) if inside else [package.replace("headrace.", ".")]
        else:
            pending += ast.iter_child_nodes(node)


def own_imports(module: str, *, lazy: bool) -> set[str]:
    return {name[1:] for name in imports(module, lazy=lazy) if name.startswith(".")}


def test_the_reader_of_imports_sees_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        import json, headrace.errors
        from typing import TYPE_CHECKING
        from . import _native
        from .types import Turn
        from headrace import cli
        if TYPE_CHECKING:
            from .streams import RunStream
        def f():
            from .local import serve
    """
    path = tmp_path / "m.py"
    path.write_text("\n".join(line[8:] for line in source.splitlines()))
    monkeypatch.setitem(SOURCES, "m", path)
    at_import = {"json", ".errors", "typing", "._native", ".types", ".cli"}
    assert set(imports("m", lazy=False)) == at_import
    assert set(imports("m", lazy=True)) == at_import | {".local"}


@pytest.mark.parametrize("module", sorted(ALLOWED.keys() & SOURCES.keys()))
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    assert own_imports(module, lazy=False) <= ALLOWED[module]


def test_providers_loads_only_the_way_that_is_gone() -> None:
    assert own_imports("providers", lazy=True) - own_imports("providers", lazy=False) == {
        "_fallback",
        "_frames",
        "_litellm",
    }
    assert own_imports("_plain", lazy=True) - own_imports("_plain", lazy=False) == {"local"}


def test_one_module_imports_litellm() -> None:
    assert {module for module in SOURCES if "litellm" in set(imports(module, lazy=True))} == {"_litellm"}


def test_only_the_drivers_and_what_exposes_the_extension_import_it() -> None:
    assert {module for module in SOURCES if "_native" in own_imports(module, lazy=True)} <= NATIVE_IMPORTERS


@pytest.mark.parametrize("module", sorted({"_loop", "_auto", "_plan", "_effects"} & SOURCES.keys()))
def test_a_loop_does_no_io(module: str) -> None:
    found = {name.split(".")[0] for name in imports(module, lazy=True) if not name.startswith(".")}
    assert not found & NOT_IN_A_LOOP


HEAVY = {"litellm", "pydantic", "rich", "typer", "xllamacpp", "httpx", "aiohttp"}


def test_importing_headrace_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("headrace")


def test_importing_what_else_is_public_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by(
        "headrace.sse",
        "headrace.decoding",
        "headrace.testing",
        "headrace.local",
        "headrace.errors",
        "headrace.models",
    )


def test_importing_headrace_starts_no_thread_and_says_nothing() -> None:
    run = run_python("import headrace, os; print(len(os.listdir('/proc/self/task')) if os.path.exists('/proc') else 1)")
    assert (run.returncode, run.stdout, run.stderr) == (0, "1\n", "")


def loaded_by(*modules: str) -> set[str]:
    """The top-level packages that importing these modules loads in a fresh process."""
    run = run_python(f"import {', '.join(modules)}, sys; print(*sys.modules)")
    assert run.returncode == 0, run.stderr
    return {name.split(".")[0] for name in run.stdout.split()}


def test_the_public_names_are_there_and_no_others() -> None:
    run = run_python("""
        import headrace
        print(sorted(set(headrace.__all__) - set(dir(headrace))))
        from headrace import *
        print(Agent.__module__)
    """)
    assert run.stdout.split() == ["[]", "headrace.agent"], run.stderr
    assert sys.modules["headrace"].__all__ == sorted(sys.modules["headrace"].__all__)
