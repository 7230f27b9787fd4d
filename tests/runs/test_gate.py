"""The regression gate as its users call it: save, compare, refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medprobe.fixtures.phantoms.images import draw_dataset
from tests.runs.calling import Run, medprobe


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("gate")


@pytest.fixture(scope="module")
def data(place) -> list[str | Path]:
    manifest = draw_dataset(place / "set", 60, 2, seed=5)
    manifest.write_text(manifest.read_text("utf-8").replace('name = "phantom"', 'name = "gated"'), "utf-8")
    return ["--dataset", manifest, "--store", place / "store"]


@pytest.fixture(scope="module")
def saved(place, data) -> Path:
    file = place / "base.json"
    run = medprobe("--model", "phantom", *data, "--save-baseline", file, report_dir=place / "saved")
    assert run.code == 0, run.out
    assert f"baseline: {file}" in run.out
    assert "absolute gate only" in run.out
    assert run.diagnoses["phantom", "gated"]["regression"] is None
    return file


@pytest.fixture(scope="module")
def same(place, data, saved) -> Run:
    return medprobe("--model", "phantom", *data, "--baseline", saved, "-v", report_dir=place / "same")


@pytest.fixture(scope="module")
def worse(place, data, saved) -> Run:
    more = ("--model", "phantom-answer", "--baseline", saved, "--gate", "regression", "-v")
    return medprobe(*data, *more, report_dir=place / "worse")


def test_the_baseline_names_what_it_holds(saved):
    held = json.loads(saved.read_text("utf-8"))
    assert [(d["predictions"]["model"], d["predictions"]["dataset"]) for d in held["diagnoses"]] == [
        ("phantom", "gated")
    ]
    assert held["versions"]["medprobe"]
    read = held["diagnoses"][0]["predictions"]
    for seeds in read["exits"].values():
        assert len(seeds) == 5
        assert len({tuple(values) for values in seeds}) > 1
    assert read["made"] == {"device": "cpu", "dtype": "float32", "batch_size": "16"}


def test_the_same_run_has_not_regressed(same):
    assert same.code == 0, same.out
    assert len(same.outcomes()) == 5
    assert same.outcomes()["test_regression[phantom-gated]"] == "PASSED"
    found = same.diagnoses["phantom", "gated"]["regression"]
    assert found["verdict"] == "not_regressed"
    assert found["baseline"] == {"file": "base.json", "model": "phantom", "revision": None} | {
        "revision": found["baseline"]["revision"]
    }
    assert set(found["exits"]) == {"vision", "connector", "llm", "answer"}
    assert "absolute gate only" not in same.out
    assert same.report["verdict"] == same.diagnoses["phantom", "gated"]["verdict"]


def test_a_broken_answer_has_regressed(worse):
    assert worse.code == 1, worse.out
    assert worse.outcomes() == {"test_regression[phantom-answer-gated]": "FAILED"}
    assert "AssertionError: [regression] phantom-answer on gated against phantom in base.json: " in worse.out
    assert worse.report["verdict"] == "fail"
    found = worse.diagnoses["phantom-answer", "gated"]
    assert found["regression"]["verdict"] == "regressed"
    assert found["regression"]["exits"]["answer"]["change"] < -0.5
    assert found["regression"]["exits"]["vision"]["verdict"] == "not_regressed"


def test_the_absolute_gate_reads_no_baseline(place, data, saved):
    run = medprobe(
        *("--model", "phantom", *data, "--gate", "absolute", "--collect-only", "-q"),
        report_dir=place / "absolute",
        MEDPROBE_BASELINE=str(place / "nowhere.json"),
    )
    assert run.code == 0, run.out
    assert "test_regression" not in run.out


def changed(saved, path, **fields) -> Path:
    held = json.loads(saved.read_text("utf-8"))
    held["diagnoses"][0]["predictions"].update(fields)
    path.write_text(json.dumps(held), "utf-8")
    return path


@pytest.mark.parametrize(
    ("fields", "more", "word"),
    [
        ({"prompt": "What is this?"}, (), "has another prompt: 'What is this?'"),
        ({"classes": ["a", "b", "c"]}, (), "has another classes"),
        ({}, ("--probe", "mlp"), "has another probe: 'ridge', here 'mlp'"),
        ({}, ("--max-images", "30"), "has 120 images, more than --max-images 30"),
    ],
)
def test_what_shows_before_loading_ends_the_call(data, saved, fields, more, word, tmp_path):
    other = changed(saved, tmp_path / "other.json", **fields)
    run = medprobe("--model", "phantom", *data, "--baseline", other, *more, report_dir=tmp_path / "reports")
    assert run.code == 4, run.out
    assert word in run.err
    assert str(other) in run.err


def test_other_images_are_an_error_of_their_diagnosis(place, data, saved):
    other = changed(saved, place / "other-data.json", data_fingerprint="f")
    run = medprobe("--model", "phantom", *data, "--baseline", other, report_dir=place / "other")
    assert run.code == 1, run.out
    assert "has another data" in run.diagnoses["phantom", "gated"]["error"]
    assert run.report["verdict"] is None


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("way", ["option", "variable", "file"])
def test_a_missing_baseline_ends_the_call(place, data, workers, way, tmp_path):
    missing = tmp_path / "none.json"
    arguments = ["--baseline", missing] if way == "option" else []
    variables: dict[str, Any] = {"MEDPROBE_BASELINE": str(missing)} if way == "variable" else {}
    if way == "file":
        broken = tmp_path / "broken.json"
        broken.write_text("{", "utf-8")
        arguments, missing = ["--baseline", broken], broken
    run = medprobe("--model", "phantom", *data, *arguments, "-n", workers, report_dir=tmp_path, **variables)
    assert run.code == 4, run.out + run.err
    assert str(missing) in run.err
    assert "Traceback" not in run.err


@pytest.mark.slow
def test_two_workers_save_and_compare_in_a_folder(place, data):
    folder = place / "baselines"
    models = ("--model", "phantom", "--model", "phantom-answer", "--max-images", "60", "-n", "2")
    saving = medprobe(*models, *data, "--save-baseline", folder, report_dir=place / "two")
    (file,) = folder.glob("*.json")
    assert {d["predictions"]["model"] for d in json.loads(file.read_text("utf-8"))["diagnoses"]} == {
        "phantom",
        "phantom-answer",
    }, saving.out
    run = medprobe(*models, *data, "--baseline", folder, "--gate", "regression", "-v", report_dir=place / "again")
    assert run.code == 0, run.out
    assert {key: d["regression"]["baseline"]["model"] for key, d in run.diagnoses.items()} == {
        ("phantom", "gated"): "phantom",
        ("phantom-answer", "gated"): "phantom-answer",
    }
    assert run.report["verdict"] == "pass"


def test_a_baseline_without_the_data_set_ends_the_call(saved, tmp_path):
    run = medprobe("--model", "phantom", "--baseline", saved, report_dir=tmp_path)
    assert run.code == 4
    assert "does not hold phantom on phantom; it holds phantom on gated" in run.err


def test_the_regression_gate_needs_a_baseline(tmp_path):
    run = medprobe("--model", "phantom", "--gate", "regression", report_dir=tmp_path)
    assert run.code == 4
    assert "--gate regression needs a baseline" in run.err
