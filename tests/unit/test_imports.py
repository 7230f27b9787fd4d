"""Who imports whom: plugins -> diagnostics -> fixtures, the commands above all, and nobody in a circle.

Imports inside functions and under TYPE_CHECKING count, since a circle that is only put off is one to a reader.

An import inside a function must put a heavy library off: one that the file's own imports do not load anyway. Ruff's
PLC0415 cannot say so: it exempts only modules that TID253 forbids at the top of every file.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from medprobe.home import HOME

FLOORS = ("fixtures", "diagnostics", "plugins")
"""From below; what else the package holds (the commands, the entry points) stands above them."""

HEAVY = frozenset(
    {
        *("PIL", "accelerate", "allure", "bitsandbytes", "fsspec", "huggingface_hub", "jinja2", "matplotlib", "numpy"),
        *("pandas", "peft", "pydicom", "ray", "safetensors.torch", "scipy", "sklearn", "timm", "torch", "torchvision"),
        *("transformers", "xdist"),
    }
)
"""Takes long to import (`python -X importtime`), or need not be installed."""


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


def ahead(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The statements and expressions that run as a module is loaded."""
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from ahead(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from ahead(ast.iter_child_nodes(node))


def named(nodes: Iterable[ast.AST]) -> set[str]:
    """What the imports among `nodes` name, in full: modules, or names of a module."""
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    of = {f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return plain | of


def loads(name: str, at_top: Mapping[str, set[str]]) -> set[str]:
    """The heavy libraries that are loaded as `name` is imported, given what each module imports at its top."""
    heavy: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        while name and name not in seen:  # a package is loaded before its modules
            seen.add(name)
            heavy |= {name} & HEAVY
            waiting += at_top.get(name, ())
            name = name.rpartition(".")[0]
    return heavy


def needlessly_late(texts: Mapping[str, str]) -> list[str]:
    """Imports inside functions that put no heavy library off."""
    trees = {module: ast.parse(text) for module, text in texts.items()}
    at_top = {module: named(list(ahead(tree.body))) for module, tree in trees.items()}
    found = []
    for module, tree in trees.items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        late = named([node for function in functions for node in ast.walk(function)])
        found += [f"{module}: {name}" for name in sorted(late) if loads(name, at_top) <= loads(module, at_top)]
    return found


def floor(module: str) -> int:
    part = [*module.split("."), ""][1]
    return FLOORS.index(part) if part in FLOORS else len(FLOORS)


def climbing(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports of a higher floor."""
    return [f"{m} -> {other}" for m, others in graph.items() for other in sorted(others) if floor(other) > floor(m)]


def test_no_module_is_in_a_circle() -> None:
    assert circle(imports(sources())) == []


def rooms(graph: Mapping[str, set[str]], package: str) -> dict[str, set[str]]:
    """Who imports whom among the folders and files of a package, each folder as one."""

    def room(module: str) -> str:
        return ".".join(module.split(".")[: package.count(".") + 2])

    inside = {module: others for module, others in graph.items() if module.startswith(f"{package}.")}
    found: dict[str, set[str]] = {}
    for module, others in inside.items():
        found.setdefault(room(module), set()).update(room(other) for other in others if other in inside)
    return {name: others - {name} for name, others in found.items()}


@pytest.mark.parametrize("package", ["medprobe.diagnostics", "medprobe.plugins"])
def test_no_folder_is_in_a_circle(package: str) -> None:
    """Steps of the flow that import each other are no steps."""
    assert circle(rooms(imports(sources()), package)) == []


def test_folders_that_import_each_other_are_a_circle() -> None:
    graph = {"p.a.x": {"p.b.y"}, "p.b.z": {"p.a.w"}, "p.b.y": set(), "p.a.w": set()}
    assert circle(graph) == []
    assert set(circle(rooms(graph, "p"))) == {"p.a", "p.b"}


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


def test_imports_stand_at_the_top_unless_they_are_heavy() -> None:
    assert needlessly_late(sources()) == []


@pytest.mark.parametrize(
    ("at_top", "late", "found"),
    [
        ("import torch", "import json", True),
        ("import torch", "from torch.nn import Linear", True),
        ("import torch", "from scipy import stats", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", "import torch", False),
        ("", "from medprobe.heavy import f", False),
        ("from medprobe import heavy", "from medprobe.heavy import f", True),
        ("from medprobe.heavy import f", "import torch", True),
    ],
)
def test_a_late_import_must_put_a_heavy_library_off(at_top: str, late: str, found: bool) -> None:
    texts = {"medprobe.heavy": "import torch\ndef f(): ...", "medprobe.own": f"{at_top}\ndef f():\n    {late}\n"}
    assert bool(needlessly_late(texts)) is found
