"""Thresholds fixed beforehand, and predictive values by Bayes' rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.judgement.operating_point import held_out_thresholds, learnt, npv, ppv


@settings(max_examples=100, deadline=None)
@given(
    scores=st.lists(st.integers(-5, 5), min_size=1, max_size=40),
    asked=st.sampled_from([0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0]),
)
def test_no_larger_threshold_has_the_sensitivity_that_is_asked(scores, asked):
    scores = np.array(scores, dtype=np.float64)
    threshold = learnt(scores, asked)
    assert np.mean(scores >= threshold) >= asked - 1e-9
    assert np.mean(scores > threshold) < asked - 1e-9


def test_the_share_of_images_does_not_hang_on_rounding():
    assert learnt(np.arange(20.0), 0.95) == 1


def test_a_threshold_never_sees_the_images_it_is_applied_to():
    scores = np.array([0.0, 1.0, 2.0, 3.0, 9.0, 9.0])
    labels, folds = np.array([1, 1, 1, 1, 0, 0]), np.array([0, 1, 0, 1, 0, 1])
    assert held_out_thresholds(scores, labels, 1, folds, 1.0).tolist() == [1.0, 0.0]


@settings(max_examples=50, deadline=None)
@given(p=st.floats(0.001, 0.999), found=st.integers(1, 99), spared=st.integers(1, 99))
def test_predictive_values_are_those_of_a_table_with_that_prevalence(p, found, spared):
    """Counts in a thousand million images."""
    sensitivity, specificity = found / 100, spared / 100
    true, false = 1e9 * p * sensitivity, 1e9 * (1 - p) * (1 - specificity)
    missed, rest = 1e9 * p * (1 - sensitivity), 1e9 * (1 - p) * specificity
    assert ppv(p, np.array(sensitivity), np.array(specificity)) == pytest.approx(true / (true + false))
    assert npv(p, np.array(sensitivity), np.array(specificity)) == pytest.approx(rest / (rest + missed))


def test_what_is_never_read_has_no_predictive_value():
    assert np.isnan(ppv(0.01, np.array([0.0]), np.array([1.0])))
    assert np.isnan(npv(0.01, np.array([1.0]), np.array([0.0])))
