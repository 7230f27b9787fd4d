"""Which runs use a store: each holds a lock of its own for as long as it lives, so that nothing is removed under it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medprobe.diagnostics.store.files import StoreError, locked

RUNNING = ".running"


@contextmanager
def in_use(root: Path) -> Iterator[None]:
    """Keeps `alone` out while the block runs. A store that cannot be written is not guarded."""
    with ExitStack() as stack:
        try:
            with locked(root / RUNNING / "gate"):
                alive(root)
                mine = root / RUNNING / f"{secrets.token_hex(8)}.lock"
                stack.callback(mine.unlink, missing_ok=True)
                stack.enter_context(locked(mine))
        except StoreError:
            stack.close()
        yield


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keeps runs from starting while the block runs. Raises StoreError where one is under way."""
    with locked(root / RUNNING / "gate"):
        if alive(root):
            raise StoreError(f"a run is using the store {root}; try again when it has ended")
        yield


def alive(root: Path) -> int:
    """How many runs use the store; the locks of those that died are removed."""
    n = 0
    for path in (root / RUNNING).glob("*.lock"):
        try:
            with FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            n += 1
    return n
