"""F1 and Cohen's kappa of what is said: measures of a whole confusion matrix, from its resamples."""

from __future__ import annotations

from typing import Literal

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.judgement.resamples import Resamples

Weights = Literal["quadratic"] | None


def farthest(labels: Ints, said: Ints, n_classes: int) -> Ints:
    """What is said, [n_images], with the class farthest from the true one where no class is named: on a scale an answer
    has to lie somewhere, and no answer is worth no more than the worst.
    """
    return np.where(said < 0, np.where(labels * 2 < n_classes - 1, n_classes - 1, 0), said)


def tables(labels: Ints, said: Ints, n_classes: int, resamples: Resamples, place: str) -> Floats:
    """Resampled counts, [n_resamples, n_classes, n_classes + 1]: rows the true class, columns what is said, the last
    one no class. The rows keep their sums.
    """
    counts = np.bincount(labels, minlength=n_classes)
    columns = []
    for column in range(n_classes + 1):
        read = np.where(said < 0, n_classes, said) == column
        own = np.arange(n_classes) == column
        # An added group that is read wrongly is taken for each other class alike.
        wrong = np.where(own | (column == n_classes), 0, 1 / (n_classes - 1))
        columns.append(resamples.means(read.astype(np.float64), place, right=own.astype(np.float64), wrong=wrong))
    shares = np.clip(np.stack(columns, axis=-1), 0, None)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True) * counts[:, None])


def f1(counts: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN) of each class, [..., n_classes], from counts [..., n_classes, n_classes + 1] (van
    Rijsbergen 1979).
    """
    square = counts[..., :-1]
    hits = np.diagonal(square, axis1=-2, axis2=-1)
    return np.asarray(2 * hits / (counts.sum(axis=-1) + square.sum(axis=-2)))


def kappa(counts: Floats, weights: Weights = None) -> Floats:
    """Agreement beyond chance, 1 - observed / expected disagreement, from counts [..., n_classes, n_classes + 1] (Cohen
    1960). Disagreement is 1 between any two classes; under quadratic weights it is the square of their distance (Cohen
    1968), and no image may be without a class.
    """
    n_rows, n_columns = counts.shape[-2:]
    distance = np.arange(n_rows)[:, None] - np.arange(n_columns)
    weight = distance**2 if weights == "quadratic" else distance != 0
    total = counts.sum(axis=(-2, -1))
    expected = (counts.sum(axis=-1)[..., :, None] * counts.sum(axis=-2)[..., None, :] * weight).sum(axis=(-2, -1))
    return np.asarray(1 - (counts * weight).sum(axis=(-2, -1)) * total / expected)
