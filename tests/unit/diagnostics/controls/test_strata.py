"""The signal inside strata, by hand."""

import numpy as np
import pytest

from medprobe.diagnostics.controls.strata import holding_two_classes, of_scores, signal_within


def test_by_hand() -> None:
    """Stratum 0: 2 of 2 and 1 of 2 right, 0.75, signal 0.5, weight 2. Stratum 1: 3 of 4 and 0 of 1 right, 0.375,
    signal -0.25, weight 2 / (1/4 + 1) = 1.6. Stratum 2 holds one class.
    """
    strata = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2])
    labels = np.array([0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1])
    read = np.array([0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0])
    assert signal_within(strata, labels, read) == pytest.approx((2 * 0.5 + 1.6 * -0.25) / 3.6)
    assert holding_two_classes(strata, labels).tolist() == [True] * 9 + [False] * 2


def test_three_classes_in_one_stratum_two_in_another() -> None:
    strata, labels = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 2])
    assert signal_within(strata, labels, labels) == pytest.approx(1)
    assert signal_within(strata, labels, np.zeros_like(labels)) == pytest.approx(0)


def test_no_stratum_of_two_classes_is_null() -> None:
    labels = np.array([0, 0, 1, 1])
    assert signal_within(labels, labels, labels) is None


def test_what_the_nuisance_tells_is_gone_inside() -> None:
    """Predictions that know only the nuisance read nothing between images of equal nuisance."""
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 2
    nuisance = labels ^ (rng.random(2000) < 0.2)
    score = np.where(nuisance, 0.9, 0.1)
    strata = of_scores(np.log(np.stack([1 - score, score], axis=1)))
    assert len(np.unique(strata)) == 2
    assert signal_within(strata, labels, nuisance.astype(np.int64)) == pytest.approx(0, abs=1e-12)
    assert signal_within(strata, labels, labels) == pytest.approx(1)


def test_scores_that_differ_by_rounding_are_not_parted() -> None:
    rng = np.random.default_rng(0)
    score = np.where(np.arange(500) % 2, 0.9, 0.1) + rng.integers(-1, 2, 500) * 1e-15
    assert len(np.unique(of_scores(np.log(np.stack([1 - score, score], axis=1))))) == 2


def test_strata_are_fifths_of_the_score() -> None:
    p = np.linspace(0.05, 0.95, 100)
    strata = of_scores(np.log(np.stack([1 - p, p], axis=1)))
    # The first class's fifths are the second's in reverse, but for the image on an edge.
    assert 5 <= len(np.unique(strata)) <= 9
    assert np.bincount(strata).max() <= 21
