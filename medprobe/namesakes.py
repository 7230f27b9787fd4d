"""The suite's packages have plain names that other projects use too: here ours come first, and nobody loses theirs.

`-p medprobe.namesakes` in pyproject.toml loads this before every other plugin, in each process of a run. A package of
one of these names that somebody has imported stays whole where it is held; what else asks for the name finds ours, and
behind it, name by name, what only the other one has.

PYTEST_DONT_REWRITE: a subcommand that runs pytest has imported this before pytest could rewrite its assertions.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from medprobe.home import HOME

NAMES = ("diagnostics", "fixtures", "plugins")


def claim() -> None:
    """Import the suite's packages, whatever else bears their names."""
    sys.path[:] = [str(HOME), *(entry for entry in sys.path if entry != str(HOME))]
    for name in NAMES:
        held = sys.modules.get(name)
        if held is not None and Path(getattr(held, "__file__", None) or "").resolve().is_relative_to(HOME / name):
            continue
        other = held or _elsewhere(name)
        _set_aside(name)
        ours = importlib.import_module(name)
        if other is not None:
            ours.__path__ = [*ours.__path__, *getattr(other, "__path__", ())]
            # Python asks this for a name that the module lacks (PEP 562), also in `from fixtures import name`.
            ours.__dict__["__getattr__"] = _asking(other, executed=held is not None)


def _elsewhere(name: str) -> ModuleType | None:
    """What bears that name elsewhere on the path, not executed before somebody asks it for anything."""
    spec = PathFinder.find_spec(name, [entry for entry in sys.path if Path(entry).resolve() != HOME])
    return None if spec is None else importlib.util.module_from_spec(spec)


def _set_aside(name: str) -> None:
    """Forget modules that stand where ours belong; others of that package stay known."""
    for known in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        place = HOME.joinpath(*known.split("."))
        if place.is_dir() or place.with_suffix(".py").is_file():
            del sys.modules[known]


def _asking(other: ModuleType, executed: bool) -> Callable[[str], Any]:
    own = {path.stem for path in (HOME / other.__name__).iterdir()}

    def ask(name: str) -> Any:
        nonlocal executed
        # A module of ours that is not imported yet is found by the import that asks.
        if name in own or name.startswith("__"):
            raise AttributeError(f"module {other.__name__!r} has no attribute {name!r}")
        if not executed:
            executed = True
            if other.__spec__ is not None and other.__spec__.loader is not None:
                other.__spec__.loader.exec_module(other)
        return getattr(other, name)

    return ask


claim()
