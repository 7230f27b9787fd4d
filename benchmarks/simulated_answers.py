"""Simulated answers on sets of the published sizes, whose patients' images are read alike in part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Set:
    """Images and patients of each class; the sizes of the published sets, and the phantom's."""

    classes: dict[str, tuple[int, int]]

    def rows(self) -> tuple[Ints, Ints]:
        """Labels and groups: the images of a class are dealt to its patients in turn."""
        labels, groups, first = [], [], 0
        for k, (n_images, n_groups) in enumerate(self.classes.values()):
            labels += [k] * n_images
            groups += [first + i % n_groups for i in range(n_images)]
            first += n_groups
        return np.array(labels), np.array(groups)


SMALL = "two classes, 600"
SETS = {
    SMALL: Set({"normal": (300, 75), "malignant": (300, 75)}),
    "BUSI": Set({"normal": (133, 133), "benign": (437, 437), "malignant": (210, 210)}),
    "COVID19-CT": Set({"normal": (397, 171), "COVID-19": (349, 216)}),
}
RECALL = 0.9


def drawn(groups: Ints, rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform numbers, [n_images], which half of a patient's images share."""
    patient = rng.random(int(groups.max()) + 1)[groups]
    return np.where(rng.random(len(groups)) < 0.5, patient, rng.random(len(groups)))


def read(labels: Ints, right: NDArray[np.bool_], k: int, rng: np.random.Generator) -> Ints:
    """The label where an image is read rightly, else another class."""
    return np.where(right, labels, (labels + rng.integers(1, k, len(labels))) % k)
