"""Two saved runs compared by the command, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from medprobe.diagnostics.baselines.baseline import Baseline, Saved
from tests.places import ROOT
from tests.runs.calling import HEAVY
from tests.unit.diagnostics.baselines.test_regression import patients, predictions

LABELS, GROUPS = patients(300, 2)
FALLEN = np.where(np.arange(len(LABELS)) % 5 == 0, (LABELS + 1) % 3, LABELS)


def saved(path: Path, *places, **changed) -> Path:
    runs = [
        Saved(revision=None, predictions=predictions(LABELS, GROUPS, values, **{"model": f"m{i}"} | changed))
        for i, values in enumerate(places)
    ]
    path.write_text(Baseline(saved=datetime(2030, 1, 1, tzinfo=UTC), versions={}, diagnoses=runs).model_dump_json())
    return path


def compare(*arguments: str | Path, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "medprobe.commands.compare", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_a_regression_is_shown_and_ends_in_1(tmp_path):
    before, after = saved(tmp_path / "a.json", LABELS), saved(tmp_path / "b.json", FALLEN)
    done = compare(before, after, python=("-X", "importtime"))
    assert done.returncode == 1, done.stderr
    head, titles, *rows = done.stdout.splitlines()
    assert head == "m0 on d against m0: regressed"
    assert titles.split() == ["place", "change", "interval", "p", "adjusted", "verdict"]
    assert [row.split()[:2] for row in rows[:4]] == [[s, "-30.0"] for s in ("vision", "connector", "llm", "answer")]
    assert not {"torch", "transformers", "sklearn"} & {
        line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()
    }
    assert {"torch", "transformers", "sklearn"} < set(HEAVY)


def test_what_is_accepted_ends_in_0(tmp_path):
    before, after = saved(tmp_path / "a.json", LABELS), saved(tmp_path / "b.json", FALLEN)
    assert compare(after, before).returncode == 0
    by_class = tmp_path / "t.toml"
    by_class.write_text("[sensitivity]\ndefault = 0.5\n[specificity]\ndefault = 0.5\n")
    accepted = ("--minimum-effect", "0.5", "--thresholds", by_class)
    assert compare(before, after, *accepted).returncode == 0
    assert compare(before, after, *accepted[:2]).returncode == 1


def test_the_undecided_ends_in_0_or_1(tmp_path):
    few = np.where(np.arange(len(LABELS)) % 60 == 0, (LABELS + 1) % 3, LABELS)
    pair = saved(tmp_path / "a.json", LABELS), saved(tmp_path / "b.json", few)
    done = compare(*pair)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "m0 on d against m0: inconclusive")
    assert compare(*pair, "--fail-inconclusive").returncode == 1


@pytest.mark.parametrize("case", ["missing", "other prompt", "other models"])
def test_what_cannot_be_compared_ends_in_4(case, tmp_path):
    before, after = saved(tmp_path / "a.json", LABELS, LABELS), saved(tmp_path / "b.json", LABELS)
    if case == "missing":
        before, word = tmp_path / "none.json", "none.json"
    elif case == "other prompt":
        before, word = saved(tmp_path / "c.json", LABELS, prompt="q"), "has another prompt"
    else:
        after, word = saved(tmp_path / "c.json", LABELS, model="q"), "does not hold q on d; it holds m0 on d, m1 on d"
    done = compare(before, after)
    assert done.returncode == 4, done.stdout
    assert word in done.stderr
    assert "Traceback" not in done.stderr
