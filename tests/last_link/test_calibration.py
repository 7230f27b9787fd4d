"""What an offset for each option can give back, and what it cannot."""

from __future__ import annotations

import numpy as np

from diagnostics.last_link.calibration import calibrated


def scores(seed: int, n: int = 300, k: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    clear = 2.0 * np.eye(k)[labels] + rng.normal(0, 0.5, (n, k))
    return clear.astype(np.float32), labels, np.arange(n) // k % 5


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(predictions == labels))


def test_a_prior_on_one_option_is_given_back():
    clear, labels, folds = scores(0)
    biased = clear + np.array([0, 9, 0], dtype=np.float32)
    assert accuracy(biased.argmax(axis=1), labels) < 0.35
    assert accuracy(calibrated(biased, labels, folds), labels) > 0.95


def test_swapped_options_are_not_swapped_back():
    clear, labels, folds = scores(1)
    assert accuracy(calibrated(clear[:, [1, 0, 2]], labels, folds), labels) < 0.5


def test_scores_without_the_class_give_nothing():
    _, labels, folds = scores(2)
    noise = np.random.default_rng(3).normal(size=(300, 3)).astype(np.float32)
    assert abs(accuracy(calibrated(noise, labels, folds), labels) - 1 / 3) < 0.1


def test_a_held_out_label_is_never_seen():
    _, labels, folds = scores(4)
    close = np.random.default_rng(4).normal(size=(300, 3)).astype(np.float32)  # so that small offsets matter
    other = labels.copy()
    other[folds == 2] = close[folds == 2].argmin(axis=1)
    before, after = calibrated(close, labels, folds), calibrated(close, other, folds)
    assert (before[folds == 2] == after[folds == 2]).all()
    assert (before[folds != 2] != after[folds != 2]).any()


def test_scale_and_constant_scores_do_no_harm():
    clear, labels, folds = scores(5)
    assert accuracy(calibrated(clear * 1000, labels, folds), labels) > 0.95
    assert set(calibrated(np.ones((300, 3), dtype=np.float32), labels, folds)) <= {0, 1, 2}
