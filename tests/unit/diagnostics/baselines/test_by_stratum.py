"""A loss of one stratum counts in the gate, and what is undecided does not."""

from __future__ import annotations

import numpy as np
import pytest

from medprobe.diagnostics.baselines.baseline import Match, Saved
from medprobe.diagnostics.baselines.by_stratum import changes_by_stratum, with_strata
from medprobe.diagnostics.baselines.sentences import compared_text, stratum_text
from tests.unit.diagnostics.baselines.test_regression import predictions
from tests.unit.diagnostics.subgroups.simulated import CLASSES, simulated
from tests.unit.plugins.report import samples


def runs(kind: str):
    """A healthy run and one of a kind, of the same patients; the later rows come in another order in the first."""
    (healthy, strata), (other, _) = simulated("healthy"), simulated(kind)
    order = np.random.default_rng(1).permutation(len(healthy.labels))
    sample = predictions(healthy.labels, healthy.groups, healthy.places["answer"])
    before = sample.model_copy(
        update={"classes": list(CLASSES), "places": {"answer": healthy.places["answer"][order].tolist()}}
    )
    after = sample.model_copy(
        update={"classes": list(CLASSES), "places": {"answer": other.places["answer"].tolist()}, "strata": strata}
    )
    return before, after, np.argsort(order).tolist()


def test_a_loss_of_one_sex_is_named():
    before, after, order = runs("sex")
    found = changes_by_stratum(before, after, order, 0.1, otherwise=False)
    lost = {(c.attribute, c.value, c.measure, c.of) for c in found if c.verdict == "regressed"}
    assert ("sex", "female", "sensitivity", "malignant") in lost
    assert ("sex", "female", "signal", None) in lost
    assert not any(value == "male" for _, value, *_ in lost)
    assert "in sex female, -" in stratum_text(found)


def test_a_lost_stratum_makes_the_whole_regressed_and_an_undecided_one_does_not():
    before, after, _ = runs("sex")
    images = [before.images[row] for row in runs("sex")[2]]
    after = after.model_copy(update={"images": images})
    before = before.model_copy(update={"labels": [after.labels[images.index(image)] for image in before.images]})
    match = Match(file="base.json", saved=Saved(revision=None, predictions=before))
    kept = samples.regressed().model_copy(update={"verdict": "not_regressed", "reason": "kept", "made_otherwise": {}})
    found = with_strata(kept, match, after, 0.1)
    assert found.verdict == "regressed"
    assert found.reason.endswith("; kept")
    assert "in sex female, -" in compared_text(found)
    wide = with_strata(kept, match, after, 0.99)
    assert wide.verdict == "not_regressed"
    assert wide.strata
    assert with_strata(kept, match, after.model_copy(update={"strata": {}}), 0.1) == kept


def test_the_same_answers_lose_nothing():
    before, after, order = runs("healthy")
    found = changes_by_stratum(before, after, order, 0.1, otherwise=False)
    assert {c.verdict for c in found} == {"not_regressed"}
    assert {c.ci for c in found} == {(0.0, 0.0)}
    assert stratum_text(found) == ""


def test_a_run_made_otherwise_must_lose_twice_as_much():
    before, after, order = runs("sex")
    loss = changes_by_stratum(before, after, order, 0.6, otherwise=True)
    assert "regressed" not in {c.verdict for c in loss}
    assert "regressed" in {c.verdict for c in changes_by_stratum(before, after, order, 0.6, otherwise=False)}


def test_changes_are_shares_of_the_stratum():
    before, after, order = runs("sex")
    healthy, strata = simulated("healthy")
    other, _ = simulated("sex")
    rows = (np.array(strata["sex"].codes) == 0) & (healthy.labels == 2)
    wanted = np.mean(other.places["answer"][rows] == 2) - np.mean(healthy.places["answer"][rows] == 2)
    (found,) = (
        c
        for c in changes_by_stratum(before, after, order, 0.1, otherwise=False)
        if (c.value, c.measure, c.of) == ("female", "sensitivity", "malignant")
    )
    assert found.change == pytest.approx(wanted)
