"""The cause of planted faults, found against the healthy phantom on 48 images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from diagnostics.diagnosis import diagnose
from diagnostics.records import STAGES, Diagnosis
from diagnostics.settings import Settings
from fixtures.models.registry import resolve
from fixtures.phantoms import phantom_path
from fixtures.phantoms.images import draw_dataset
from tests.causes.samples import halved, renumbered


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("drawn"), 24, 2, 21)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def diagnosed(model: str, against: str | Path, drawn: Path, store: Path) -> Diagnosis:
    settings = Settings(store=store, against=resolve(str(against)), batch_size=48)
    found, _ = diagnose(resolve(model), "phantom", lambda: drawn, settings, lambda *_: None)
    assert found.error is None
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_the_planted_module_is_named(stage, drawn, store):
    cause = diagnosed(f"phantom-{stage}", "phantom", drawn, store).cause
    assert cause is not None
    assert cause.module == stage, cause.reason
    assert cause.against == "phantom"
    assert cause.effects is not None
    assert sum(value for _, value in cause.effects) == pytest.approx(cause.difference)
    assert len(cause.hybrids) == 16
    assert cause.hybrids[-1].signal - cause.hybrids[0].signal == pytest.approx(cause.difference)
    assert cause.prefixes[0].signal == cause.hybrids[0].signal
    # The tower is blind from its first layer, every decoder layer is deaf, and one that hears is enough.
    assert cause.layer == (0 if stage in ("vision", "llm") else None)


def test_identical_checkpoints_name_nothing(drawn, store):
    found = diagnosed("phantom", "phantom", drawn, store)
    cause = found.cause
    assert cause is not None
    assert cause.module is None
    assert cause.reason.startswith("no difference")
    assert [value for _, value in cause.effects or ()] == pytest.approx([0, 0, 0, 0])
    # Each hybrid of two equal models is the model, scored as the diagnosis scores it.
    assert found.answer is not None
    assert {hybrid.signal for hybrid in cause.hybrids} == {found.answer.likeliest}


def test_a_second_run_reads_no_weights(drawn, store, monkeypatch):
    from diagnostics.loader import Loader

    first = diagnosed("phantom-llm", "phantom", drawn, store)

    def load(self: Any) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(Loader, "load", load)
    assert diagnosed("phantom-llm", "phantom", drawn, store).cause == first.cause


def test_a_checkpoint_kept_in_another_dtype_is_read_in_the_models(drawn, store, tmp_path):
    cause = diagnosed("phantom-answer", halved(tmp_path / "halved"), drawn, store).cause
    assert cause is not None
    assert cause.module == "answer", cause.reason


def test_another_architecture_is_said_and_nothing_named(drawn, store, tmp_path):
    cause = diagnosed("phantom", renumbered(tmp_path / "renumbered"), drawn, store).cause
    assert cause is not None
    assert cause.module is None
    assert cause.effects is None
    assert cause.reason == (
        "modules of another architecture cannot be swapped: their tokenizers number the words differently"
    )


def test_a_second_checkpoint_that_cannot_be_loaded_leaves_the_diagnosis(drawn, store, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(phantom_path(), folder)
    weights = load_file(folder / "model.safetensors")
    del weights["multi_modal_projector.linear_1.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = diagnosed("phantom", folder, drawn, store)
    assert found.signal is not None
    assert found.cause is not None
    assert found.cause.module is None
    assert found.cause.reason.startswith("the second checkpoint cannot be loaded: ")
    assert "lacks 1 weights" in found.cause.reason


def test_without_a_second_checkpoint_no_cause_is_sought(drawn, store):
    found, _ = diagnose(resolve("phantom"), "phantom", lambda: drawn, Settings(store=store), lambda *_: None)
    assert found.cause is None
