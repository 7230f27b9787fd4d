"""The images of one attribute by stratum and class, and resampled readings of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medprobe.diagnostics.arrays import Bools, Floats, Ints
from medprobe.diagnostics.judgement.resamples import Resamples

LEAST_GROUPS = 10
"""Patient groups of a class without which nothing is said of the class in a stratum."""
LEAST_STANDARDISED = 2
"""Patient groups of every class without which a stratum is no part of a standardised reading."""


@dataclass(frozen=True)
class Cells:
    """labels, groups, codes: [n_images], of the images whose stratum is known; codes from 0."""

    labels: Ints
    groups: Ints
    codes: Ints
    n_classes: int
    seed: int

    @cached_property
    def n_groups(self) -> Ints:
        """Patient groups by stratum and class, [n_strata, n_classes]. A group counts in each cell that it is in."""
        n_strata = int(self.codes.max(initial=-1)) + 1
        cells = np.unique(np.stack([self.codes, self.labels, self.groups]), axis=1)
        found = np.zeros((n_strata, self.n_classes), dtype=np.int64)
        np.add.at(found, (cells[0], cells[1]), 1)
        return found

    def patients(self, rows: Bools) -> int:
        return len(np.unique(self.groups[rows]))

    def gaps(self, stratum: int, predictions: Ints) -> tuple[Floats, Floats, Floats]:
        """Recalls in a stratum, recalls in all others, [n_classes] each, and resampled differences of the others less
        the stratum's, [n_resamples, n_classes]. Every class must be in both.

        Groups that have images on both sides are resampled once. The groups that resamples add have a coin of their
        own on either side, as the two samples of Agresti and Caffo 2000 have.
        """
        k = self.n_classes
        side = (self.codes == stratum).astype(np.int64)
        cell = side * k + self.labels
        resamples = Resamples(cell, self.groups, 2 * k, self.seed)
        read = np.where(predictions == self.labels, cell, -1)
        below = resamples.recalls(read, "rest")[:, :k] - resamples.recalls(read, "stratum")[:, k:]
        recalls = self._recalls(cell, predictions, 2 * k)
        return recalls[k:], recalls[:k], below

    def standardised(self, places: dict[str, Ints]) -> Standardised | None:
        """What is read if every class had the strata in the same shares: direct standardisation of the recalls, with
        the shares of all images as weights. The signal read is the sum over strata of P(stratum | class) times the
        recall; P(stratum) takes its place. None where fewer than two strata hold every class.
        """
        whole = np.flatnonzero((self.n_groups >= LEAST_STANDARDISED).all(axis=1))
        if len(whole) < 2:
            return None
        rows = np.isin(self.codes, whole)
        k, n_cells = self.n_classes, len(whole) * self.n_classes
        labels = self.labels[rows]
        cell = np.searchsorted(whole, self.codes[rows]) * k + labels
        counts = np.bincount(cell, minlength=n_cells).reshape(-1, k)
        shares, alike = counts / counts.sum(axis=0), (counts.sum(axis=1) / counts.sum())[:, None]
        more = (shares - alike).ravel()
        alike = np.broadcast_to(alike, shares.shape).ravel()
        resamples = Resamples(cell, self.groups[rows], n_cells, self.seed)
        found: dict[str, tuple[float, float, Floats, Floats]] = {}
        for place, predictions in places.items():
            read = np.where(predictions[rows] == labels, cell, -1)
            # The coin of the added groups falls otherwise where a stratum has more of a class than where it has less.
            one, other = resamples.recalls(read, place), resamples.recalls(read, f"{place}, less")
            recalls = self._recalls(cell, predictions[rows], n_cells, labels)
            lost = np.where(more > 0, one, other) @ more / (k - 1)
            found[place] = (
                _signal(float(recalls @ shares.ravel()) / k, k),
                _signal(float(recalls @ alike) / k, k),
                _signals(one @ alike / k, k),
                np.asarray(lost),
            )
        return Standardised(found)

    def _recalls(self, cell: Ints, predictions: Ints, n_cells: int, labels: Ints | None = None) -> Floats:
        right = predictions == (self.labels if labels is None else labels)
        return np.asarray(
            np.bincount(cell, weights=right, minlength=n_cells) / np.maximum(np.bincount(cell, minlength=n_cells), 1)
        )


@dataclass(frozen=True)
class Standardised:
    """By place: signal as read, signal standardised, resamples of the latter and of what it loses, [n_resamples]."""

    places: dict[str, tuple[float, float, Floats, Floats]]


def _signal(accuracy: float, k: int) -> float:
    return (accuracy - 1 / k) / (1 - 1 / k)


def _signals(accuracies: Floats, k: int) -> Floats:
    return np.asarray((accuracies - 1 / k) / (1 - 1 / k))
