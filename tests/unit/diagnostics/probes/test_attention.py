"""The attention probe on region means made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medprobe.diagnostics.probes.attention import read_attention
from medprobe.diagnostics.probes.ridge import read_ridge


def regions(seed: int, n: int = 240, width: int = 24):
    """A class pattern, and a pattern that any lesion has, in one region of sixteen, noise in the others."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // 2
    labels = groups % 2
    directions = np.eye(width)[:3] * 6
    states = rng.normal(size=(n, 16, width))
    place = rng.integers(0, 16, n)
    states[np.arange(n), place] += directions[2] + np.where(labels[:, None] == 1, directions[0], directions[1])
    return states.reshape(n, -1).astype(np.float32), labels, groups, groups // 2 % 5


def accuracy(reading, labels):
    return float(np.mean(reading.predictions == labels))


def test_a_pattern_in_any_one_region_is_read():
    features, labels, groups, folds = regions(0)
    attention = read_attention(features, labels, folds, 0)
    assert accuracy(attention, labels) > 0.9
    assert attention.inner_accuracy.min() > 0.8
    assert accuracy(read_ridge(features, labels, groups, folds), labels) < accuracy(attention, labels) - 0.1


def test_noise_is_not_read():
    features, labels, _, folds = regions(1)
    noise = np.random.default_rng(2).normal(size=features.shape).astype(np.float32)
    assert abs(accuracy(read_attention(noise, labels, folds, 0), labels) - 0.5) < 0.12


def test_held_out_labels_do_not_matter():
    features, labels, _, folds = regions(3)
    other = np.where(folds == 1, 1 - labels, labels)
    first, second = (read_attention(features, y, folds, 0).log_probabilities for y in (labels, other))
    np.testing.assert_allclose(first[folds == 1], second[folds == 1], atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_constant_features_read_nothing(value):
    _, labels, _, folds = regions(4)
    reading = read_attention(np.full((len(labels), 16 * 8), value, dtype=np.float32), labels, folds, 0)
    assert np.isfinite(reading.log_probabilities).all()


def test_a_direction_that_one_fold_alone_shows_changes_nothing():
    """Without that fold the training images have one direction less than with it."""
    features, labels, _, folds = regions(5)
    states = features.reshape(len(labels), 16, -1)
    rare = np.zeros((*states.shape[:2], 1), np.float32)
    rare[folds == 0] = np.random.default_rng(6).normal(size=rare[folds == 0].shape)
    read = read_attention(np.concatenate([states, rare], axis=2).reshape(len(labels), -1), labels, folds, 0)
    assert accuracy(read, labels) > 0.9
