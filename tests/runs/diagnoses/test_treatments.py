"""Remedies tried on phantoms: what can be given back is, what was destroyed is not; a blank picture is asked once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medprobe.diagnostics.evidence import Evidence, gather
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.further_questions import ask, blanks_at
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.treatments.try_remedies import treat
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.datasets.lesions.alterations import Noised
from medprobe.fixtures.models.registry import ModelSpec, resolve
from medprobe.fixtures.phantoms.images import draw_dataset


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("treatments")
    manifest = draw_dataset(root / "set", 30, 4, seed=43)

    def evidence(fault: str | None) -> Evidence:
        source = resolve("phantom").source
        spec = ModelSpec(source, name="phantom", source=source, fault=fault)
        settings = Settings(store=Path(root) / "store")
        return gather(ModelOnDemand(spec, settings), open_dataset(manifest, None), lambda *_: None)

    return evidence


def helping(evidence: Evidence) -> set[str]:
    return {trial.name for trial in treat(evidence).trials if trial.helps}


def test_a_biased_head_is_put_right_without_a_label(shown):
    treated = treat(shown("answer.biased"))
    found = {trial.name: trial for trial in treated.trials}
    assert treated.lost > 0.8
    for name in ("calibration", "batch_prior", "options_probe", "llm_probe"):
        assert found[name].helps, name
        assert found[name].change.change > 0.7 * treated.lost
    assert not found["option_order"].helps
    assert found["prompts"].reason == "the manifest has no paraphrases"


def test_swapped_words_come_back_by_probes_alone(shown):
    assert helping(shown("answer.swapped_words")) == {"options_probe", "llm_probe", "connector_probe"}


@pytest.mark.parametrize("fault", ["connector.muted", "vision.blind"])
def test_what_was_destroyed_does_not_come_back(shown, fault):
    assert helping(shown(fault)) == set()


def test_what_the_llm_drops_is_read_before_it(shown):
    assert helping(shown("llm.deaf")) == {"connector_probe"}


def test_a_second_trial_asks_no_model(shown, monkeypatch):
    first = treat(shown("answer.biased"))
    monkeypatch.setattr(
        "medprobe.diagnostics.extraction.model_on_demand.ModelOnDemand.load",
        lambda self: pytest.fail("the model was loaded again"),
    )
    assert treat(shown("answer.biased")) == first


def test_alterations_are_the_same_every_time_and_known_apart(shown):
    evidence = shown(None)
    one, two = evidence.measured.images[:2]
    blanks = blanks_at(evidence, np.arange(2))
    assert blanks[0].digest == blanks[1].digest != one.digest
    assert one.altered(Noised()).digest not in (two.altered(Noised()).digest, one.digest, one.altered(Noised(5)).digest)
    noised = np.asarray(open_image(one.altered(Noised()))).astype(float)
    np.testing.assert_array_equal(noised, np.asarray(open_image(one.altered(Noised()))))
    as_it_was = np.asarray(open_image(one)).astype(float)
    assert 20 < np.abs(noised - as_it_was).mean() < 80
    assert 0.7 < Noised().kept < 0.8
    # But for rounding: two rows of a batch.
    assert np.ptp(ask(evidence, blanks).array("options"), axis=0).max() < 1e-4
