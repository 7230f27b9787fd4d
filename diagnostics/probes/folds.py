"""Stratified folds in which the images of one patient stay together, the same for everything read on a data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class TooFewGroups(ValueError):
    """A class has fewer groups than two folds need."""


def require_groups(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> int:
    """The number of groups of the class that has fewest. Raises TooFewGroups where no group could be held out."""
    fewest = min(len(np.unique(groups[labels == k])) for k in np.unique(labels))
    if fewest < 3:
        raise TooFewGroups(f"a class comes from {fewest} patient groups; at least 3 are needed to hold one out")
    return fewest


def assign(labels: NDArray[np.int64], groups: NDArray[np.int64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of every image, [n_images], values 0..n_folds-1.

    Every class must lie in at least two folds outside any one fold, so a class in fewer than `n_folds` groups lowers
    the number of folds; fewer than three groups in a class raise TooFewGroups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = require_groups(labels, groups)
    splitter = StratifiedGroupKFold(n_splits=min(n_folds, fewest), shuffle=True, random_state=seed)
    folds = np.empty(len(labels), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        folds[held_out] = fold
    return folds
