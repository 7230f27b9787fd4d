"""The folder of a report, for one run at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from medprobe.plugins.call import Call

LONGEST_WAIT = 60
"""Seconds to wait for another run that writes its report; it takes a few."""


def standing(folder: Path) -> tuple[int, ...]:
    """Changes with every report that is written into the folder; empty where there is none."""
    try:
        found = (folder / "report.json").stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def alone(call: Call, stood: tuple[int, ...]) -> Iterator[Path]:
    """The folder to write the report into, for one run at a time.

    `stood` is what was `standing` there when the run began. Where another run has left its report since, the folder is
    one beside it, so that no report is lost and none is of two runs.
    """
    call.report_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(call.report_dir / ".lock")
    # Some network file systems know no locks; there the files are still each whole.
    with suppress(OSError, NotImplementedError):
        lock.acquire(timeout=LONGEST_WAIT)
    try:
        yield call.report_dir if standing(call.report_dir) == stood else beside(call)
    finally:
        lock.release()


def beside(call: Call) -> Path:
    """The folder of a report whose own place another run took."""
    return call.report_dir.with_name(f"{call.report_dir.name}-{call.run[:8]}")
