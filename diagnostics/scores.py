"""Formulas over predictions and curves. Every function takes plain arrays and gives plain numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints

FHS_LAMBDA = 0.2
"""Weight of the volatility penalty, arXiv 2604.08333."""

TIED = 1e-9
"""Accuracies, signals and log-probabilities closer than this are equal: far above what float64 arithmetic leaves, far
below what one image more or less is worth.
"""


def balanced_accuracy(labels: Ints, predictions: Ints, n_classes: int) -> float:
    """Mean over the classes of the share of their images that are read rightly.

    `labels` and `predictions` are [n_images]; a prediction outside 0..n_classes-1 counts as wrong.
    Raises ValueError when a class has no image.
    """
    hits = labels == predictions
    totals = np.bincount(labels, minlength=n_classes)
    if (totals == 0).any():
        raise ValueError("balanced accuracy needs an image of every class")
    return float(np.mean(np.bincount(labels, weights=hits, minlength=n_classes) / totals))


def signal(accuracy: float, n_classes: int) -> float:
    """Chance-corrected balanced accuracy, (a - 1/K) / (1 - 1/K): 1 is perfect, 0 chance, below 0 worse than chance."""
    return (accuracy - 1 / n_classes) / (1 - 1 / n_classes)


def signal_of(labels: Ints, predictions: Ints, n_classes: int) -> float:
    """The signal of predictions, both [n_images]. Raises ValueError when a class has no image."""
    return signal(balanced_accuracy(labels, predictions, n_classes), n_classes)


def feature_health_score(curve: Sequence[float], n_images: int) -> float:
    """Feature Health Score of a module from its layer accuracies P(1..n), arXiv 2604.08333:

        FHS = P_end * (1 + GF) * VP
        GF  = ln(P_end / sqrt(P_start * P_min))
        VP  = exp(-0.2 * sum_i |P_(i+1) - P_i| / P_end)

    Accuracies are clipped to 1/n_images from below, since the logarithm has no value at 0.
    Raises ValueError for an empty curve. Homogeneous of degree one away from the clip: FHS(c P) = c FHS(P).
    """
    return float(feature_health_scores(np.asarray(curve, dtype=np.float64)[None], n_images)[0])


def feature_health_scores(curves: Floats, n_images: int) -> Floats:
    """The Feature Health Score of each of [n_curves, n_layers] accuracies."""
    if not curves.shape[1]:
        raise ValueError("a Feature Health Score needs at least one layer")
    p = np.maximum(curves, 1 / n_images)
    end = p[:, -1]
    growth = np.log(end / np.sqrt(p[:, 0] * p.min(axis=1)))
    volatility = np.exp(-FHS_LAMBDA * np.abs(np.diff(p, axis=1)).sum(axis=1) / end)
    return np.asarray(end * (1 + growth) * volatility)


def auroc(labels: Ints, scores: Floats) -> float | None:
    """Area under the ROC curve, one class against the rest, averaged over the classes; null where a class is missing.

    `scores` is [n_images, n_classes]. Ties count half (Mann-Whitney).
    """
    from scipy.stats import rankdata

    areas = []
    for k in range(scores.shape[1]):
        positive = labels == k
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if not n_positive or not n_negative:
            return None
        ranks = rankdata(scores[:, k])
        areas.append((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
    return float(np.mean(areas))


def first_best(values: Floats) -> Ints:
    """Index along the first axis of the largest value, the first of those that differ by rounding alone.

    Two accuracies of as many images are equal, but their shares may have been added in another order, which depends on
    the images that were read rightly and on the processor.
    """
    return np.asarray((values >= values.max(axis=0) - TIED).argmax(axis=0), dtype=np.int64)


def confusion(labels: Ints, predictions: Ints, n_classes: int) -> list[list[int]]:
    """Counts, rows the true class, columns what was read; a last column counts readings that name no class, if any."""
    n_columns = n_classes + int((predictions < 0).any())
    columns = np.where(predictions < 0, n_classes, predictions)
    table = np.bincount(labels * n_columns + columns, minlength=n_classes * n_columns)
    return [[int(count) for count in row] for row in table.reshape(n_classes, n_columns)]
