"""Two runs into one report folder hand nothing to each other."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock, Timeout

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.whole import write_text
from medprobe.plugins.call import Call, DatasetSpec, Pair
from medprobe.plugins.options import CALL, _run, pytest_configure_node
from medprobe.plugins.run.handover import DAY, Handover
from medprobe.plugins.run.report_folder import alone, standing


@pytest.fixture
def calls(tmp_path: Path) -> list[Call]:
    """Of the same question, by two runs, each of which has handed over."""
    pair = Pair(resolve("phantom"), DatasetSpec("phantom", "phantom"))
    call = Call((pair,), Settings(tmp_path / "store"), tmp_path / "reports", False, (), "absolute", {}, None)
    config: Any = SimpleNamespace()
    found = [replace(call, run=_run(config)) for _ in range(2)]
    for name, each in zip("ab", found, strict=True):
        left = Diagnosis(model="phantom", revision=None, dataset="phantom", error=f"of {name}")
        Handover(each).leave(pair, left, None)
    return found


def test_each_run_collects_its_own(calls: list[Call]) -> None:
    first, second = calls
    assert [Handover(each).diagnoses(failed=True)[0].error for each in calls] == ["of a", "of b"]
    Handover(first).clear()
    assert Handover(first).diagnoses(failed=True) == []
    assert Handover(second).diagnoses(failed=True)[0].error == "of b"
    Handover(second).clear()
    assert not (second.report_dir / ".handover").exists()


def test_a_start_takes_away_only_what_was_silent_for_a_day(calls: list[Call]) -> None:
    first, second = calls
    os.utime(first.handover, (time.time() - 2 * DAY,) * 2)
    Handover(second).sweep()
    assert not first.handover.exists()
    assert second.handover.exists()


def test_a_worker_has_the_run_of_its_controller(calls: list[Call]) -> None:
    stash = pytest.Stash()
    stash[CALL] = calls[0]
    node = SimpleNamespace(config=SimpleNamespace(stash=stash), workerinput={})
    pytest_configure_node(node)
    worker: Any = SimpleNamespace(workerinput=node.workerinput)
    assert _run(worker) == calls[0].run != calls[1].run


def test_one_run_at_a_time_writes_its_report(calls: list[Call]) -> None:
    lock = FileLock(calls[0].report_dir / ".lock")
    with alone(calls[0], ()), pytest.raises(Timeout):
        lock.acquire(timeout=0)
    with lock.acquire(timeout=0):
        pass


def test_the_later_of_two_runs_leaves_its_report_beside_the_others(calls: list[Call]) -> None:
    first, second = calls
    folder = first.report_dir
    stood = standing(folder)
    with alone(first, stood) as own:
        write_text(own / "report.json", "of a")
    with alone(second, stood) as own:
        assert own == folder.parent / f"{folder.name}-{second.run[:8]}"
        write_text(own / "report.json", "of b")
    assert (folder / "report.json").read_text() == "of a"
    # What stood there when a run began is written over, even by one of the same size.
    with alone(second, standing(folder)) as own:
        assert own == folder
