"""What a store holds, whether it is whole, and what of it may go."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medprobe.diagnostics.store.content import NAME, PICTURES
from medprobe.diagnostics.store.files import SUMS, BrokenFile, arrays, metadata, set_aside
from medprobe.diagnostics.store.readings import READINGS
from medprobe.diagnostics.store.running import alone
from medprobe.diagnostics.store.shards import ABOUT, USES, Folder

LEFT = ("*.broken", ".draft.*")
"""What broken files and killed writers leave."""


@dataclass(frozen=True)
class Item:
    """What is kept or removed as one: an extraction's folder, that of the small pictures, or the file of one reading.

    size: bytes. used: seconds since 1970 of the last use. images: 0 for a reading.
    """

    path: Path
    size: int
    used: float
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    images: int = 0

    @property
    def is_pictures(self) -> bool:
        return self.path.name.startswith(PICTURES)

    @property
    def is_reading(self) -> bool:
        return self.path.suffix == ".safetensors"


def items(root: Path) -> list[Item]:
    """What the store holds, the last used first."""
    return sorted([*_extractions(root), *_readings(root)], key=lambda item: item.used, reverse=True)


def _extractions(root: Path) -> Iterator[Item]:
    for path in root.glob("*"):
        if not NAME.fullmatch(path.name.removeprefix(PICTURES)):
            continue
        folder = Folder(root, path.name)
        models, datasets = folder.uses()
        files = [file.stat() for file in path.iterdir()]
        marks = [mark.stat().st_mtime for mark in (path / USES, path / ABOUT, path) if mark.exists()]
        yield Item(
            path, sum(file.st_size for file in files), marks[0], tuple(models), tuple(datasets), len(folder.images())
        )


def _readings(root: Path) -> Iterator[Item]:
    for path in (root / READINGS).glob("*.safetensors"):
        stat = path.stat()
        yield Item(path, stat.st_size, stat.st_mtime)


def verify(root: Path) -> tuple[int, list[BrokenFile]]:
    """How many files were read, every byte of them, and what is wrong with the broken ones, which are set aside."""
    n, broken = 0, []
    for path in sorted(root.glob("*/*.safetensors")):
        try:
            for name in _names(path):
                arrays(path, [name])
        except BrokenFile as error:
            set_aside(path, error)
            broken.append(error)
        except FileNotFoundError:  # another process set it aside
            continue
        else:
            n += 1
    return n, broken


def _names(path: Path) -> list[str]:
    return list(json.loads(metadata(path)[SUMS]))


def chosen(found: list[Item], before: float | None, keep: int | None) -> list[Item]:
    """The items last used before a time (seconds since 1970), and of the others the longest unused until the rest has
    at most `keep` bytes.
    """
    old = [item for item in found if before is not None and item.used < before]
    rest = sorted((item for item in found if item not in old), key=lambda item: item.used)
    size = sum(item.size for item in rest)
    while rest and keep is not None and size > keep:
        old.append(rest.pop(0))
        size -= old[-1].size
    return old


def remove(root: Path, gone: list[Item]) -> None:
    """Remove items, and what broken files and killed writers left. Raises StoreError while a run uses the store."""
    with alone(root):
        for item in gone:
            if item.is_reading:
                item.path.unlink(missing_ok=True)
            else:
                shutil.rmtree(item.path)
        for pattern in LEFT:
            for path in root.glob(f"*/{pattern}"):
                path.unlink(missing_ok=True)
        for lock in (root / READINGS).glob("*.lock"):
            if not lock.with_suffix(".safetensors").exists():
                lock.unlink(missing_ok=True)


def lines(found: list[Item]) -> list[str]:
    """What items are: an extraction a line, the small pictures in one, and all readings in one."""
    said = []
    for item in (item for item in found if not item.is_reading):
        names = f"features  {', '.join(item.models) or '?'} on {', '.join(item.datasets) or '?'}"
        if item.is_pictures:
            names = "pictures  small, for controls"
        said.append(f"  {names}, {item.images} images, {size_text([item])}, last used {_day(item.used)}")
    readings = [item for item in found if item.is_reading]
    if readings:
        last = _day(max(item.used for item in readings))
        said.append(f"  readings  {len(readings)}, {size_text(readings)}, last used {last}")
    return said


def size_text(found: list[Item]) -> str:
    """`12.3 MB`"""
    return f"{sum(item.size for item in found) / 1e6:,.1f} MB"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
