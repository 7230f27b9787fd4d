"""What was read of features, and all else worth computing once: one file each, by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics.store import mirror
from medprobe.diagnostics.store.files import BrokenFile, arrays, locked, set_aside, write

Arrays = dict[str, NDArray[Any]]
READINGS = "readings"


def remembered(root: Path, name: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """Arrays under `name`, computed once across processes. Raises StoreError and the errors of computing."""
    path = root / READINGS / f"{name}.safetensors"
    kept = _kept(path)
    if kept is not None:
        return kept
    with locked(path.with_suffix(".lock")):
        draft = path.with_name(f".draft.{name}")
        mirror.pull(root, path, draft)
        kept = _kept(path)
        if kept is None:
            kept = {name: np.ascontiguousarray(value) for name, value in compute().items()}
            write(path, draft, kept, {})
    return kept


def holds(root: Path, name: str) -> bool:
    """Whether `remembered` would find its file here."""
    return (root / READINGS / f"{name}.safetensors").exists()


def _kept(path: Path) -> Arrays | None:
    if not path.exists():
        return None
    try:
        found = arrays(path)
    except FileNotFoundError:
        return None
    except BrokenFile as error:
        set_aside(path, error)
        return None
    with suppress(OSError):  # a store that may only be read
        os.utime(path)
    return found
