"""What the gate says of each class: sensitivity bought with specificity, margins, the family of tests, the words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medprobe.diagnostics.baselines.baseline import Match, Saved
from medprobe.diagnostics.baselines.regression import compare, record
from medprobe.diagnostics.baselines.sentences import compared_text
from medprobe.diagnostics.checks import check_regression
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.thresholds import Margins
from tests.unit.diagnostics.baselines.test_regression import PROBED, predictions

MARGINS = Margins(0.02, {"default": 0.05, "malignant": 0.02}, {"default": 0.05})
LABELS = np.repeat([0, 1], 300)


def said(recalls, seed, labels=LABELS):
    """Answers whose recall of each class is as given in truth; every image is a patient."""
    right = np.random.default_rng(seed).random(len(labels)) < np.asarray(recalls)[labels]
    return np.where(right, labels, 1 - labels)


def run(answers, labels=LABELS):
    base = predictions(labels, np.arange(len(labels)), answers, classes=["normal", "malignant"])
    # The exits are read as the labels in every run, so that the answer alone differs.
    return base.model_copy(update={"exits": {stage: [labels.tolist()] * 5 for stage in PROBED}})


def recorded(before, after, margins=MARGINS):
    return record(Match(file="release.json", saved=Saved(revision=None, predictions=before)), after, margins)


@pytest.mark.parametrize(
    ("before", "after", "lost"), [((0.8, 0.95), (0.95, 0.8), -0.15), ((0.68, 0.98), (0.98, 0.68), -0.3)]
)
@pytest.mark.parametrize("seed", range(5))
def test_sensitivity_bought_with_specificity_is_named(before, after, lost, seed):
    found = recorded(run(said(before, [seed, 0])), run(said(after, [seed, 1])))
    assert found.verdict == "regressed"
    assert found.exits["answer"].verdict != "regressed"
    malignant = found.sensitivity["malignant"]
    assert (malignant.verdict, malignant.margin) == ("regressed", 0.02)
    assert malignant.change == pytest.approx(lost, abs=0.07)
    assert found.sensitivity["normal"].verdict == "improved"
    assert found.reason.startswith(f"sensitivity for malignant, {100 * malignant.change:+.1f}".removesuffix(".0"))
    # Of two classes the specificity of the other is the same loss, and is not told twice.
    assert "specificity" not in found.reason


def test_the_check_names_class_and_loss():
    before = np.where(np.arange(600) % 20 == 0, 1 - LABELS, LABELS)
    after = np.where((LABELS == 1) & (np.arange(600) % 5 == 0), 0, before)
    found = recorded(run(before), run(after))
    diagnosis = Diagnosis(model="m", revision=None, dataset="d", regression=found)
    with pytest.raises(AssertionError) as raised:
        check_regression(diagnosis, fail_inconclusive=False)
    told = str(raised.value)
    assert told.startswith(
        "[regression] m on d against m in release.json: regressed: sensitivity for malignant, -15 points, "
        "95.0 to 80.0 percent ("
    )
    assert compared_text(found).startswith("regressed against release.json: sensitivity for malignant -15 (-")


def test_a_loss_is_judged_by_the_margin_of_its_class():
    after = np.where((LABELS == 1) & (np.arange(600) % 10 == 0), 0, LABELS)
    verdicts = {
        margin: compare(run(LABELS), run(after), Margins(0.02, {"default": margin}, {"default": 0.5}))
        .sensitivity["malignant"]
        .verdict
        for margin in (0.02, 0.1, 0.2)
    }
    assert verdicts == {0.02: "regressed", 0.1: "inconclusive", 0.2: "not_regressed"}


def test_what_decides_is_one_family_and_the_rest_another():
    from scipy.stats import false_discovery_control

    pair = run(said((0.9, 0.9), 0)), run(said((0.9, 0.8), 1))
    found = compare(*pair, MARGINS)
    family = found.decisive()
    assert len(family) == 1 + 2 * 2
    assert [c.p_adjusted for c in family] == pytest.approx(false_discovery_control([c.p for c in family]).tolist())
    assert len(compare(*pair, replace(MARGINS, places=("llm", "answer"))).decisive()) == 2 + 2 * 2


def test_another_device_asks_for_twice_the_margin():
    after = np.where((LABELS == 1) & (np.arange(600) % 17 == 0), 0, LABELS)
    here = run(after)
    elsewhere = here.model_copy(update={"made": here.made | {"device": "cuda"}})
    assert compare(run(LABELS), here, MARGINS).sensitivity["malignant"].verdict == "regressed"
    assert compare(run(LABELS), elsewhere, MARGINS).sensitivity["malignant"].verdict == "inconclusive"


def test_a_run_that_loses_nothing_says_so_of_the_classes_too():
    found = recorded(run(LABELS), run(LABELS))
    assert found.verdict == "not_regressed"
    assert found.reason == (
        "no more than 2 points of signal are lost at the answer, nor more than its margin of any class's sensitivity "
        "and specificity; the answer changed by +0.0, +0.0 to +0.0, p 1"
    )
    assert compared_text(found) == "not regressed against release.json: answer +0 (+0.0 to +0.0)"


def test_an_undecided_class_is_named_with_its_margin():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    before, after = (np.where(rng.random(80) < 0.9, labels, 1 - labels) for _ in range(2))
    found = recorded(run(before, labels), run(after, labels))
    assert found.verdict == "inconclusive"
    assert "it cannot be told whether more than 5 points of sensitivity for normal (" in found.reason
    assert " or 2 points of sensitivity for malignant (" in found.reason
    assert compared_text(found).startswith("inconclusive against release.json: sensitivity for ")


def test_three_classes_tell_specificity_apart():
    labels = np.repeat([0, 1, 2], 200)
    after = np.where((labels == 2) & (np.arange(600) % 4 == 0), 1, labels)
    names = ["normal", "benign", "malignant"]
    runs = [predictions(labels, np.arange(600), answers, classes=names) for answers in (labels, after)]
    found = recorded(*runs)
    regressed = {
        measure: [name for name, c in table.items() if c.verdict == "regressed"]
        for measure, table in (("sensitivity", found.sensitivity), ("specificity", found.specificity))
    }
    assert regressed == {"sensitivity": ["malignant"], "specificity": ["benign"]}
    assert found.specificity["benign"].change == pytest.approx(-50 / 400)
    assert "specificity for benign, -12.5 points" in found.reason


def test_a_loss_that_only_the_specificity_s_margin_refuses_is_told():
    after = np.where((LABELS == 1) & (np.arange(600) % 5 == 0), 0, LABELS)
    found = recorded(run(LABELS), run(after), Margins(0.5, {"default": 0.5}, {"default": 0.02}))
    assert found.sensitivity["malignant"].verdict == "not_regressed"
    assert found.reason.startswith("specificity for normal, -20 points, 100.0 to 80.0 percent (")
