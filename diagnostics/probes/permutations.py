"""Labels given to other patients, and what the probe reads of them.

The label is permuted where it is exchangeable, between whole groups: shuffled image by image, a label that is constant
within a patient would lose its tie to what the patient's images share, and features of pure noise would look readable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Features, Floats, Ints
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.probes.ridge import read_beside, read_label_sets


@dataclass(frozen=True)
class Permuted:
    """`n` permutations of the labels of a data set and what is read under them, remembered in the store.

    labels, groups, folds: [n_images]. `key` names these and the probe in the store.
    """

    labels: Ints
    groups: Ints
    folds: Ints
    n: int
    seed: int
    root: Path
    key: Mapping[str, Any]

    @cached_property
    def sets(self) -> Ints:
        """[n, n_images] labels."""
        return permuted_labels(self.labels, self.groups, self.folds, self.n, self.seed)

    def read(self, features: Callable[[], Features], /, **content: str) -> tuple[Floats, Floats]:
        """Signals and raw accuracies, [n] each, of [n_images, width] features known as `content`."""

        def compute() -> dict[str, Floats]:
            read = read_label_sets(features(), self.sets, self.groups, self.folds, self._n_classes, np.float32)
            return self._scores(read)

        found = self._remembered(compute, content)
        return found["signal"], found["accuracy"]

    @property
    def beside(self) -> Callable[[Features], tuple[Reading, Floats]]:
        """What reads features under the true labels and, with the same factorisations, under the permuted ones; without
        this object, so that another machine can run it.
        """
        return partial(read_beside, labels=self.labels, permuted=self.sets, groups=self.groups, folds=self.folds)

    def keep(self, log_probabilities: Floats, /, **content: str) -> None:
        """Leave what `beside` read under permuted labels of features known as `content` where `read` finds it."""
        self._remembered(lambda: self._scores(log_probabilities), content)

    @property
    def _n_classes(self) -> int:
        return int(self.labels.max()) + 1

    def _scores(self, log_probabilities: Floats) -> dict[str, Floats]:
        signal, accuracy = scores_of(self.sets, log_probabilities.argmax(axis=2), self._n_classes)
        return {"signal": signal, "accuracy": accuracy}

    def _remembered(self, compute: Callable[[], dict[str, Floats]], content: Mapping[str, str]) -> dict[str, Floats]:
        return store.remembered(self.root, store.key(null=self.n, **content, **self.key), compute)


def permuted_labels(labels: Ints, groups: Ints, folds: Ints, n_permutations: int, seed: int) -> Ints:
    """[n_permutations, n_images] labels under which features that know only the group tell nothing.

    Groups of one label trade their labels, whatever their sizes, so that every class keeps its number of such groups;
    trading between equal sizes only would leave a group of a size of its own with its true label. A group of several
    labels keeps them, shuffled among its own images, since no other group could take its pattern. A permutation is
    drawn again where a training part would lack a class, which the folds of the true labels never do.
    """
    rng = np.random.default_rng(seed)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    of_group = labels[first]
    mixed = np.bincount(group, weights=labels != of_group[group]) > 0
    inside = np.flatnonzero(mixed[group])
    inside = inside[np.argsort(group[inside], kind="stable")]
    training = [folds != f for f in range(int(folds.max()) + 1)]
    n_classes = len(np.unique(labels))
    sets: list[Ints] = []
    while len(sets) < n_permutations:
        traded = of_group.copy()
        traded[~mixed] = rng.permutation(of_group[~mixed])
        drawn = traded[group]
        drawn[inside] = labels[inside[np.lexsort((rng.random(len(inside)), group[inside]))]]
        if all(len(np.unique(drawn[part])) == n_classes for part in training):
            sets.append(drawn)
    return np.stack(sets)


def scores_of(label_sets: Ints, predictions: Ints, n_classes: int) -> tuple[Floats, Floats]:
    """Signal and raw accuracy of every row of [n_sets, n_images] predictions for its own labels, [n_sets] each."""
    hits = label_sets == predictions
    recalls = [(hits & (label_sets == k)).sum(axis=1) / (label_sets == k).sum(axis=1) for k in range(n_classes)]
    return (np.mean(recalls, axis=0) - 1 / n_classes) / (1 - 1 / n_classes), hits.mean(axis=1)
