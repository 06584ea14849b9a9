"""The public API is documented: every class and function has a docstring, and the examples in the docstrings run.

An example is written for ``doctest``, as ``>>>``. It may use the names of its module and these: ``Agent``,
``Simulator``, ``simulator``, a simulator that answers "Hello, world." in three tokens, and ``agent``, an agent whose
model is that simulator. Everything else is imported by the example itself.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import types
from typing import TYPE_CHECKING, Any, Final

import pytest

import headrace
from headrace import Agent
from headrace.testing import Simulator
from support.harness import agent_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULES: Final = [
    headrace,
    *(
        importlib.import_module(f"headrace.{found.name}")
        for found in pkgutil.iter_modules(headrace.__path__)
        if not found.name.startswith("_")
    ),
]
TOKENS: Final = ("Hello", ", ", "world.")
OPTIONS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def documented(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """A public module, its public classes and functions, and their base classes in private modules."""
    yield module.__name__, module
    for name in module.__all__:
        public = getattr(module, name)
        if inspect.isclass(public):
            for each in public.__mro__:
                if each.__module__.startswith("headrace"):
                    yield f"{module.__name__}.{name}" if each is public else f"{each.__module__}.{each.__name__}", each
        elif inspect.isroutine(public):
            yield f"{module.__name__}.{name}", public


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class defines. Those of native classes are documented in the stub."""
    for name, member in vars(owner).items():
        unwrapped = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if not name.startswith("_") and isinstance(unwrapped, types.FunctionType | property):
            yield name, unwrapped


def all_documented() -> dict[str, Any]:
    """All of these, each once, by the first of its names."""
    found: dict[int, tuple[str, Any]] = {}
    for module in MODULES:
        for name, each in documented(module):
            found.setdefault(id(each), (name, each))
    return dict(found.values())


DOCUMENTED: Final = all_documented()


def all_examples() -> list[doctest.DocTest]:
    """The examples of one docstring are one test."""
    finder = doctest.DocTestFinder(recurse=True, exclude_empty=True)
    modules_only = doctest.DocTestFinder(recurse=False, exclude_empty=True)
    tests: list[doctest.DocTest] = []
    for name, each in DOCUMENTED.items():
        is_module = isinstance(each, types.ModuleType)
        home = each if is_module else importlib.import_module(name.rpartition(".")[0])
        names = {public: getattr(home, public) for public in getattr(home, "__all__", ())}
        # False: do not leave out what another module defines.
        tests += (modules_only if is_module else finder).find(each, name, module=False, globs=names)
    return [test for test in tests if test.examples]


EXAMPLES: Final = all_examples()


def run(test: doctest.DocTest, names: dict[str, Any]) -> str:
    """Runs the examples of a docstring. Gives the report of those that failed."""
    report: list[str] = []
    test.globs = {**test.globs, **names}
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append, clear_globs=False)
    return "".join(report)


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_the_examples_of_a_docstring_run(
    test: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-examples")
    with Simulator(turns=[{"text": list(TOKENS)}]) as simulator:
        names = {"Agent": Agent, "Simulator": Simulator, "simulator": simulator, "agent": agent_at(simulator)}
        if report := run(test, names):
            pytest.fail(report, pytrace=False)


def test_the_examples_are_found() -> None:
    """In docstrings of modules, of classes, and of functions that another module defines."""
    assert {"headrace.events", "headrace.Timing", "headrace.as_tool"} <= {test.name for test in EXAMPLES}


def test_an_example_that_is_wrong_is_reported() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert "Expected:\n    3\nGot:\n    2\n" in run(wrong, {})


def has_docstring(name: str, documented: Any) -> bool:
    # A dataclass without a docstring gets its signature as one.
    text: str | None = documented.__doc__
    return bool(text) and not str(text).startswith(f"{name.rpartition('.')[2]}(")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_public_has_a_docstring(name: str) -> None:
    public = DOCUMENTED[name]
    inner = dict(members(public)) if inspect.isclass(public) else {}
    assert [each for each, value in {name: public, **inner}.items() if not has_docstring(each, value)] == []
