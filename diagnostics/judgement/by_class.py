"""Sensitivity and specificity of every class, one class against the rest.

Balanced accuracy cannot see one bought with the other: with two classes it is Youden's J, (sensitivity + specificity -
1) over two. The sensitivity (recall) of a class is the share of its images that are read as the class, its specificity
the share of the other images that are not (Altman and Bland 1994). An answer that names no class is read as none: it
lowers the sensitivity of its own class and no specificity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medprobe.diagnostics.arrays import Bools, Floats, Ints
from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.records.chain import Measure, Share

MEASURES: tuple[Measure, ...] = ("sensitivity", "specificity")


class OneClass:
    """One class against the rest: the images of the class are 1 and all others 0, so that what is read rightly of the
    ones is the sensitivity, and of the others the specificity. Resamples are over patient groups.
    """

    def __init__(self, labels: Ints, groups: Ints, of: int, seed: int) -> None:
        self._of, self._is = of, (labels == of).astype(np.int64)
        self._resamples = Resamples(self._is, groups, 2, seed)

    def right(self, predictions: Ints) -> Bools:
        """Whether each image is rightly read as the class, or rightly not, [n_images]."""
        return np.asarray((predictions == self._of) == self._is)

    def rows(self, measure: Measure) -> Bools:
        """The images that a measure is of, [n_images]."""
        return np.asarray(self._is == _column(measure))

    def value(self, measure: Measure, predictions: Ints) -> float:
        return float(self.right(predictions)[self.rows(measure)].mean())

    def shares(self, predictions: Ints, place: str) -> dict[Measure, Share]:
        """Both with their intervals."""
        drawn = self.resampled(predictions, place)
        return {m: Share(value=self.value(m, predictions), ci=interval(drawn[:, _column(m)])) for m in MEASURES}

    def resampled(self, predictions: Ints, place: str) -> Floats:
        """Specificity and sensitivity, [n_resamples, 2]."""
        return self._resamples.recalls((predictions == self._of).astype(np.int64), place)


def read(
    labels: Ints, groups: Ints, places: Mapping[str, Ints], classes: Sequence[str], seed: int
) -> dict[Measure, dict[str, dict[str, Share]]]:
    """Sensitivity and specificity by place and class, from the predictions [n_images] at each place."""
    found: dict[Measure, dict[str, dict[str, Share]]] = {m: {place: {} for place in places} for m in MEASURES}
    for k, name in enumerate(classes):
        one = OneClass(labels, groups, k, seed)
        for place, predictions in places.items():
            for measure, share in one.shares(predictions, place).items():
                found[measure][place][name] = share
    return found


def _column(measure: Measure) -> int:
    return int(measure == "sensitivity")
