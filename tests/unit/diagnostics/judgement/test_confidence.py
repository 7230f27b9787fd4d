"""Brier score and calibration error against scikit-learn, and their intervals against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.judgement import confidence
from medprobe.diagnostics.judgement.resamples import Resamples


def drawn(n, k, seed, sharp=1.0):
    """Log-likelihoods that are the truth's own, and labels drawn from them; `sharp` exaggerates what is given."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, k)) * 1.5
    p = confidence.probabilities(scores)
    labels = (p.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    return labels, scores * sharp


@settings(max_examples=25, deadline=None)
@given(k=st.integers(2, 4), n=st.integers(20, 80), seed=st.integers(0, 1000))
def test_the_brier_score_is_that_of_scikit_learn(k, n, seed):
    from sklearn.metrics import brier_score_loss

    labels, scores = drawn(n, k, seed)
    p = confidence.probabilities(scores - 40)
    assert p.sum(axis=1) == pytest.approx(1)
    shown = p[:, 1] if k == 2 else p
    expected = brier_score_loss(labels, shown, **({} if k == 2 else {"labels": np.arange(k)}))
    assert confidence.squared_errors(labels, p).mean() == pytest.approx(expected)
    sure = np.eye(k)[(labels + 1) % k]
    assert confidence.squared_errors(labels, sure) == pytest.approx(confidence.most_squared(k))


@settings(max_examples=25, deadline=None)
@given(k=st.integers(2, 4), n=st.integers(20, 200), seed=st.integers(0, 1000))
def test_the_calibration_error_is_that_of_the_bins_of_scikit_learn(k, n, seed):
    from sklearn.calibration import calibration_curve

    labels, scores = drawn(n, k, seed, sharp=2)
    p = confidence.probabilities(scores)
    sure, right = p.max(axis=1), p.argmax(axis=1) == labels
    share, mean = calibration_curve(right, sure, n_bins=confidence.N_BINS)
    counts = np.histogram(sure, np.linspace(0, 1, confidence.N_BINS + 1))[0]
    expected = (np.abs(share - mean) * counts[counts > 0]).sum() / n
    assert confidence.ece(labels, p) == pytest.approx(expected)


@pytest.mark.parametrize("sharp", [1.0, 2.5])
def test_the_interval_of_the_calibration_error_covers_that_of_many_images(sharp):
    """True is the error on 200,000 images; of 300 the error itself lies above it where the model is well calibrated."""
    labels, scores = drawn(200_000, 3, 0, sharp)
    true = confidence.ece(labels, confidence.probabilities(scores))
    inside, above = 0, 0
    for seed in range(1, 101):
        labels, scores = drawn(300, 3, seed, sharp)
        p = confidence.probabilities(scores)
        resamples = Resamples(labels, np.arange(300), 3, seed, 1000)
        low, high = confidence.ece_interval(labels, p, resamples)
        inside += low <= true <= high
        above += confidence.ece(labels, p) > true
    # 95 expected; fewer than 90 has a chance of 1 percent.
    assert inside >= 90
    assert sharp > 1 or above >= 95


def test_a_sure_probability_is_in_the_last_bin():
    assert confidence.bins(np.array([[1.0, 0.0], [0.5, 0.5], [0.31, 0.69]])).tolist() == [9, 5, 6]
