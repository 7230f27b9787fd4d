"""Safetensors files that are whole or not there, and whose every array is checked when it is read.

A draft is written beside its place and moved there. It belongs to the lock its writer holds: the kernel frees that when
the writer dies, however it dies, and whoever holds it next may sweep what was left.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from medprobe.fixtures.whole import settle

SUMS, SEAL = "sha256", "seal"
"""Metadata: the sha256 of every array, and that of all other metadata."""


class StoreError(RuntimeError):
    """The store cannot be written or reached; one sentence with the path and the mend."""


class BrokenFile(StoreError):
    """A file is not what was written."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Held by one process at a time; waits for another's end. Raises StoreError."""
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise unwritable(path.parent, error) from None
    try:
        yield
    finally:
        lock.release()


def unwritable(place: Path, error: Exception) -> StoreError:
    """The error of a store that takes nothing more."""
    cause = getattr(error, "strerror", None) or str(error)
    return StoreError(
        f"the store {place} cannot be written ({cause}); what is finished is kept, "
        "free space or name another folder with --store"
    )


def write(path: Path, draft: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write `arrays` and `metadata`, whole or not at all. Raises StoreError."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    sealed = {**metadata, SUMS: json.dumps({name: _sum(array) for name, array in whole.items()})}
    try:
        save_file(whole, draft, metadata={**sealed, SEAL: _seal(sealed)})
        settle(draft, path)
    except (OSError, SafetensorError) as error:
        raise unwritable(path.parent, error) from None
    finally:
        draft.unlink(missing_ok=True)


def metadata(path: Path) -> dict[str, str]:
    """What was written beside the arrays. Raises BrokenFile, also where the file was cut short."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if 8 + length > path.stat().st_size:
                raise ValueError("cut short")
            table = json.loads(file.read(length))
        found = dict(table.pop("__metadata__"))
        size = 8 + length + max((entry["data_offsets"][1] for entry in table.values()), default=0)
        if path.stat().st_size != size:
            raise ValueError("cut short" if path.stat().st_size < size else "longer than it says")
        if found.pop(SEAL) != _seal(found) or set(json.loads(found[SUMS])) != set(table):
            raise ValueError("altered")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if type(error) is ValueError else "no header"
        raise BrokenFile(f"{path} is broken: {reason}") from None
    return found


def arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """The named arrays, or all. Raises BrokenFile where one is not what was written."""
    sums = json.loads(metadata(path)[SUMS])
    found = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in sums if names is None else names:
                found[name] = file.get_tensor(name)
    except SafetensorError as error:
        raise BrokenFile(f"{path} is broken: {error}") from None
    altered = [name for name, array in found.items() if _sum(array) != sums[name]]
    if altered:
        raise BrokenFile(f"{path} is broken: {altered[0]} is altered")
    return found


def set_aside(path: Path, error: BrokenFile) -> None:
    """Name a broken file and keep it where nothing reads it."""
    with suppress(OSError):
        os.replace(path, path.with_name(path.name + ".broken"))
    warnings.warn(f"{error}; it is set aside and made again", stacklevel=3)


def _sum(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _seal(sealed: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()
