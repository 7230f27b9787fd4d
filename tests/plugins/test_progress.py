"""The line that says how far long work is, on a terminal of the test's own."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plugins import progress
from plugins.progress import Line, lines, reported
from tests.plugins.calling import ROOT


def test_the_line_has_the_time_left_and_goes_with_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 10, 10.1, 20, 30, 40])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    seen = []
    with reported(tmp_path / "0.progress", "m-d") as report:
        for done in (0, 5, 6, 10, 100):
            report("extracting", done, 100)
            seen += lines(tmp_path)
        report("probing", 3, 3)
        seen += lines(tmp_path)
    assert seen == [
        "m-d: extracting 0/100",
        "m-d: extracting 5/100, 3 min left",
        "m-d: extracting 5/100, 3 min left",
        "m-d: extracting 10/100, 3 min left",
        "m-d: extracting 100/100",
        "m-d: probing 3/3",
    ]
    assert lines(tmp_path) == []


def test_two_processes_share_the_line_and_what_was_drawn_is_taken_away(tmp_path: Path) -> None:
    screen = (tmp_path / "screen").open("w+", encoding="utf-8")
    line = Line(tmp_path, screen)
    with reported(tmp_path / "0.progress", "a") as first, reported(tmp_path / "1.progress", "b\x1b[31m") as second:
        first("extracting", 1, 4)
        second("probing", 2, 4)
        os.utime(tmp_path / "0.progress", (1, 1))
        line.draw()
        line.draw()
        line.clear()
    line.draw()
    line.stop()
    text = (tmp_path / "screen").read_text("utf-8")
    assert text.count("b [31m: probing 2/4 | a: extracting 1/4") == 1, "and no colour of the name's own"
    assert text.endswith("\x1b[J")


def on_a_terminal(arguments: list[str], folder: Path, cwd: Path = ROOT) -> tuple[int, str]:
    """Exit code and screen of the suite on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not re.match("PYTEST_|MEDPROBE_|GITHUB_|NO_COLOR|COLUMNS", k)}
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider", "--report-dir", str(folder)],
        cwd=cwd,
        env={
            **environment,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "TERM": "xterm",
            "COLUMNS": "80",
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    killer = threading.Timer(300, run.kill)
    killer.start()
    screen = b""
    try:
        while part := os.read(leader, 65536):
            screen += part
    except OSError:
        pass  # Linux says so when the last process that held the terminal is gone.
    finally:
        killer.cancel()
        os.close(leader)
    return run.wait(), screen.decode("utf-8", "replace")


DRAWN = re.compile(r"\x1b\[B\r\x1b\[\?7l([^\x1b]+)\x1b\[K")
WORK = """
import time
from plugins.options import CALL
from plugins.progress import HANDOVER, reported

def test_work(request):
    folder = request.config.stash[CALL].report_dir / HANDOVER
    with reported(folder / "0.progress", "model-data") as report:
        for done in range(12):
            report("extracting", done, 12)
            time.sleep(0.1)
"""


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("option", ["-v", "-q"])
def test_a_worker_s_line_is_drawn_by_the_controller(workers: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "test_work.py").write_text(WORK)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    plugins = [word for name in ("options", "progress") for word in ("-p", f"plugins.{name}")]
    arguments = [*plugins, "-n", workers, option]
    code, screen = on_a_terminal(arguments, tmp_path / "reports", tmp_path)
    assert code == 0, screen
    shown = DRAWN.findall(screen)
    assert len(shown) >= 2 if option == "-v" else not shown, screen
    assert all(re.fullmatch(r"model-data: extracting \d+/12(, \d+ s left)?", text) for text in shown), shown
    assert screen.rindex("\x1b[J") < screen.index("1 passed") if shown else "\x1b[J" not in screen


def test_extraction_and_probing_are_shown(small: Path, tmp_path: Path) -> None:
    arguments = ["--dataset", str(small), "--store", str(tmp_path / "store"), "-n", "1"]
    code, screen = on_a_terminal(arguments, tmp_path / "reports")
    assert code == 0, screen
    shown = DRAWN.findall(screen)
    for work in ("extracting", "probing|permuting labels"):
        assert any(re.match(rf"phantom-small: ({work}) \d+/\d+", text) for text in shown), shown
    assert "\x1b[32m" in screen, "the verdict's colour"
    summary = screen.partition("signal in points")[2]
    assert "\x1b[?7l" not in summary, "no progress after the work"
    assert all(len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= 80 for line in summary.splitlines() if "report: " not in line)


@pytest.mark.parametrize(("option", "headed"), [("-q", False), ("--no-header", False), ("-v", True)])
def test_quiet_verbose_and_no_header_are_respected(
    option: str, headed: bool, first: object, store: Path, small: Path, tmp_path: Path
) -> None:
    code, screen = on_a_terminal(["--dataset", str(small), "--store", str(store), option], tmp_path)
    assert code == 0, screen
    assert ("medprobe: phantom" in screen) == headed
    assert ("signal in points" in screen) == (option != "-q")
    assert ("pass vision -> connector" in screen) == (option == "-v")
    assert "phantom on small: " in screen
    if option == "-q":
        assert "\x1b[?7l" not in screen
