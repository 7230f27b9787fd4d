"""A change between two readings of the same images: its size, its bounds, and what a set of images can show.

The estimate is a mean of image by image gains, in one class or summed over several. Its variance is that of the sums of
patient groups (Liang and Zeger 1986), each residual enlarged for its group's own pull on the mean (Bell and McCaffrey
2002). To every criterion one lost and one gained image are added, in equal parts to its classes, as Bonett and Price
2012 do for paired shares: where no image changes, a loss that is too rare to be seen is still possible. Student's t has
as many degrees of freedom as the class of the fewest patients leaves, groups of unequal size counted by Kish 1965.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np

from medprobe.diagnostics.arrays import Bools, Floats, Ints
from medprobe.diagnostics.judgement.resamples import LEAST_FREEDOM

LEVEL = 0.05
POWER = 0.80


@dataclass(frozen=True)
class Class:
    """The sizes of the patient groups of one class in one criterion."""

    sizes: tuple[int, ...]

    @cached_property
    def n_images(self) -> int:
        return sum(self.sizes)

    @cached_property
    def n_effective(self) -> float:
        """Groups of equal size that would tell as much (Kish 1965)."""
        return self.n_images**2 / sum(size**2 for size in self.sizes)

    def inflation(self, together: float) -> float:
        """How often over the images count, where two images of a group change together with this correlation."""
        return 1 + together * (sum(size**2 for size in self.sizes) / self.n_images - 1)


@dataclass(frozen=True)
class Shape:
    """What a criterion is measured on: its classes, and what their mean gains are multiplied by before they are added
    up.
    """

    classes: tuple[Class, ...]
    scale: float

    @property
    def freedom(self) -> float:
        return max(min(c.n_effective for c in self.classes) - 1, LEAST_FREEDOM)

    @property
    def added(self) -> float:
        """The variance of the images added, one lost and one gained."""
        return self.scale**2 * sum(2 / len(self.classes) / c.n_images**2 for c in self.classes)

    def error(self, share: float, together: float, times: float = 1.0) -> float:
        """The standard error to be expected of a change where this share of the images changes, in `times` as many
        images in groups alike.
        """
        seen = self.scale**2 * sum(share * c.inflation(together) / c.n_images for c in self.classes)
        return sqrt(seen / times + self.added / times**2)

    def clears(self, share: float, together: float, n_criteria: int) -> float:
        """The smallest margin under which an equally good model, whose answers differ on `share` of the images, is
        cleared by all of `n_criteria` criteria in POWER of the runs.
        """
        from scipy.stats import norm, t

        missed = (1 - POWER) / n_criteria
        return float((t.ppf(1 - LEVEL, self.freedom) + norm.ppf(1 - missed)) * self.error(share, together))

    def times_needed(self, margin: float, share: float, together: float, n_criteria: int) -> float:
        """How often as many images would decide with POWER at this margin, in groups like these: an equally good model
        is cleared, and a loss of twice the margin is called, one of `n_criteria` that are tested.
        """
        from scipy.stats import norm

        decided = norm.ppf(1 - LEVEL) + norm.ppf(POWER)
        # Of no change, two-sided, the smallest p of the family: Benjamini and Hochberg's first step.
        told = norm.ppf(1 - LEVEL / 2 / n_criteria) + norm.ppf(POWER)
        lost = 2 * margin / (self.scale * len(self.classes))
        return self._times(margin / max(decided, told / 2), min(share + lost, 1.0), together)

    def _times(self, error: float, share: float, together: float) -> float:
        """How often as many images have this standard error."""
        seen, added = self.error(share, together) ** 2 - self.added, self.added
        return float((seen + sqrt(seen**2 + 4 * added * error**2)) / (2 * error**2))


@dataclass(frozen=True)
class Tested:
    """What is found of a criterion; arrays of one shape, an element a comparison.

    low, high: each a 95 percent bound, so that the change is lower in at most 5 of 100 comparisons, and higher in at
    most 5. p: two-sided, of no change.
    """

    change: Floats
    low: Floats
    high: Floats
    p: Floats


class Criterion:
    """The mean gain of some images, class by class, multiplied by `scale` and added up.

    labels, groups: [n_images] ints. rows: [n_images], the images it is of. Without `by_class` all of them are one
    class.
    """

    def __init__(self, labels: Ints, groups: Ints, rows: Bools, by_class: bool, scale: float) -> None:
        self._rows = np.flatnonzero(rows)[np.argsort(groups[rows], kind="stable")]
        which = labels[self._rows] if by_class else np.zeros(len(self._rows), dtype=np.int64)
        self._which = np.unique(which, return_inverse=True)[1]
        group = np.unique(groups[self._rows], return_inverse=True)[1]
        self._starts = np.flatnonzero(np.diff(group, prepend=-1))
        n_classes = int(self._which.max()) + 1
        counts = np.zeros((len(self._starts), n_classes), dtype=np.int64)
        np.add.at(counts, (group, self._which), 1)
        self._counts = counts.sum(axis=0)
        self._kept = 1 - (counts / self._counts).max(axis=1)
        self.shape = Shape(tuple(Class(tuple(c[c > 0].tolist())) for c in counts.T), scale)

    def estimate(self, gain: Floats) -> tuple[Floats, Floats]:
        """[...] changes and their standard errors, of [..., n_images] gains: what is read rightly after minus
        before.
        """
        mine = gain[..., self._rows]
        means = np.stack([mine[..., self._which == k].mean(axis=-1) for k in range(len(self._counts))], axis=-1)
        apart = (mine - means[..., self._which]) / self._counts[self._which]
        sums = np.add.reduceat(apart, self._starts, axis=-1)
        seen = (sums**2 / np.maximum(self._kept, 1e-12)).sum(axis=-1)
        scale = self.shape.scale
        return scale * means.sum(axis=-1), np.sqrt(scale**2 * seen + self.shape.added)

    def tested(self, gain: Floats, same: Bools | bool = False) -> Tested:
        """Of [..., n_images] gains. Where all answers are the `same` nothing is lost, however few they are."""
        from scipy.stats import t

        change, error = self.estimate(gain)
        half = float(t.ppf(1 - LEVEL, self.shape.freedom)) * np.where(same, 0.0, error)
        p = np.where(same, 1.0, 2 * t.sf(np.abs(change) / error, self.shape.freedom))
        return Tested(change, np.maximum(change - half, -1.0), np.minimum(change + half, 1.0), p)

    def value(self, right: Bools) -> float:
        """The share of [n_images] that is read rightly, of the images it is of."""
        return float(right[self._rows].mean())
