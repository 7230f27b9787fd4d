"""How far long work is, on lines below what pytest prints.

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
from typing import Any, TextIO

import pytest

from medprobe.diagnostics.outside_text import one_line
from medprobe.fixtures.whole import write_text
from medprobe.plugins.options import CALL
from medprobe.plugins.run.handover import progress_file, progress_files

INTERVAL = 0.25
"""Seconds between two looks at the files, and between two lines of one process."""

ROWS = 8
"""Most lines drawn at once."""

DRAWN = pytest.StashKey["Lines"]()
DOWN, SAVE, RESTORE, ERASE = "\x1bD", "\x1b7", "\x1b8", "\x1b[J"
"""One line down, scrolling at the end of the screen; keep the cursor; put it back; erase all after it."""
WRAP_OFF, WRAP_ON = "\x1b[?7l", "\x1b[?7h"
"""Without wrapping, a line wider than the terminal is cut at its edge."""


@contextmanager
def reported(folder: Path, name: str) -> Generator[Callable[[str, int, int], None]]:
    """A callable (what, done, total) whose latest line stands in this process's file while the block runs."""
    path = progress_file(folder, os.environ.get("PYTEST_XDIST_WORKER", "main"))
    work: tuple[str, int] | None = None
    start = written = 0.0
    first = last = 0

    def report(what: str, done: int, total: int) -> None:
        nonlocal work, start, written, first, last
        now = time.monotonic()
        # The pace of one kind of work says nothing of the next, nor of the same on other images.
        if work != (what, total) or done < last:
            work, start, first = (what, total), now, done
        elif now - written < INTERVAL and done < total:
            return
        last, written = done, now
        left = _left(now - start, done - first, total - done)
        write_text(path, f"{name}: {what} {done}/{total}{left}", lasting=False)

    try:
        yield report
    finally:
        path.unlink(missing_ok=True)


def _left(passed: float, done: int, to_do: int) -> str:
    """`, 40 s left`, at the pace so far; empty where there is none yet or nothing is left."""
    seconds = passed / done * to_do if done else 0
    if seconds < 0.5:
        return ""
    return f", {seconds:.0f} s left" if seconds < 100 else f", {seconds / 60:.0f} min left"


def lines(folder: Path) -> list[str]:
    """What the processes at work say."""
    found = []
    for path in progress_files(folder):
        # A process ends its work between the two looks.
        with suppress(FileNotFoundError):
            found.append(one_line(path.read_text("utf-8")))
    return found


class Lines(threading.Thread):
    """Draws the lines of `folder` on `terminal` until it is stopped.

    pytest's last line is unfinished while a test runs. The cursor's place in it is kept and given back, so that whoever
    writes next goes on where pytest was. rich.live keeps no place in somebody else's line: on an emulated terminal it
    overwrote the sentence about a crashed xdist worker and what a test printed past the capture, and a killed run left
    the cursor hidden. These lines did none of the three.
    """

    def __init__(self, folder: Path, terminal: TextIO) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._terminal = terminal
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._drawn: list[str] = []

    def run(self) -> None:
        while not self._ended.wait(INTERVAL):
            self.draw()

    def draw(self) -> None:
        found = lines(self._folder)[:ROWS]
        with self._lock:
            if found == self._drawn or self._ended.is_set():
                return
            room = f"{DOWN * len(found)}\x1b[{len(found)}A" if found else ""
            rows = "".join(f"\x1b[B\r{text}" for text in found)
            self._write(f"{room}{SAVE}{ERASE}{WRAP_OFF}{rows}{WRAP_ON}{RESTORE}")
            self._drawn = found

    def clear(self) -> None:
        """Nothing below the cursor, before someone else writes there."""
        with self._lock:
            if self._drawn:
                self._write(ERASE)
                self._drawn = []

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
    config.stash[DRAWN] = Lines(config.stash[CALL].handover, terminal)
    config.stash[DRAWN].start()
    config.pluginmanager.register(_Clearing(config.stash[DRAWN]))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if (drawn := session.config.stash.get(DRAWN, None)) is not None:
        drawn.stop()


class _Clearing:
    """Takes the lines away before the terminal reporter writes where they stand."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        self._lines.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        self._lines.clear()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker that crashed took no line away."""
    progress_file(node.config.stash[CALL].handover, node.gateway.id).unlink(missing_ok=True)
