"""The committed study of tuning: what it claims, and one run of it in small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tuning
from medprobe.diagnostics.records.report import Predictions
from medprobe.fixtures.phantoms import phantom_path
from medprobe.fixtures.phantoms.images import draw_dataset

RUNS = tuning.STUDY.found()["runs"]


def test_every_run_was_made() -> None:
    assert [(run["base"], run["parts"]) for run in RUNS] == list(tuning.RUNS)


def test_what_is_frozen_gains_nothing() -> None:
    frozen = {
        "connector-llm": ("vision", "answer"),
        "tower-connector-llm": ("answer",),
        "tower": ("connector", "llm", "answer"),
    }
    for run in RUNS:
        assert all(abs(run["cause"]["effects"][stage]) < 1e-9 for stage in frozen[run["parts"]]), run["base"]


def test_nobody_was_tuned_and_diagnosed() -> None:
    """All runs have one held-out side, whatever was tuned."""
    assert len({json.dumps(run["held_out"]) for run in RUNS}) == 1
    assert all(run["tuned"]["images"] <= tuning.N_TUNED for run in RUNS)
    assert all(run["diagnosed"] <= tuning.N_DIAGNOSED for run in RUNS)


@pytest.mark.slow
def test_a_run_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "EPOCHS", 1.0)
    manifest = draw_dataset(tmp_path / "data", 30, 2, seed=3)
    run = tuning.studied(Path(phantom_path()), "connector-llm", str(manifest), None, tmp_path, 30, 12)
    assert run["tuned"]["images"] == 12
    assert run["diagnosed"] <= run["held_out"]["images"]
    assert sum(run["cause"]["effects"].values()) == pytest.approx(run["cause"]["difference"], abs=1e-3)
    assert tuning.table([run]).count("\n") == 2


def test_gains_are_changes_of_signal() -> None:
    labels = np.repeat([0, 1], 50)
    right, coin = labels.tolist(), [0] * 100

    def saying(said: list[int]) -> Predictions:
        return Predictions.model_construct(
            images=list(map(str, range(100))),
            labels=labels.tolist(),
            groups=list(range(100)),
            classes=["a", "b"],
            places=dict.fromkeys(tuning.PLACES, said),
        )

    found = tuning.gains(saying(coin), saying(right))
    assert {gain["change"] for gain in found.values()} == {1.0}
    assert all(0.8 < gain["ci"][0] <= gain["ci"][1] < 1.1 for gain in found.values()), found
