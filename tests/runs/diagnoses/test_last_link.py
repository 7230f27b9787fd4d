"""The record of the last link, on the phantom and on one whose head says the same word whatever it is handed."""

from __future__ import annotations

import pytest

from medprobe.diagnostics.evidence import Evidence, gather
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.last_link.reading import read_answer
from medprobe.diagnostics.last_link.scores import read_scores
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms.images import draw_dataset


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    path = draw_dataset(tmp_path_factory.mktemp("drawn") / "set", 36, 2, seed=41)
    text = path.read_text().replace("\nroot =", '\nparaphrases = ["Which is it: normal, benign or malignant?"]\nroot =')
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def evidence(model: str, manifest, store) -> Evidence:
    return gather(ModelOnDemand(resolve(model), Settings(store)), open_dataset(manifest, None), lambda *_: None)


def test_a_healthy_answer_rests_on_the_picture(manifest, store):
    found = evidence("phantom", manifest, store)
    answer = read_answer(found)
    assert answer.likeliest > 0.8
    assert abs(answer.likeliest - answer.said) <= 0.03
    assert answer.modality_reliance > 0.8
    assert answer.blank_image < 0.6
    assert answer.steps.said.ci[0] <= 0 <= answer.steps.said.ci[1]
    assert answer.option_order is not None
    assert answer.option_order.prompt.endswith("Answer malignant, benign or normal.")
    assert [p.prompt for p in answer.paraphrases] == ["Which is it: normal, benign or malignant?"]
    assert answer.paraphrases[0].n_images == 72


def test_a_constant_answer_rests_on_nothing(manifest, store):
    answer = read_answer(evidence("phantom-answer", manifest, store))
    assert answer.modality_reliance == 0
    assert answer.blank_image == 1
    assert answer.steps.options.ci[1] < 0
    assert abs(answer.calibrated) < 0.1
    assert abs(answer.random_tokens) < 0.1


def test_a_second_reading_asks_no_model(manifest, store, monkeypatch):
    first = read_answer(evidence("phantom", manifest, store))
    monkeypatch.setattr(
        "medprobe.diagnostics.extraction.model_on_demand.ModelOnDemand.load",
        lambda self: pytest.fail("the model was loaded again"),
    )
    assert read_answer(evidence("phantom", manifest, store)) == first


def test_scores_rank_at_every_place_of_a_healthy_model_and_not_where_a_constant_is_said(manifest, store):
    healthy, constant = (read_scores(evidence(model, manifest, store)) for model in ("phantom", "phantom-answer"))
    assert min(found.macro.value for found in healthy.auroc.values()) > 0.9
    assert healthy.probabilities.brier.value < 0.3
    assert constant.auroc["llm"].macro.value > 0.9
    for place in ("answer", "said"):
        assert constant.auroc[place].macro.value == pytest.approx(0.5)
    assert constant.kappa.value == pytest.approx(0)
    assert constant.probabilities_after_offset.ece.value < 0.1 < constant.probabilities.ece.value


def test_the_operating_point_of_the_manifest_is_measured(manifest, store):
    path = manifest.parent / "asked.toml"
    asked = "\nordinal = true\nprevalence = {malignant = 0.01}\n[operating_point]\nsensitivity = {malignant = 0.9}\n"
    path.write_text(f'extends = "{manifest.name}"{asked}')
    found = read_scores(evidence("phantom", path, store))
    assert found.operating_point["malignant"].sensitivity.value > 0.8
    assert found.predictive_values["malignant"].prevalence == 0.01
    assert found.quadratic_kappa.value > 0.8
