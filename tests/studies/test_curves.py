"""The committed figure: 84 diagnoses, and the page made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import curves

ROWS = curves.STUDY.found()["rows"]


def test_every_model_was_read_on_every_data_set_in_both_conditions() -> None:
    keys = [(row["model"], row["dataset"], row["condition"]) for row in ROWS]
    assert len(keys) == len(set(keys)) == 84
    assert {row["model"] for row in ROWS} == set(curves.PAPER)
    assert not [row["error"] for row in ROWS if row["error"]]


def test_a_trained_stand_in_is_of_its_model_s_family() -> None:
    for row in ROWS:
        assert row["family"] == curves.PAPER[row["model"]].family
        assert row["stand_in"] == curves.RANDOM or row["stand_in"].rpartition("-")[0] == row["family"]


def test_no_patient_is_tuned_on_and_diagnosed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medprobe.fixtures.datasets.dataset import open_dataset

    monkeypatch.setattr(curves, "DRAWN", {"drawn": 1.0})
    ((tuned, diagnosed),) = curves.data_sets(tmp_path, published=False).values()
    parts = [open_dataset(path, None).images for path in (tuned, diagnosed)]
    patients = [{image.path.name.partition("_")[0] for image in images} for images in parts]
    assert not patients[0] & patients[1]
    assert sum(map(len, patients)) == curves.N_PATIENTS
    assert len(parts[1]) >= curves.N_IMAGES
