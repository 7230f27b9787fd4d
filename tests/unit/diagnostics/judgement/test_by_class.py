"""Sensitivity and specificity of a class against scikit-learn, and their intervals against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.judgement.by_class import MEASURES, OneClass, read


@settings(max_examples=25, deadline=None)
@given(k=st.integers(2, 4), each=st.integers(2, 9), seed=st.integers(0, 1000))
def test_the_values_are_those_of_scikit_learn(k, each, seed):
    from sklearn.metrics import recall_score

    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(k), each)
    predictions = rng.integers(-1, k, len(labels))
    for of in range(k):
        one, is_, read_as = OneClass(labels, np.arange(len(labels)), of, 0), labels == of, predictions == of
        assert one.value("sensitivity", predictions) == pytest.approx(recall_score(is_, read_as, zero_division=0))
        assert one.value("specificity", predictions) == pytest.approx(
            recall_score(is_, read_as, pos_label=False, zero_division=0)
        )


def test_an_answer_that_names_no_class_lowers_sensitivity_and_no_specificity():
    labels = np.repeat([0, 1], 50)
    found = read(labels, np.arange(100), {"answer": np.full(100, -1)}, ["normal", "malignant"], 0)
    for name in ("normal", "malignant"):
        assert found["sensitivity"]["answer"][name].value == 0
        assert found["specificity"]["answer"][name].value == 1


def test_of_two_classes_the_specificity_of_one_is_the_sensitivity_of_the_other():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [70, 30])
    predictions = np.where(rng.random(100) < 0.8, labels, 1 - labels)
    found = read(labels, np.arange(100), {"answer": predictions}, ["a", "b"], 0)
    for one, other in (("a", "b"), ("b", "a")):
        mine, theirs = found["sensitivity"]["answer"][one], found["specificity"]["answer"][other]
        assert mine.value == theirs.value
        assert mine.ci == pytest.approx(theirs.ci, abs=0.02)


@pytest.mark.slow
def test_the_intervals_cover_what_is_true_of_patients_with_several_images():
    """The images of a patient are read alike; intervals over images would cover far less."""
    inside = dict.fromkeys(MEASURES, 0)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels, groups = np.repeat(np.arange(120) % 2, 4), np.repeat(np.arange(120), 4)
        predictions = np.where((rng.random(120) < 0.85)[groups], labels, 1 - labels)
        found = read(labels, groups, {"answer": predictions}, ["a", "b"], seed)
        for measure in MEASURES:
            low, high = found[measure]["answer"]["b"].ci
            inside[measure] += low <= 0.85 <= high
    # 190 expected; fewer than 183 has a chance of 2 percent.
    assert min(inside.values()) >= 183, inside
