"""The rooms of ``python/headrace``: which module is in which room, and who may import whom.

Four things are wrong with a house, and each is caught by a check of its own: a module that is in no room, an import
that goes up, one that reaches inside another room, and a circle. Imports in functions and those for type checkers
count as all others do.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE: Final = Path(__file__).parents[2] / "python" / "headrace"

FLOORS: Final = (
    # By themselves: what all rooms speak, and what users have of the native part.
    *(
        "notebook",
        "errors",
        "_native",
        "connection",
        "types",
        "defaults",
        "events",
        "sse",
        "decoding",
        "testing",
        "pytest_plugin",
    ),
    "_concurrency",
    *("_conversation", "memory"),
    *("_tools", "tools"),
    *("_mcp", "mcp"),
    *("_models", "models", "local"),
    "_providers",
    "_loop",
    *("_run", "streams", "otel"),
    *("batches", "_agent", "agent"),
    *("_workflow", "workflow"),
    *("_swarms", "compat"),
    *("_serve", "serve", "ray"),
    *("_bench", "bench"),
    "_cli",
    *("__init__", "__main__"),
)
"""The rooms, and the public modules that stand by themselves, the lowest first. Imports go down only."""


@dataclass(frozen=True)
class Import:
    """One import of something of headrace: ``from MODULE import NAME``, or ``import MODULE``."""

    line: int
    module: str
    name: str | None


@dataclass(frozen=True)
class House:
    """The modules of a package, each with its source, and the rooms that they should be in.

    ``sources`` is by dotted name below the package; that of a room's ``__init__`` is the room's own.
    """

    sources: Mapping[str, str]
    floors: tuple[str, ...]

    def room_of(self, module: str) -> str | None:
        """The innermost package that a module is in, or the module that stands by itself; None if in no room."""
        top, *rest = module.split(".")
        if top not in self.floors:
            return None
        prefixes = [".".join([top, *rest[:length]]) for length in range(len(rest), 0, -1)]
        return next(filter(self._is_package, prefixes), top)

    def _is_package(self, name: str) -> bool:
        return any(module.startswith(f"{name}.") for module in self.sources)

    def floor_of(self, module: str) -> int:
        """How high a module's room is."""
        return self.floors.index(module.split(".", maxsplit=1)[0])

    def imports(self, module: str) -> Iterator[Import]:
        """What a module imports of the package, wherever in the file."""
        here = [] if module == "__init__" else module.split(".")
        package = here if self._is_package(module) else here[:-1]
        for node in ast.walk(ast.parse(self.sources[module])):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.startswith("headrace."):
                        yield Import(node.lineno, alias.name.removeprefix("headrace."), None)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node, package)
                if base is None:
                    continue
                for alias in node.names:
                    whole = f"{base}.{alias.name}" if base else alias.name
                    is_module = whole in self.sources
                    yield Import(
                        node.lineno, whole if is_module else base or "__init__", None if is_module else alias.name
                    )

    @staticmethod
    def _base(node: ast.ImportFrom, package: list[str]) -> str | None:
        """The package or module that stands after ``from``, below headrace; None if it is another's."""
        if node.level:
            above = package[: len(package) - (node.level - 1)]
            return ".".join([*above, *filter(None, [node.module])])
        if node.module == "headrace":
            return ""
        name = node.module or ""
        return name.removeprefix("headrace.") if name.startswith("headrace.") else None

    def offered(self, module: str) -> set[str]:
        """What others may import of a module, by its ``__all__``; of a room, the modules in its ``OFFERED``."""
        name = "OFFERED" if self._is_package(module) else "__all__"
        for node in ast.parse(self.sources[module]).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return set(ast.literal_eval(node.value))
        return set()

    # --- the four checks -----------------------------------------------------------------------------------------

    def homeless(self) -> list[str]:
        """Modules that are in no room."""
        return [module for module in self.sources if self.room_of(module) is None]

    def upward(self) -> list[str]:
        """Imports that go up."""
        return [
            f"{module}:{each.line} imports {each.module}, which is above it"
            for module, each in self._edges()
            if self.floor_of(each.module) > self.floor_of(module)
        ]

    def intruding(self) -> list[str]:
        """Imports that reach inside another room: a module that its ``__init__`` does not name, or a private name."""
        found: list[str] = []
        for module, each in self._edges():
            room = str(self.room_of(each.module))
            # A room within a room may use what is around it.
            if f"{module}.".startswith(f"{room}.") or not self._is_package(room):
                continue
            inner = each.module.removeprefix(room).lstrip(".")
            if inner and inner not in self.offered(room):
                found.append(f"{module}:{each.line} imports {each.module}, which the room does not offer")
            if each.name is not None and each.name not in self.offered(each.module):
                found.append(f"{module}:{each.line} imports {each.name}, which {each.module} does not offer")
        return found

    def circles(self) -> list[str]:
        """A circle of imports, if there is one."""
        graph: dict[str, set[str]] = {module: set() for module in self.sources}
        for module, each in self._edges():
            if each.module != module:
                graph[module].add(each.module)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            return [" → ".join(reversed(error.args[1]))]
        return []

    def _edges(self) -> Iterator[tuple[str, Import]]:
        for module in self.sources:
            for each in self.imports(module):
                if each.module in self.sources and self.room_of(module) and self.room_of(each.module):
                    yield module, each


def sources_of(package: Path) -> dict[str, str]:
    """The modules of a package by dotted name, the stub of the extension included."""
    sources: dict[str, str] = {}
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.pyi")]):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1]) if parts[-1] == "__init__" and len(parts) > 1 else ".".join(parts)
        sources[name] = path.read_text()
    return sources


HOUSE: Final = House(sources_of(PACKAGE), FLOORS)


def test_every_module_is_in_a_room() -> None:
    assert HOUSE.homeless() == []


def test_every_room_is_there_and_says_what_it_is_for() -> None:
    assert set(FLOORS) - HOUSE.sources.keys() == set()
    for room in FLOORS:
        assert ast.get_docstring(ast.parse(HOUSE.sources[room])), f"{room} does not say what it is for"


def test_what_a_room_offers_is_there() -> None:
    rooms = [room for room in FLOORS if any(module.startswith(f"{room}.") for module in HOUSE.sources)]
    offered = {f"{room}.{name}" for room in rooms for name in HOUSE.offered(room)}
    assert offered - HOUSE.sources.keys() == set()


def test_imports_go_down() -> None:
    assert HOUSE.upward() == []


def test_no_import_reaches_inside_another_room() -> None:
    assert HOUSE.intruding() == []


def test_no_imports_go_in_a_circle() -> None:
    assert HOUSE.circles() == []


# --- each of the four is caught ------------------------------------------------------------------------------------

SOUND: Final = {
    "__init__": "from .agent import Agent",
    "errors": "",
    "_low": 'OFFERED = ("door",)',
    "_low.door": '__all__ = ["open_it"]\nfrom .inner import thing',
    "_low.inner": "from headrace.errors import Broken",
    "agent": "from ._low.door import open_it",
}
SOUND_FLOORS: Final = ("errors", "_low", "agent", "__init__")


def faults(changed: Mapping[str, str]) -> dict[str, list[str]]:
    """What the four checks find in the sound house with some modules in other words."""
    house = House({**SOUND, **changed}, SOUND_FLOORS)
    found = {
        "homeless": house.homeless(),
        "upward": house.upward(),
        "intruding": house.intruding(),
        "circles": house.circles(),
    }
    return {check: places for check, places in found.items() if places}


def ways_to_import(statement: str) -> list[str]:
    """The same import at the top of a file, in a function, and for type checkers only."""
    return [
        statement,
        f"def f():\n    {statement}",
        f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {statement}",
    ]


def test_a_sound_house_has_no_faults() -> None:
    assert faults({}) == {}


def test_a_module_in_no_room_is_caught() -> None:
    assert faults({"stray": ""}) == {"homeless": ["stray"]}
    assert faults({"_attic.box": ""}) == {"homeless": ["_attic.box"]}


@pytest.mark.parametrize("statement", ways_to_import("from headrace.agent import Agent"))
def test_an_import_that_goes_up_is_caught(statement: str) -> None:
    assert list(faults({"_low.inner": statement})) == ["upward", "circles"]
    assert list(faults({"errors": statement.replace("headrace.agent", ".agent")})) == ["upward", "circles"]
    assert list(faults({"_low.spare": "import headrace.agent"})) == ["upward"]


@pytest.mark.parametrize("statement", ways_to_import("from headrace._low.inner import thing"))
def test_an_import_of_what_a_room_does_not_offer_is_caught(statement: str) -> None:
    assert list(faults({"agent": statement})) == ["intruding"]
    assert list(faults({"agent": statement.replace("headrace._low.inner import thing", "._low import inner")})) == [
        "intruding"
    ]
    assert list(faults({"agent": "from ._low.door import _private"})) == ["intruding"]


@pytest.mark.parametrize("statement", ways_to_import("from .door import open_it"))
def test_a_circle_is_caught(statement: str) -> None:
    assert list(faults({"_low.inner": statement})) == ["circles"]


def test_a_module_that_imports_itself_through_its_room_is_a_circle() -> None:
    assert list(
        faults({"_low": 'OFFERED = ("door",)\nfrom . import door', "_low.inner": "from headrace import _low"})
    ) == ["circles"]


# --- what only some rooms may know -----------------------------------------------------------------------------------


def packages_imported_by(room: str) -> dict[str, set[str]]:
    """The top-level packages that each module of a room imports, wherever in the file."""
    found: dict[str, set[str]] = {}
    for module, source in HOUSE.sources.items():
        if HOUSE.room_of(module) == room:
            found[module] = set()
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Import):
                    found[module] |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found[module].add((node.module or "").split(".")[0])
    return found


def test_a_loop_does_no_io() -> None:
    """It holds policy, and the drivers do the work."""
    not_in_a_loop = {"asyncio", "threading", "concurrent", "queue", "socket", "select"}
    found = packages_imported_by("_loop")
    assert found
    assert {module: names & not_in_a_loop for module, names in found.items() if names & not_in_a_loop} == {}


def test_one_module_imports_litellm() -> None:
    rooms = {HOUSE.room_of(module) for module in HOUSE.sources}
    found = {module: names for room in rooms for module, names in packages_imported_by(str(room)).items()}
    assert {module for module, names in found.items() if "litellm" in names} == {"_providers.litellm.build"}
