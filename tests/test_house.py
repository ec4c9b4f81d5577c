"""The import graph, drawn from the code, held to the plan of the house.

Every import counts: those inside functions, and those for type annotations alone, since a reader has to follow them
all the same. Left out is the package's own `__init__.py`, the door through which users reach every room.

To add a room, give it a floor in `FLOORS`. To add a file to a room, nothing.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "unlearn_audit"
FOLDERS = {PACKAGE: ROOT / PACKAGE, f"{PACKAGE}.cli": ROOT / "cli"}
BASE = (
    *(PACKAGE, "_lazy", "bounded", "errors", "files", "folders"),
    *("id_files", "names", "populations", "processes", "registry", "remote"),
)
# From the ground up. A room imports only from floors below its own.
FLOORS = (
    BASE,
    ("predictions",),
    ("data", "measures", "proximities", "strata"),
    ("evaluate_modules", "models", "neighbourhood"),
    ("auditing", "training"),
    ("methods", "saved"),
    ("given", "reporting"),
    ("calibration", "door", "experiment", "planning", "publishing"),
    ("__main__", "cli"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MAKING = {"data", "methods", "models", "training"}
JUDGING = {
    *("auditing", "evaluate_modules", "measures", "neighbourhood", "predictions"),
    *("proximities", "reporting", "saved", "strata"),
}


@cache
def modules() -> dict[str, Path]:
    """Return the file of each module, by its name."""
    found = {}
    for name, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((name, *(part for part in parts if part != "__init__")))] = path
    return found


def imported(module: str, text: str, known: dict[str, Path]) -> set[str]:
    """Return the modules among `known` that the source `text` of `module` imports."""
    package = module if known[module].name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{source}.{alias.name}" for alias in node.names}
            found |= {name if name in known else source for name in names}
    return (found & known.keys()) - {module}


@cache
def arrows() -> dict[str, set[str]]:
    """Return what each module imports of the package; the door itself imports nothing."""
    known = modules()
    return {
        name: imported(name, path.read_text(encoding="utf-8"), known) if name != PACKAGE else set()
        for name, path in known.items()
    }


def room(module: str) -> str:
    """Return the first part of a module's name below the package."""
    return module.split(".")[1] if "." in module else module


@cache
def arrows_of_rooms() -> dict[str, dict[str, str]]:
    """Return, for each room and each other room that it imports, one import in words."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for module, others in sorted(arrows().items()):
        found[room(module)] |= {}
        for other in sorted(others):
            if room(other) != room(module):
                found[room(module)].setdefault(room(other), f"{module} -> {other}")
    return found


def circle(graph: dict[str, set[str]]) -> str:
    """Return a circle of the graph in words, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def test_every_room_has_a_floor_and_every_floor_has_rooms() -> None:
    rooms = {room(module) for module in modules()}
    assert rooms - FLOOR_OF.keys() == set(), "rooms without a floor"
    assert FLOOR_OF.keys() - rooms == set(), "floors for rooms that are gone"
    assert len(FLOORS) <= 9


def test_files_do_not_import_each_other_in_a_circle() -> None:
    assert circle(arrows()) == ""


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    graph = {room: set(others) for room, others in arrows_of_rooms().items() if room not in BASE}
    assert circle(graph) == ""


def test_no_import_goes_up() -> None:
    upward = [
        arrow
        for room, others in arrows_of_rooms().items()
        for other, arrow in others.items()
        if FLOOR_OF[other] >= FLOOR_OF[room] and not {room, other} <= set(BASE)
    ]
    assert upward == []


@pytest.mark.parametrize("judge", sorted(JUDGING))
def test_judging_imports_nothing_of_making(judge: str) -> None:
    allowed = JUDGING | set(BASE)
    assert [arrow for other, arrow in arrows_of_rooms()[judge].items() if other not in allowed] == []


def test_judging_and_making_are_rooms() -> None:
    assert FLOOR_OF.keys() >= (JUDGING | MAKING)
    assert not JUDGING & MAKING


def test_names_of_the_door_are_not_imported_inside() -> None:
    """They would hide which room a module stands on."""
    hidden = []
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
                names = {alias.name for alias in node.names} - {"__version__"}
                hidden += [f"{module}: {name}" for name in names if f"{PACKAGE}.{name}" not in modules()]
    assert hidden == []


SOURCES = {
    "import unlearn_audit.b.c": {"unlearn_audit.b.c"},
    "from unlearn_audit.b import c": {"unlearn_audit.b.c"},
    "from unlearn_audit.b import some_function": {"unlearn_audit.b"},
    "from ..b.c import f": {"unlearn_audit.b.c"},
    "from . import other": {"unlearn_audit.a.other"},
    "def f():\n    from ..b import c": {"unlearn_audit.b.c"},
    "if TYPE_CHECKING:\n    from unlearn_audit.b.c import T": {"unlearn_audit.b.c"},
    "import numpy.linalg\nfrom torch import nn": set(),
}


@pytest.mark.parametrize(("text", "expected"), SOURCES.items())
def test_imports_are_found_in_every_form(text: str, expected: set[str]) -> None:
    names = ("a", "a.one", "a.other", "b", "b.c")
    known = {f"{PACKAGE}.{name}": Path("__init__.py" if name in "ab" else "file.py") for name in names}
    assert imported(f"{PACKAGE}.a.one", text, known) == expected


def test_a_circle_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}).split(" <- ")) == {"a", "b", "c"}
    assert circle({"a": {"b"}, "b": {"c"}}) == ""
