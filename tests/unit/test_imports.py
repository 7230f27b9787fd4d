"""Who imports whom: plugins -> diagnostics -> fixtures, the commands above all, and nobody in a circle.

Imports inside functions and under TYPE_CHECKING count, since a circle that is only put off is one to a reader.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from medprobe.home import HOME

FLOORS = ("fixtures", "diagnostics", "plugins")
"""From below; what else the package holds (the commands, the entry points) stands above them."""


def sources() -> dict[str, str]:
    """The text of every module of the suite, by the name it is imported by."""
    folders = [(HOME / floor, f"medprobe.{floor}") for floor in FLOORS] + [
        (HOME / "medprobe", "medprobe"),
        (HOME / "medprobe" / "commands", "medprobe.commands"),
    ]
    found = {}
    for folder, package in folders:
        for path in folder.glob("*.py") if package in ("medprobe", "medprobe.commands") else folder.rglob("*.py"):
            found[_name(path.relative_to(folder), package)] = path.read_text("utf-8")
    return found


def _name(path: Path, package: str) -> str:
    parts = [package, *path.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def statements(text: str) -> frozenset[tuple[str, str]]:
    """What a module imports, wherever the statement stands: modules, and names from a module."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not resolved here"
            found |= {(str(node.module), alias.name) for alias in node.names}
    return frozenset(found)


def imports(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules among `texts` that each of them imports."""
    return {
        module: {f"{of}.{name}" if f"{of}.{name}" in texts else of for of, name in statements(text)} & texts.keys()
        for module, text in texts.items()
    }


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one circle, in order; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def floor(module: str) -> int:
    part = [*module.split("."), ""][1]
    return FLOORS.index(part) if part in FLOORS else len(FLOORS)


def climbing(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports of a higher floor."""
    return [f"{m} -> {other}" for m, others in graph.items() for other in sorted(others) if floor(other) > floor(m)]


def test_no_module_is_in_a_circle() -> None:
    assert circle(imports(sources())) == []


def test_imports_run_down() -> None:
    assert climbing(imports(sources())) == []


def test_every_floor_is_looked_at() -> None:
    graph = imports(sources())
    assert {floor(module) for module in graph} == {0, 1, 2, 3}
    assert "medprobe.fixtures.models.loading" in graph["medprobe.diagnostics.extraction.model_on_demand"]
    assert "medprobe.plugins.tuning" in graph["medprobe.commands.tune"]


@pytest.mark.parametrize(
    "statement",
    [
        "from medprobe.fixtures.models import loading",
        "def late():\n    from medprobe.fixtures.models.loading import load",
        "if TYPE_CHECKING:\n    import medprobe.fixtures.models.loading",
    ],
)
def test_a_planted_circle_is_found(statement: str) -> None:
    texts = sources()
    texts["medprobe.fixtures.models.loaded"] += f"\n{statement}\n"
    found = circle(imports(texts))
    assert {"medprobe.fixtures.models.loaded", "medprobe.fixtures.models.loading"} <= set(found)


def test_a_planted_climb_is_found() -> None:
    texts = sources()
    texts["medprobe.fixtures.models.loaded"] += "\nfrom medprobe.plugins.options import OPTIONS\n"
    assert climbing(imports(texts)) == ["medprobe.fixtures.models.loaded -> medprobe.plugins.options"]
