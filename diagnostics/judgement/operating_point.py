"""A class against the rest at a threshold that is fixed before the images are judged by it, and what a reading is worth
at a prevalence."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints


def learnt(scores: Floats, sensitivity: float) -> float:
    """The largest threshold at which at least this share of the scores of a class, [n_images], reach it."""
    ordered = np.sort(scores)
    # 1 - 0.95 is a little more than 0.05; the share of images may not depend on it.
    return float(ordered[int(np.floor((1 - sensitivity) * len(ordered) + 1e-9))])


def held_out_thresholds(scores: Floats, labels: Ints, of: int, folds: Ints, sensitivity: float) -> Floats:
    """The threshold of each fold, [n_folds], learnt on the images of the class in the other folds."""
    n_folds = int(folds.max()) + 1
    return np.array([learnt(scores[(folds != fold) & (labels == of)], sensitivity) for fold in range(n_folds)])


def ppv(prevalence: float, sensitivity: Floats, specificity: Floats) -> Floats:
    """The share of the images read as the class that are of it, where the class has this prevalence (Altman and Bland
    1994); NaN where none is read as it.
    """
    return _share(prevalence * sensitivity, (1 - prevalence) * (1 - specificity))


def npv(prevalence: float, sensitivity: Floats, specificity: Floats) -> Floats:
    """The share of the images not read as the class that are not of it; NaN where every image is read as it."""
    return _share((1 - prevalence) * specificity, prevalence * (1 - sensitivity))


def _share(right: Floats, wrong: Floats) -> Floats:
    total = np.asarray(right + wrong, dtype=np.float64)
    return np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0)
