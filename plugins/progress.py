"""How far long work is, on one line below what pytest prints.

Whoever diagnoses, this process or an xdist worker, leaves its line in a file of the handover folder, and the controller
draws them: xdist's own channel refuses events that it does not know.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import pytest

from plugins.options import CALL
from plugins.report.files import write_text
from plugins.report.terminal import one_line

HANDOVER = ".handover"
INTERVAL = 0.25
"""Seconds between two looks at the files, and between two lines of one process."""

DRAWN = pytest.StashKey["Line"]()
FRESH_LINE, SAVE, RESTORE = "\x1bD\x1b[A", "\x1b7", "\x1b8"
"""Make room for a line below, scrolling at the end of the screen; keep the cursor; put it back."""


@contextmanager
def reported(path: Path, name: str) -> Generator[Callable[[str, int, int], None]]:
    """A callable (what, done, total) whose latest line stands in the file `path` while the block runs."""
    started: dict[str, float] = {}
    written = 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal written
        now = time.monotonic()
        start = started.setdefault(what, now)
        if now - written < INTERVAL and done not in (0, total):
            return
        written = now
        write_text(path, f"{name}: {what} {done}/{total}{_left(now - start, done, total)}")

    try:
        yield report
    finally:
        path.unlink(missing_ok=True)


def _left(passed: float, done: int, total: int) -> str:
    """`, 40 s left`, at the pace so far; empty where there is none yet or nothing is left."""
    seconds = passed / done * (total - done) if done else 0
    if seconds < 0.5:
        return ""
    return f", {seconds:.0f} s left" if seconds < 100 else f", {seconds / 60:.0f} min left"


def lines(folder: Path) -> list[str]:
    """What the processes at work say, the one that spoke last first."""
    found = []
    for path in folder.glob("*.progress"):
        try:
            found.append((path.stat().st_mtime, one_line(path.read_text("utf-8"))))
        except OSError:
            continue
    return [text for _, text in sorted(found, reverse=True)]


class Line(threading.Thread):
    """Draws the lines of `folder` on `terminal` until it is stopped."""

    def __init__(self, folder: Path, terminal: TextIO) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._terminal = terminal
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._drawn = ""

    def run(self) -> None:
        while not self._ended.wait(INTERVAL):
            self.draw()

    def draw(self) -> None:
        text = " | ".join(lines(self._folder))
        with self._lock:
            if text == self._drawn or self._ended.is_set():
                return
            # Without wrapping, a line wider than the terminal is cut at its edge.
            shown = f"\x1b[B\r\x1b[?7l{text}\x1b[K\x1b[?7h" if text else "\x1b[J"
            self._write(f"{FRESH_LINE}{SAVE}{shown}{RESTORE}")
            self._drawn = text

    def clear(self) -> None:
        """Nothing below the cursor, before someone else writes there."""
        with self._lock:
            if self._drawn:
                self._write("\x1b[J")
                self._drawn = ""

    def stop(self) -> None:
        self._ended.set()
        self.clear()
        if self.is_alive():
            self.join()
        with suppress(OSError):
            self._terminal.close()

    def _write(self, text: str) -> None:
        try:
            self._terminal.write(text)
            self._terminal.flush()
        except OSError:
            # The terminal was closed, and the run goes on without it.
            self._ended.set()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workerinput") or config.get_verbosity() < 0 or not os.isatty(2):
        return
    # Capture will replace file descriptor 2 while a test runs, but not this copy of it.
    terminal = open(os.dup(2), "w", encoding="utf-8", errors="replace")  # noqa: SIM115
    config.stash[DRAWN] = Line(config.stash[CALL].report_dir / HANDOVER, terminal)
    config.stash[DRAWN].start()
    config.pluginmanager.register(_Clearing(config.stash[DRAWN]))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if (line := session.config.stash.get(DRAWN, None)) is not None:
        line.stop()


class _Clearing:
    """Takes the line away before the terminal reporter writes where it stands."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        self._line.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        self._line.clear()
