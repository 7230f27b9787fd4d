"""Resamples of patient groups, and the intervals they give."""

from __future__ import annotations

import zlib

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints

N_RESAMPLES = 5000


ALPHA = 0.05


PSEUDO_GROUPS = 2.0
"""Groups added to every resample: with fewer too many wrong verdicts, with more intervals wider than need be, on the
designs that docs/studies/coverage.md names.
"""


PRIOR_GROUPS = 8.0
"""Groups' worth of belief that the images of a group agree."""


LEAST_FREEDOM = 0.1
"""Degrees of freedom left where one group holds nearly all images of a class: nothing is told then."""


POWER_Z = 2.80
"""z(0.975) + z(0.80): a true difference of this many standard errors is seen in 80 of 100 repetitions."""


class Resamples:
    """Resampled readings by patient groups that keep the promise of an interval with few groups too.

    A reading is a share of images read rightly in every class. A resample weighs every group by an exponential variable
    (the Bayesian bootstrap, Rubin 1981), which is drawn once for all readings of a data set and so pairs them. Three
    things are added for few groups; with many, they vanish:

    * A group pulls the mean towards itself. Its distance is made as large as it would be without (the expectation of
      the squares is then that of the variance, whether the images of a group agree or not).
    * The variance is itself known from few groups. The deviations of a class are multiplied by
      sqrt((m - 1) / chi2(m - 1)), as in Student's t, with m the effective number of its groups, (sum n)^2 / sum n^2 of
      their sizes n (Kish 1965). Sums over the classes are then as in the Behrens-Fisher problem.
    * The groups seen may all agree by luck. To every resample PSEUDO_GROUPS groups are added, shared out among the
      classes so that the one with the fewest groups has the most; at each place their images are read rightly or
      wrongly by a coin. Where every group agrees, a loss between two places is bounded as by Clopper and Pearson 1934:
      both coins fall against it in one of four resamples, and P(Gamma(2) > x) / 4 is P(Gamma(1) > x), the rule of
      three, to 8 percent for every bound used here. An added group counts as one independent image of those seen (as
      the effective sample size of Korn and Graubard 1998): as a whole group where the images of a group agree, or
      where too few are read wrongly to tell.

    What that covers: benchmarks/coverage.py. Where a group's images carry several labels it counts in each class.
    """

    def __init__(self, labels: Ints, groups: Ints, n_classes: int, seed: int, n_resamples: int = N_RESAMPLES) -> None:
        self._labels, self._n_classes, self._seed = labels, n_classes, seed
        _, self._group = np.unique(groups, return_inverse=True)
        self._sizes = self._by_group(np.ones(len(labels)))
        self._n_images = self._sizes.sum(axis=0)
        share = self._sizes / self._n_images
        # Of groups whose images all agree, and of images that do not: the smaller one makes the larger deviation.
        concentration = (share**2).sum(axis=0)
        kept = np.minimum(1 - share, 1 - 2 * share + concentration)
        self._scale = 1 / (self._n_images * np.sqrt(np.maximum(kept, 1e-12)))
        self._n_effective = 1 / concentration
        rng = np.random.default_rng(seed)
        self._weights = rng.exponential(size=(n_resamples, len(share))) - 1
        freedom = np.maximum(self._n_effective - 1, LEAST_FREEDOM)
        self._spread = np.sqrt(freedom / rng.chisquare(freedom, (n_resamples, n_classes)))
        shares = concentration / concentration.sum()
        self._added = rng.gamma(PSEUDO_GROUPS * shares, size=(n_resamples, n_classes))

    @property
    def fewest_groups(self) -> int:
        """Groups of the class that is in fewest."""
        return int((self._sizes > 0).sum(axis=0).min())

    def _by_group(self, values: Floats) -> Floats:
        """Sums of [..., n_images] values by group and class, [..., n_groups, n_classes]."""
        cell = self._group * self._n_classes + self._labels
        n_cells = (int(self._group.max()) + 1) * self._n_classes
        rows = values.reshape(-1, len(cell))
        cells = (np.arange(len(rows))[:, None] * n_cells + cell).ravel()
        sums = np.bincount(cells, weights=rows.ravel(), minlength=len(rows) * n_cells)
        return sums.reshape(*values.shape[:-1], -1, self._n_classes).astype(np.float64)

    def _coin(self, place: str) -> Floats:
        """[n_resamples] of 0 and 1: whether the added groups are read rightly at a place."""
        rng = np.random.default_rng([self._seed, zlib.crc32(place.encode())])
        return rng.integers(0, 2, len(self._weights)).astype(np.float64)

    def _means(self, values: Floats, added: Floats | None, prior: float) -> Floats:
        """[..., n_resamples, n_classes] class means of [..., n_images] values, which are `added` [n_resamples, 1 or
        n_classes] in added groups, if there are any.
        """
        sums = self._by_group(values)
        mean = sums.sum(axis=-2, keepdims=True) / self._n_images
        drawn = mean + self._spread * (self._weights @ ((sums - mean * self._sizes) * self._scale))
        if added is None:
            return np.asarray(drawn)
        weight = self._added * self._independent(sums, self._by_group(values**2), prior)
        return np.asarray(drawn + weight / (self._n_effective + weight) * (added - mean))

    def _independent(self, sums: Floats, squares: Floats, prior: float) -> Floats:
        """The share of a group that one independent image is, [..., 1, n_classes].

        1 - (1 - r) (1 - 1 / n), with n the mean size of a group and r the correlation of its images: one less the ratio
        of the variances inside and overall (for two values Fleiss 1971). The variance overall is taken as larger by
        `prior` groups of the largest variance, so that r is 1 until something else is seen; without, it is 0.
        """
        n = self._n_images
        variance = (squares.sum(axis=-2, keepdims=True) - sums.sum(axis=-2, keepdims=True) ** 2 / n) / n
        several = self._sizes > 1
        size = np.where(several, self._sizes, 2)
        inside = np.where(several, size * (squares - sums**2 / size) / (size - 1), 0).sum(axis=-2, keepdims=True)
        inside /= np.maximum(np.where(several, size, 0).sum(axis=0), 1)
        overall = variance + prior / self._n_effective / 4
        apart = np.where(overall > 1e-12, inside / np.maximum(overall, 1e-12), 1)
        mean_size = n / (self._sizes > 0).sum(axis=0)
        return np.asarray(1 - np.minimum(apart, 1) * (1 - 1 / mean_size))

    def _recalls(self, predictions: Ints, place: str) -> Floats:
        right = (predictions == self._labels).astype(np.float64)
        return np.clip(self._means(right, self._coin(place)[:, None], PRIOR_GROUPS), 0, 1)

    def balanced_accuracy(self, predictions: Ints, place: str | None = None) -> Floats:
        """[..., n_resamples] balanced accuracies of [..., n_images] predictions.

        Readings under the same `place` share the coin of the added groups, so that nothing bounds their difference
        where one is right wherever the other is. Without one, readings that differ have coins of their own.
        """
        if place is None and predictions.ndim > 1:
            return np.stack([self.balanced_accuracy(row) for row in predictions])
        named = str(zlib.crc32(np.ascontiguousarray(predictions).tobytes())) if place is None else place
        return np.asarray(self._recalls(predictions, named).mean(axis=-1))

    def accuracy(self, predictions: Ints) -> Floats:
        """[..., n_resamples] raw accuracies of [..., n_images] predictions."""
        return np.asarray(self._recalls(predictions, "") @ (self._n_images / self._n_images.sum()))

    def signal(self, predictions: Ints, place: str | None = None) -> Floats:
        """[..., n_resamples] signals of [..., n_images] predictions; `place` as for `balanced_accuracy`."""
        k = self._n_classes
        return (self.balanced_accuracy(predictions, place) - 1 / k) / (1 - 1 / k)

    def recalls(self, predictions: Ints, place: str) -> Floats:
        """[..., n_resamples, n_classes] shares of each class read rightly, of [..., n_images] predictions; `place` as
        for `balanced_accuracy`.
        """
        return self._recalls(predictions, place)

    def gains(self, gain: Floats) -> Floats:
        """[..., n_resamples, n_classes] changes of the mean of each class, of [..., n_images] gains from one reading to
        another.

        Two readings of the same images, so an added group counts as one image until images of a group are seen to
        change together: with whole groups, 150 groups read alike could not exclude a change of 2 points.
        """
        turned = self._coin("after") - self._coin("before")
        return np.clip(self._means(gain, turned[:, None], prior=0), -1, 1)

    def means(
        self, values: Floats, place: str | None, right: Floats | float = 1.0, wrong: Floats | float = 0.0
    ) -> Floats:
        """[..., n_resamples, n_classes] means of each class of [..., n_images] values.

        An added group that is read rightly has the value `right`, else `wrong`, one number or [n_classes]; `place` as
        for `balanced_accuracy`. Without a place no groups are added.
        """
        if place is None:
            return self._means(values, None, PRIOR_GROUPS)
        return self._means(values, wrong + self._coin(place)[:, None] * np.subtract(right, wrong), PRIOR_GROUPS)


def interval(samples: Floats) -> tuple[float, float]:
    """The central 95 percent of resampled values."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)
