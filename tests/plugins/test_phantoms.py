"""Five phantoms, each diagnosed as it was made."""

from __future__ import annotations

import pytest

from diagnostics.records import FAILURE_MODES
from tests.plugins.calling import Run, medprobe
from tests.plugins.conftest import drawn

PLANTED = {
    "phantom": None,
    **{f"phantom-{stage}": mode for stage, mode in FAILURE_MODES.items()},
}
SEEDS = ("seed11", "seed12")


def diagnosed(datasets, folder, store, *more: str) -> Run:
    models = [argument for model in PLANTED for argument in ("--model", model)]
    sets = [argument for dataset in datasets for argument in ("--dataset", dataset)]
    return medprobe(*models, *sets, "--store", store, "-n", "2", *more, report_dir=folder)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return [drawn(tmp_path_factory.mktemp(name), name, 40, 4, int(name.removeprefix("seed"))) for name in SEEDS]


@pytest.fixture(scope="module")
def ridge(sets, store, tmp_path_factory):
    return diagnosed(sets, tmp_path_factory.mktemp("ridge"), store)


@pytest.fixture(scope="module")
def mlp(sets, store, tmp_path_factory):
    return diagnosed(sets[:1], tmp_path_factory.mktemp("mlp"), store, "--probe", "mlp")


def assert_as_planted(diagnosis, fault):
    verdicts = {mode: link["verdict"] for mode, link in diagnosis["failure_modes"].items()}
    assert diagnosis["primary_failure_mode"] == fault, verdicts
    assert diagnosis["verdict"] == ("pass" if fault is None else "fail")
    assert [mode for mode, verdict in verdicts.items() if verdict == "fail"] == ([] if fault is None else [fault])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("model", PLANTED)
def test_ridge_finds_the_planted_fault(model, seed, ridge):
    assert_as_planted(ridge.diagnoses[model, seed], PLANTED[model])


@pytest.mark.parametrize("model", PLANTED)
def test_mlp_agrees(model, mlp):
    assert_as_planted(mlp.diagnoses[model, SEEDS[0]], PLANTED[model])
