"""The signal between images that a nuisance cannot tell apart: read inside strata of the nuisance's own score."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.arrays import Bools, Floats, Ints
from medprobe.diagnostics.scores import TIED

N_QUANTILES = 5


def of_scores(log_probabilities: Floats) -> Ints:
    """[n_images] strata from held-out scores [n_images, K]: images in the same fifth of every class's score. Equal
    scores are never parted: images of one size may be scored by other rounding, by where in a product of matrices their
    rows lie.
    """
    shares = np.arange(1, N_QUANTILES) / N_QUANTILES
    fifths = [np.searchsorted(np.quantile(column, shares) + TIED, column) for column in log_probabilities.T]
    return np.unique(np.stack(fifths, axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def holding_two_classes(strata: Ints, labels: Ints) -> Bools:
    """[n_images]: whether an image's stratum holds another class too."""
    held = np.zeros(len(labels), dtype=bool)
    for stratum in np.unique(strata):
        inside = strata == stratum
        held |= inside & (len(np.unique(labels[inside])) > 1)
    return held


def signal_within(strata: Ints, labels: Ints, predictions: Ints) -> float | None:
    """Mean over the strata with several classes of (balanced accuracy - 1/k) / (1 - 1/k), k the classes that the
    stratum holds; null where there is none.

    Strata weigh by the harmonic mean of their class counts, as the variance of a balanced accuracy goes with the
    inverses of these counts: one image among a hundred of the other class says little.
    """
    signals, weights = [], []
    for stratum in np.unique(strata):
        own, read = labels[strata == stratum], predictions[strata == stratum]
        classes, counts = np.unique(own, return_counts=True)
        k = len(classes)
        if k < 2:
            continue
        accuracy = np.mean([np.mean(read[own == c] == c) for c in classes])
        signals.append((accuracy - 1 / k) / (1 - 1 / k))
        weights.append(k / (1 / counts).sum())
    return float(np.average(signals, weights=weights)) if signals else None
