"""The cause of planted faults, found against the healthy phantom on 48 images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from medprobe.diagnostics.diagnosis import diagnose
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.records.chain import STAGES
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms import phantom_path
from medprobe.fixtures.phantoms.images import draw_dataset
from tests.unit.diagnostics.causes.samples import edited, halved, renumbered, says_something_else


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("drawn"), 24, 2, 21)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def diagnosed(model: str | Path, against: str | Path, drawn: Path, store: Path) -> Diagnosis:
    settings = Settings(store=store, against=resolve(str(against)), batch_size=48)
    found, _ = diagnose(ModelOnDemand(resolve(str(model)), settings), "phantom", lambda: drawn, lambda *_: None)
    assert found.error is None
    return found


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=[pytest.mark.slow] if stage == "vision" else []) for stage in STAGES]
)
def test_the_planted_module_is_named(stage, drawn, store):
    cause = diagnosed(f"phantom-{stage}", "phantom", drawn, store).cause
    assert cause is not None
    assert cause.module == stage, cause.reason
    assert cause.against == "phantom"
    assert cause.effects is not None
    assert sum(value for _, value in cause.effects) == pytest.approx(cause.difference)
    assert cause.certain
    assert (cause.found_by, cause.judged_on, cause.key, cause.keys) == ("swap", "likeliest", None, [])
    assert len(cause.hybrids) == 16
    assert cause.effects.input == 0
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
    assert [value for _, value in cause.effects or ()] == pytest.approx([0, 0, 0, 0, 0])
    # Each hybrid of two equal models is the model, scored as the diagnosis scores it.
    assert found.answer is not None
    assert {hybrid.signal for hybrid in cause.hybrids} == {found.answer.likeliest}


def test_a_second_run_reads_no_weights(drawn, store, monkeypatch):
    first = diagnosed("phantom-llm", "phantom", drawn, store)

    def load(self: Any) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(ModelOnDemand, "load", load)
    assert diagnosed("phantom-llm", "phantom", drawn, store).cause == first.cause


def test_a_checkpoint_kept_in_another_dtype_is_read_in_the_models(drawn, store, tmp_path):
    cause = diagnosed("phantom-answer", halved(tmp_path / "halved"), drawn, store).cause
    assert cause is not None
    assert cause.module == "answer", cause.reason


@pytest.mark.parametrize(
    ("files", "paths", "key"),
    [
        (
            {"processor_config": {"image_processor.do_rescale": False}},
            ["image_processor.do_rescale"],
            "image_processor.do_rescale",
        ),
        (
            {"config": {"text_config.rope_parameters.rope_theta": 3.0}},
            ["config.text_config.rope_parameters.rope_theta"],
            "config.text_config.rope_parameters.rope_theta",
        ),
        (
            # The layer is a number of the configuration; what the mean and deviation are changes nothing clearly.
            {
                "config": {"vision_feature_layer": 1},
                "processor_config": {"image_processor.image_mean": [0.5, 0.5, 0.49]},
            },
            ["image_processor.image_mean", "config.vision_feature_layer"],
            None,  # 48 images in 12 groups show that it is the input, and not clearly which key
        ),
    ],
    ids=["no rescaling", "rotary base", "another layer of the tower"],
)
def test_a_fault_of_the_input_is_named_with_its_key(files, paths, key, drawn, store, tmp_path):
    cause = diagnosed(edited(tmp_path / "edited", **files), "phantom", drawn, store).cause
    assert cause is not None
    assert (cause.module, cause.key) == ("input", key), cause
    assert cause.certain
    assert cause.layer is None
    assert [key.path for key in cause.keys] == paths
    # Where no text can be parsed any more, that fell by more than the likeliest option did.
    assert len(cause.hybrids) == {"likeliest": 32, "said": 12}[cause.judged_on]
    assert cause.effects is not None
    assert cause.effects.input == pytest.approx(cause.difference)
    assert cause.shipped is not None
    assert cause.shipped.signal == cause.hybrids[-1].signal
    # What is tried alone counts all that was tried; the last key listed is the one that was changed for the worse.
    alone = cause.keys[-1]
    assert alone.signal == pytest.approx(cause.shipped.signal, abs=0.05)
    assert alone.change is not None
    assert (alone.change.ci[0] > 0.3) is (key is not None)


def test_settings_that_change_no_image_and_no_word_make_no_place(drawn, store, tmp_path):
    commented = edited(
        tmp_path / "commented",
        chat_template="{# as before #}",
        processor_config={"image_processor.image_mean": [0.5] * 3},
    )
    cause = diagnosed("phantom-connector", commented, drawn, store).cause
    assert cause is not None
    assert cause.module == "connector"
    assert len(cause.hybrids) == 16
    assert [(key.path, key.reason) for key in cause.keys] == [("chat_template", "makes no difference to these images")]


def test_a_module_is_named_where_the_inputs_differ_too(drawn, store, tmp_path):
    """The second checkpoint asks in other words, which cost it nothing."""
    worded = edited(tmp_path / "worded", chat_template=" ")
    cause = diagnosed("phantom-llm", worded, drawn, store).cause
    assert cause is not None
    assert cause.module == "llm", cause.reason
    assert len(cause.hybrids) == 32
    assert cause.key is None
    assert [key.path for key in cause.keys] == ["chat_template"]
    assert cause.keys[0].signal is not None


def test_what_is_said_is_judged_where_that_is_what_fell(drawn, store, tmp_path):
    found = diagnosed(says_something_else(tmp_path / "other"), "phantom", drawn, store)
    cause = found.cause
    assert cause is not None
    assert found.answer is not None
    assert found.answer.said < 0.1
    assert found.answer.likeliest > 0.8
    assert cause.judged_on == "said"
    assert cause.module == "answer", cause.reason
    assert cause.certain
    # The two checkpoints, and what is one swap away from either.
    assert len(cause.hybrids) == 10
    assert cause.hybrids[0].signal == found.answer.said
    assert cause.shipped is not None
    assert cause.hybrids[-1].signal == cause.shipped.signal > 0.8
    assert (cause.layer, cause.prefixes) == (None, [])


def test_another_architecture_is_said_and_the_second_checkpoint_measured_as_it_ships(drawn, store, tmp_path):
    cause = diagnosed("phantom-answer", renumbered(tmp_path / "renumbered"), drawn, store).cause
    assert cause is not None
    assert cause.module is None
    assert cause.effects is None
    assert not cause.certain
    assert cause.reason == (
        "modules of another architecture cannot be swapped: their tokenizers number the words differently"
    )
    assert cause.shipped is not None
    assert cause.difference is not None
    assert cause.difference > 0.1


def test_what_fails_while_swapping_is_a_reason(drawn, store, tmp_path, monkeypatch):
    from medprobe.diagnostics.causes.hybrids import Hybrids

    def fail(*_: Any) -> None:
        raise IndexError("index 7 is out of bounds for dimension 1 with size 4")

    monkeypatch.setattr(Hybrids, "read", fail)
    edit = edited(tmp_path / "edited", processor_config={"image_processor.rescale_factor": 1.0})
    found = diagnosed(edit, "phantom", drawn, store)
    assert found.signal is not None
    cause = found.cause
    assert cause is not None
    # Another input, asked without the second checkpoint, names what the swaps cannot.
    assert (cause.module, cause.found_by) == ("input", "counterfactual")
    assert cause.reason.endswith(
        "the two cannot be swapped: IndexError: index 7 is out of bounds for dimension 1 with size 4"
    )
    assert [(key.path, key.ours, key.theirs) for key in cause.keys] == [
        ("image_processor.rescale_factor", 1.0, 1 / 255)
    ]
    assert cause.keys[0].reason == "modules cannot be swapped"
    assert cause.shipped is not None
    assert cause.difference == pytest.approx(cause.shipped.signal)
    assert cause.difference_ci is not None
    assert cause.difference_ci[0] > 0.5


def test_an_input_that_cannot_be_brought_over_is_what_the_modules_do_not_explain(drawn, store, tmp_path, monkeypatch):
    from medprobe.fixtures.models import input_settings

    def refuse(*_: Any) -> None:
        raise input_settings.CannotAlter("the configuration of a model that is spread over devices cannot be changed")

    monkeypatch.setattr(input_settings, "_with_numbers", refuse)
    edit = edited(tmp_path / "edited", config={"vision_feature_layer": 1})
    cause = diagnosed(edit, "phantom", drawn, store).cause
    assert cause is not None
    assert cause.module == "input"
    assert not cause.certain
    assert "the inputs could not be exchanged: the configuration of a model that is spread" in cause.reason
    assert len(cause.hybrids) == 17
    assert cause.keys[0].reason is not None
    assert cause.keys[0].reason.startswith("cannot be swapped alone: the configuration")


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
    found, _ = diagnose(
        ModelOnDemand(resolve("phantom"), Settings(store=store)), "phantom", lambda: drawn, lambda *_: None
    )
    assert found.cause is None
