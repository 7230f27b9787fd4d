"""Five phantoms, each diagnosed as it was made."""

from __future__ import annotations

import pytest

from medprobe.diagnostics.records.chain import FAILURE_MODES
from tests.runs.calling import Run, medprobe
from tests.runs.conftest import drawn

PLANTED = {
    "phantom": None,
    **{f"phantom-{stage}": mode for stage, mode in FAILURE_MODES.items()},
}
SEEDS = (11, 12)


def diagnosed(dataset, folder, store, *more: str) -> Run:
    models = [argument for model in PLANTED for argument in ("--model", model)]
    return medprobe(*models, "--dataset", dataset, "--store", store, "-n", "2", *more, report_dir=folder)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return {seed: drawn(tmp_path_factory.mktemp("images"), "drawn", 40, 4, seed) for seed in SEEDS}


@pytest.fixture(scope="module")
def ridge(images, store, tmp_path_factory):
    return diagnosed(images[SEEDS[0]], tmp_path_factory.mktemp("ridge"), store)


@pytest.fixture(scope="module")
def other_images(images, store, tmp_path_factory):
    return diagnosed(images[SEEDS[1]], tmp_path_factory.mktemp("other"), store)


@pytest.fixture(scope="module")
def mlp(images, store, tmp_path_factory):
    return diagnosed(images[SEEDS[0]], tmp_path_factory.mktemp("mlp"), store, "--probe", "mlp")


def assert_as_planted(diagnosis, fault):
    verdicts = {mode: link["verdict"] for mode, link in diagnosis["failure_modes"].items()}
    assert diagnosis["primary_failure_mode"] == fault, verdicts
    assert diagnosis["verdict"] == ("pass" if fault is None else "fail")
    assert [mode for mode, verdict in verdicts.items() if verdict == "fail"] == ([] if fault is None else [fault])


@pytest.mark.parametrize("model", PLANTED)
def test_ridge_finds_the_planted_fault(model, ridge):
    assert_as_planted(ridge.diagnoses[model, "drawn"], PLANTED[model])


@pytest.mark.slow
@pytest.mark.parametrize("model", PLANTED)
def test_it_is_found_on_other_images(model, other_images):
    assert_as_planted(other_images.diagnoses[model, "drawn"], PLANTED[model])


@pytest.mark.slow
@pytest.mark.parametrize("model", PLANTED)
def test_mlp_agrees(model, mlp):
    assert_as_planted(mlp.diagnoses[model, "drawn"], PLANTED[model])
