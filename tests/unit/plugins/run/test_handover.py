"""What one process leaves, the one that reports takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medprobe.diagnostics.records.report import Diagnosis, Predictions
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.models.registry import resolve
from medprobe.plugins.call import Call, DatasetSpec, Pair
from medprobe.plugins.run.handover import Handover

MODELS = ("phantom", "phantom-vision")
DATA = DatasetSpec("phantom", "phantom")


@pytest.fixture
def call(tmp_path: Path) -> Call:
    pairs = tuple(Pair(resolve(name), DATA) for name in MODELS)
    return Call(pairs, Settings(tmp_path / "store"), tmp_path / "reports", False, (), "absolute", {}, None, run="a")


def diagnosis(model: str, error: str | None = None) -> Diagnosis:
    return Diagnosis(model=model, revision=None, dataset="phantom", error=error)


def predictions(model: str) -> Predictions:
    whole: dict[str, Any] = {"data_fingerprint": "", "prompt": "", "probe": "ridge", "classes": ["a", "b"]}
    lists: dict[str, Any] = {"images": [], "labels": [], "groups": [], "options": []}
    tables: dict[str, Any] = {"places": {}, "exits": {}, "loci": {}, "made": {}}
    return Predictions(model=model, dataset="phantom", **whole, **lists, **tables)


def test_each_pair_has_its_own(call: Call) -> None:
    for pair in reversed(call.pairs):
        Handover(call).leave(pair, diagnosis(pair.model.name), predictions(pair.model.name))
    taken = Handover(call)
    found = taken.diagnoses(failed=False)
    assert [one.model for one in found] == list(MODELS)
    assert [taken.predictions(one) for one in found] == [predictions(model) for model in MODELS]


def test_predictions_are_moved_once(call: Call, tmp_path: Path) -> None:
    taken, one = Handover(call), diagnosis("phantom")
    taken.leave(call.pairs[0], one, predictions("phantom"))
    for _ in range(2):
        taken.move_predictions(one, tmp_path / "predictions.json")
    assert Predictions.model_validate_json((tmp_path / "predictions.json").read_bytes()) == predictions("phantom")
    assert taken.predictions(one) is None


def test_a_run_that_failed_says_of_each_that_is_missing(call: Call) -> None:
    taken = Handover(call)
    assert taken.diagnoses(failed=True) == []
    taken.leave(call.pairs[0], diagnosis("phantom", "it broke"), None)
    assert [one.error for one in taken.diagnoses(failed=True)] == ["it broke"], "no check asks for a diagnosis"
    taken.begin(to_judge=True)
    assert [one.error for one in taken.diagnoses(failed=False)] == ["it broke"]
    broke, missing = taken.diagnoses(failed=True)
    assert (broke.error, missing.model) == ("it broke", "phantom-vision")
    assert missing.error is not None
    assert missing.error.startswith("not measured")
    assert taken.predictions(missing) is None


def test_parts_are_no_diagnoses(call: Call) -> None:
    taken = Handover(call)
    for pair in call.pairs:
        taken.leave_part(pair, f"a part of {pair.model.name}")
    assert taken.parts() == [f"a part of {model}" for model in MODELS]
    assert taken.diagnoses(failed=False) == []
    taken.clear()
    assert not (call.report_dir / ".handover").exists()
