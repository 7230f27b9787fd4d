"""What an offset for each option can give back, and what it cannot."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.last_link import calibration
from medprobe.diagnostics.last_link.calibration import calibrated


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


def test_every_class_weighs_alike():
    """Ten to one of two classes that the scores do not part: a loss over images would never say the rare one."""
    rng = np.random.default_rng(6)
    labels = (np.arange(660) % 11 == 0).astype(np.int64)
    weak = (0.8 * np.eye(2)[labels] + rng.normal(0, 1, (660, 2))).astype(np.float32)
    said = calibrated(weak, labels, np.arange(660) // 11 % 5)
    recall = [accuracy(said[labels == k], labels[labels == k]) for k in (0, 1)]
    assert min(recall) > 0.6


def test_the_fit_is_at_the_least_loss():
    """No scale and no offset beside the fitted ones has a smaller class-balanced log loss."""
    clear, labels, _ = scores(7, n=90)
    values = clear.astype(np.float64) * 3 + np.array([0.5, -1, 0])
    labels = np.where(np.arange(90) % 4 == 0, (labels + 1) % 3, labels)
    scale, offsets = calibration._fit(values, labels)

    def loss(scale: float, offsets: np.ndarray) -> float:
        logits = scale * values + offsets
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -np.mean([log_probabilities[labels == k, k].mean() for k in range(3)])

    least = loss(scale, offsets)
    for step in (-0.05, 0.05):
        assert loss(scale * (1 + step), offsets) > least
        for k in range(3):
            assert loss(scale, offsets + step * np.eye(3)[k]) > least


def test_what_all_options_of_an_image_share_says_nothing():
    clear, labels, folds = scores(8)
    shift = np.random.default_rng(8).normal(0, 50, (300, 1)).astype(np.float32)
    assert (calibrated(clear + shift, labels, folds) == calibrated(clear, labels, folds)).mean() > 0.99
