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

from medprobe.plugins.run.progress import Lines, lines, reported
from tests.places import ROOT

ROW = re.compile(r"\x1b\[B\r([^\x1b]+)")


def test_the_line_has_the_time_left_and_goes_with_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 10, 10.1, 20, 30, 1000, 1010, 1020, 1021])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw3")
    seen = []
    with reported(tmp_path, "m-d") as report:
        for done in (0, 5, 6, 10, 100):
            report("extracting", done, 100)
            seen += lines(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["gw3.progress"]
        for what, done in (("extracting", 20), ("extracting", 30), ("extracting", 60), ("probing", 99)):
            report(what, done, 100)
            seen += lines(tmp_path)
    assert seen == [
        "m-d: extracting 0/100",
        "m-d: extracting 5/100, 3 min left",
        "m-d: extracting 5/100, 3 min left",
        "m-d: extracting 10/100, 3 min left",
        "m-d: extracting 100/100",
        "m-d: extracting 20/100",
        "m-d: extracting 30/100, 70 s left",
        "m-d: extracting 60/100, 20 s left",
        "m-d: probing 99/100",
    ]
    assert lines(tmp_path) == []


def test_each_process_has_a_line_and_what_was_drawn_is_taken_away(tmp_path: Path) -> None:
    screen = (tmp_path / "screen").open("w+", encoding="utf-8")
    drawn = Lines(tmp_path, screen)
    (tmp_path / "gw0.progress").write_text("a: extracting 1/4")
    (tmp_path / "gw1.progress").write_text("b\x1b[31m: probing 2/4")
    drawn.draw()
    drawn.draw()
    (tmp_path / "gw0.progress").unlink()
    drawn.draw()
    drawn.clear()
    drawn.stop()
    text = (tmp_path / "screen").read_bytes().decode()
    assert [ROW.findall(part) for part in text.split("\x1b8")] == [
        ["a: extracting 1/4", "b [31m: probing 2/4"],
        ["b [31m: probing 2/4"],
        [],
    ], "each once, and no colour of a name's own"
    assert text.endswith("\x1b8\x1b[J")


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


WORK = """
import time
from medprobe.plugins.options import CALL
from medprobe.plugins.run.progress import reported

def test_work(request):
    folder = request.config.stash[CALL].handover
    with reported(folder, "model-data") as report:
        for done in range(12):
            report("extracting", done, 12)
            time.sleep(0.1)
"""


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("option", ["-v", "-q"])
def test_a_worker_s_line_is_drawn_by_the_controller(workers: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "test_work.py").write_text(WORK)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    plugins = [word for name in ("options", "run.progress") for word in ("-p", f"medprobe.plugins.{name}")]
    arguments = [*plugins, "-n", workers, option, "test_work.py"]
    code, screen = on_a_terminal(arguments, tmp_path / "reports", tmp_path)
    assert code == 0, screen
    shown = ROW.findall(screen)
    assert len(shown) >= 2 if option == "-v" else not shown, screen
    assert all(re.fullmatch(r"model-data: extracting \d+/12(, \d+ s left)?", text) for text in shown), shown
    assert screen.rindex("\x1b[J") < screen.index("1 passed") if shown else "\x1b[J" not in screen


def test_extraction_and_probing_are_shown(small: Path, tmp_path: Path) -> None:
    arguments = ["--dataset", str(small), "--store", str(tmp_path / "store"), "-n", "1"]
    code, screen = on_a_terminal(arguments, tmp_path / "reports")
    assert code == 0, screen
    shown = ROW.findall(screen)
    for work in ("extracting", "probing|probing exits"):
        assert any(re.match(rf"phantom-small: ({work}) \d+/\d+", text) for text in shown), shown
    assert "\x1b[32m" in screen, "the verdict's colour"
    summary = screen.partition("signal in points")[2]
    assert "\x1b[?7l" not in summary, "no progress after the work"
    assert all(len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= 80 for line in summary.splitlines() if "report: " not in line)


@pytest.mark.parametrize(
    ("option", "headed"),
    [
        ("-q", False),
        pytest.param("--no-header", False, marks=pytest.mark.slow),
        pytest.param("-v", True, marks=pytest.mark.slow),
    ],
)
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
