"""What the gate asks of a set: margins that a team wrote stay, built-in ones become what the set clears."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medprobe.diagnostics.baselines.baseline import Match, Saved
from medprobe.diagnostics.baselines.criteria import MOST, TOGETHER, Criteria
from medprobe.diagnostics.baselines.regression import record
from medprobe.diagnostics.baselines.sentences import needed_sentences
from medprobe.diagnostics.thresholds import Margins, load_thresholds
from tests.unit.diagnostics.baselines.test_regression import predictions
from tests.unit.diagnostics.baselines.test_regression_by_class import run, said

LABELS = np.repeat([0, 1], [300, 100])
GROUPS = np.arange(400)
NAMES = ["normal", "malignant"]
BUILT_IN = load_thresholds().margins("m", "d")
WRITTEN = Margins(0.02, {"default": 0.05, "malignant": 0.02}, {"default": 0.05})


def accepted(margins, labels=LABELS, groups=GROUPS, seen=0.0):
    return Criteria(labels, groups, NAMES).accepted(margins, seen)


def test_a_built_in_margin_is_what_the_set_clears_if_that_is_more():
    signal, of_class = accepted(BUILT_IN)
    assert signal.margin == signal.clears > signal.asked == 0.02
    malignant = of_class["sensitivity", 1]
    assert (malignant.asked, malignant.margin) == (0.02, malignant.clears)
    large = accepted(BUILT_IN, np.tile(LABELS, 100), np.arange(40_000))[0]
    assert large.clears < large.margin == 0.02


def test_a_margin_that_a_team_wrote_is_never_widened():
    signal, of_class = accepted(WRITTEN)
    assert signal.margin == 0.02 < signal.clears
    assert {key: found.margin for key, found in of_class.items()} == {
        ("sensitivity", 0): 0.05, ("sensitivity", 1): 0.02, ("specificity", 0): 0.05, ("specificity", 1): 0.05
    }  # fmt: skip


def test_no_set_clears_more_than_a_fifth_unasked():
    few = accepted(BUILT_IN, np.repeat([0, 1], 6), np.arange(12))[0]
    assert few.clears > MOST == few.margin


def test_the_images_needed_are_those_of_the_criterion_in_proportion():
    signal, of_class = accepted(WRITTEN)
    assert set(of_class["sensitivity", 1].needed) == {"malignant"} == set(of_class["specificity", 0].needed)
    assert signal.needed["normal"] == pytest.approx(3 * signal.needed["malignant"], rel=0.01)
    shape = Criteria(LABELS, GROUPS, NAMES).of("sensitivity", 1).shape
    times = of_class["sensitivity", 1].needed["malignant"] / 100
    assert times == pytest.approx(shape.times_needed(0.02, 0.05, TOGETHER, 3), rel=0.01)


def test_what_was_seen_to_change_moves_the_images_needed_and_no_margin():
    one, other = accepted(BUILT_IN)[0], accepted(BUILT_IN, seen=0.2)[0]
    assert other.needed["normal"] > 2 * one.needed["normal"]
    assert (one.margin, one.clears) == (other.margin, other.clears)
    assert accepted(BUILT_IN, seen=0.01)[0] == one


def test_an_assumed_share_of_changed_answers_is_the_teams():
    assert accepted(replace(BUILT_IN, changed_answers=0.01))[0].clears < accepted(BUILT_IN)[0].clears


def test_the_outcome_names_what_the_set_clears():
    before, after = run(said((0.9, 0.9), 0)), run(said((0.9, 0.9), 0))
    after = after.model_copy(
        update={"places": {"answer": [1 - after.places["answer"][0], *after.places["answer"][1:]]}}
    )
    match = Match(file="release.json", saved=Saved(revision=None, predictions=before))
    found = record(match, after, BUILT_IN)
    assert found.verdict == "not_regressed"
    assert f"no more than {100 * found.minimum_effect:.3g} points of signal are lost at the answer" in found.reason
    assert f"this set clears losses of {100 * found.minimum_effect:.3g} points of signal and of " in found.reason
    assert "; give more images, or write [regression] minimum_effect and [sensitivity]" in found.reason
    assert "this set clears" not in record(match, after, WRITTEN).reason
    told = needed_sentences(found)
    assert len(told) == 1 + 2 * 2
    assert told[0].startswith("signal of the answer: this set clears losses of ")
    assert told[2].endswith(" malignant images decide 2 points")


def test_a_place_advises_unless_it_is_asked_to_decide():
    labels = np.repeat([0, 1], 300)
    base = predictions(labels, np.arange(600), labels, classes=NAMES)
    fallen = np.where(np.arange(600) % 4 == 0, 1 - labels, labels).tolist()
    worse = base.model_copy(update={"exits": base.exits | {"connector": [fallen] * 5}})
    match = Match(file="release.json", saved=Saved(revision=None, predictions=base))
    advised = record(match, worse, WRITTEN)
    assert (advised.verdict, advised.places, advised.deciding) == ("not_regressed", ["connector"], ["answer"])
    assert (
        "as advice, which decides nothing: more than 2 points are lost at the connector exit (-50.0" in advised.reason
    )
    decided = record(match, worse, replace(WRITTEN, places=("answer", "connector")))
    assert (decided.verdict, decided.deciding) == ("regressed", ["answer", "connector"])
