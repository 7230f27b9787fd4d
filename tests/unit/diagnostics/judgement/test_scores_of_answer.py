"""The record of the scores, and its measures by name."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from medprobe.diagnostics.judgement.measures import measures
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.judgement.scores_of_answer import Scored, Wanted, scores_of_answer
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.fixtures.datasets.manifest import OperatingPoint
from tests.unit.plugins.report import samples

CLASSES = ("normal", "benign", "malignant")
NOTHING = Wanted(None, {}, False)


def scored(seed=0, n=300, **changed):
    rng = np.random.default_rng(seed)
    labels, groups = np.arange(n) % 3, np.arange(n) // 3
    options = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    calibrated = options - np.logaddexp.reduce(options, axis=1, keepdims=True)
    return replace(
        Scored(
            labels=labels,
            groups=groups,
            folds=groups % 5,
            classes=CLASSES,
            said=options.argmax(axis=1),
            options=options,
            calibrated=calibrated,
            exits={"llm": calibrated},
            resamples=Resamples(labels, groups, 3, 0, 500),
            seed=0,
        ),
        **changed,
    )


def test_the_likelihoods_rank_at_the_answer_and_what_is_said_is_sensitivity_and_specificity_at_once():
    from sklearn.metrics import roc_auc_score

    read = scored()
    found = scores_of_answer(read, NOTHING)
    p = np.exp(read.options)
    expected = roc_auc_score(read.labels, p / p.sum(axis=1, keepdims=True), multi_class="ovr")
    assert found.auroc["answer"].macro.value == pytest.approx(expected)
    for k, name in enumerate(CLASSES):
        is_, read_as = read.labels == k, read.said == k
        balanced = (read_as[is_].mean() + (~read_as)[~is_].mean()) / 2
        assert found.auroc["said"].classes[name].value == pytest.approx(balanced)
    low, high = found.auroc["answer"].macro.ci
    assert low < expected < high


def test_held_out_scores_are_ranked_within_folds():
    read = scored()
    shifted = read.options + 50 * (read.folds[:, None] * np.array([1, 0, 0]))
    found = scores_of_answer(replace(read, exits={"llm": shifted, "vision": read.options}), NOTHING).auroc
    assert found["llm"].classes["normal"].value == pytest.approx(found["vision"].classes["normal"].value)


def test_what_cannot_be_computed_is_null_with_the_reason():
    said = np.full(300, 0)
    found = scores_of_answer(scored(said=said, folds=np.arange(300)), Wanted(None, {"malignant": 0.01}, False))
    assert found.auroc["llm"].macro.value is None
    assert found.auroc["llm"].macro.reason == "no fold holds images of the class and others"
    worth = found.predictive_values["malignant"].answer
    assert (worth.ppv.value, worth.ppv.ci, worth.ppv.reason) == (None, None, "no image is read as the class")
    assert worth.npv.value == pytest.approx(0.99)
    assert found.quadratic_kappa.reason == "the manifest does not say ordinal = true"
    assert found.kappa.value == pytest.approx(0)


def test_an_interval_that_some_resamples_have_no_value_for_is_null_with_the_count():
    """One image of ten patients is read as the class, and some resamples give it no weight."""
    said = np.zeros(30, dtype=np.int64)
    said[2] = 2
    read = scored(n=30)
    found = scores_of_answer(replace(read, said=said), Wanted(None, {"malignant": 0.01}, False))
    ppv = found.predictive_values["malignant"].answer.ppv
    assert (ppv.value, ppv.ci) == (1, None)
    assert re.fullmatch(r"in \d+ of 5,000 resamples no image is read as the class", ppv.reason)


def test_the_operating_point_has_about_the_sensitivity_that_is_asked_on_images_it_was_not_learnt_on():
    wanted = Wanted(OperatingPoint(sensitivity={"malignant": 0.9}), {"malignant": 0.1}, True)
    found = scores_of_answer(scored(n=1500), wanted)
    point = found.operating_point["malignant"]
    assert (point.asked, point.at, len(point.thresholds)) == ("sensitivity", 0.9, 5)
    assert len(set(point.thresholds)) > 1
    assert all(0 < t < 1 for t in point.thresholds)
    assert point.sensitivity.value == pytest.approx(0.9, abs=0.03)
    se, sp = point.sensitivity.value, point.specificity.value
    at = found.predictive_values["malignant"].operating_point
    assert at.ppv.value == pytest.approx(0.1 * se / (0.1 * se + 0.9 * (1 - sp)))
    assert found.quadratic_kappa.value is not None


def test_a_given_threshold_is_on_the_probability_among_the_options():
    read = scored()
    found = scores_of_answer(read, Wanted(OperatingPoint(threshold={"benign": 0.3}), {}, False))
    p = np.exp(read.options - np.logaddexp.reduce(read.options, axis=1, keepdims=True))[:, 1]
    point = found.operating_point["benign"]
    assert point.thresholds == pytest.approx([0.3] * 5)
    assert point.sensitivity.value == pytest.approx((p[read.labels == 1] >= 0.3).mean())
    assert point.specificity.value == pytest.approx((p[read.labels != 1] < 0.3).mean())


@pytest.mark.parametrize(("at", "reached"), [(0.0, 1.0), (1.0, 0.0)])
def test_thresholds_at_the_ends_call_every_image_the_class_or_none(at, reached):
    found = scores_of_answer(scored(), Wanted(OperatingPoint(threshold={"benign": at}), {}, False))
    assert found.operating_point["benign"].sensitivity.value == reached
    assert found.operating_point["benign"].thresholds == [at] * 5


def test_every_measure_has_a_name_and_the_value_of_the_record():
    diagnosis = samples.connector_fail()
    found = measures(diagnosis)
    assert found["auroc"] == diagnosis.scores.auroc["answer"].macro
    assert found["auroc.pneumonia"] == diagnosis.scores.auroc["answer"].classes["pneumonia"]
    share = diagnosis.sensitivity["answer"]["pneumonia"]
    assert (found["sensitivity.pneumonia"].value, found["sensitivity.pneumonia"].ci) == (share.value, share.ci)
    assert found["operating_point.specificity.pneumonia"].value == 0.412
    assert found["ppv.pneumonia"].value == 0.12
    assert {"specificity.normal", "average_precision.normal", "brier", "ece", "macro_f1", "kappa"} <= set(found)
    assert found["quadratic_kappa"].value == 0.55
    assert measures(samples.healthy())["quadratic_kappa"].reason
    assert measures(Diagnosis(model="m", revision=None, dataset="d", error="why")) == {}
