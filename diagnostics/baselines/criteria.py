"""What the gate asks of a set of images: a criterion for the answer's signal, and two for every class.

Before a run, the patients of each class and an assumed share of changed answers say how small a loss each can clear,
and how many images would decide it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.baselines.paired import LEVEL, Criterion, Shape, Tested
from medprobe.diagnostics.records.chain import Measure
from medprobe.diagnostics.thresholds import Margins

TOGETHER = 0.5
"""The correlation with which two images of a patient are assumed to change."""
MOST = 0.20
"""No larger loss is cleared unless a team accepts it: a set too small for that decides nothing."""
MEASURES: tuple[Measure, ...] = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Accepted:
    """What one criterion accepts.

    asked: the margin of the thresholds; more is a regression. clears: the smallest loss that the set clears. margin:
    the loss below which the run is cleared, which is the margin asked, or where no team wrote it what the set clears if
    that is more, but MOST at most. needed: by class, the images that would decide at the margin asked.
    """

    asked: float
    margin: float
    clears: float
    needed: dict[str, int]

    @property
    def widened(self) -> bool:
        return self.margin > self.asked


class Criteria:
    """The criteria of a data set; labels and groups are [n_images] ints, `classes` names."""

    def __init__(self, labels: Ints, groups: Ints, classes: Sequence[str]) -> None:
        k = len(classes)
        self._classes, self._counts = list(classes), np.bincount(labels, minlength=k)
        self.signal = Criterion(labels, groups, np.full(len(labels), True), True, 1 / (k - 1))
        self._of_class = {
            (measure, index): Criterion(labels, groups, (labels == index) == (measure == "sensitivity"), False, 1.0)
            for measure in MEASURES
            for index in range(k)
        }

    def of(self, measure: Measure, index: int) -> Criterion:
        return self._of_class[measure, index]

    def keys(self) -> Iterator[tuple[Measure, int]]:
        return iter(self._of_class)

    def n_tests(self, n_places: int) -> int:
        """How many criteria decide; of two classes the specificity of one is the sensitivity of the other, and counts
        once.
        """
        k = len(self._classes)
        return n_places + (k if k == 2 else 2 * k)

    def accepted(self, margins: Margins, seen: float = 0.0) -> tuple[Accepted, dict[tuple[Measure, int], Accepted]]:
        """What is accepted of the signal and of each class. Margins depend on nothing that a run has found; the images
        needed allow for the share of answers that was `seen` to change both ways, where it is more than assumed.
        """
        share, n_tests = margins.changed_answers, self.n_tests(len(margins.places))

        def one(shape: Shape, counted: Sequence[int], asked: float, built_in: bool) -> Accepted:
            clears = min(ceil(1000 * shape.clears(share, TOGETHER, n_tests)) / 1000, 1.0)
            times = shape.times_needed(asked, max(share, seen), TOGETHER, n_tests)
            needed = {self._classes[k]: ceil(times * int(self._counts[k])) for k in counted}
            return Accepted(asked, max(asked, min(clears, MOST)) if built_in else asked, clears, needed)

        every = range(len(self._classes))
        signal = one(self.signal.shape, every, margins.minimum_effect, "minimum_effect" in margins.built_in)
        return signal, {
            (measure, index): one(
                criterion.shape,
                [k for k in every if (k == index) == (measure == "sensitivity")],
                margins.of(measure, self._classes[index]),
                margins.is_built_in(measure, self._classes[index]),
            )
            for (measure, index), criterion in self._of_class.items()
        }


def judged(family: Sequence[tuple[Tested, Accepted]], twice: bool) -> list[tuple[Floats, NDArray[np.str_]]]:
    """The adjusted p and the verdict of each of the criteria that are judged together.

    p is adjusted as Benjamini and Hochberg 1995 do: of equally good models one of the family is called changed in at
    most 5 percent of comparisons. Regressed where that p is below 0.05 and the whole interval is a loss of more than
    the margin asked, or of `twice` that; improved where p is below 0.05 and the interval is a rise, under `twice` of
    more than the margin asked; not regressed where the interval holds no loss of what is accepted; else inconclusive.
    """
    from scipy.stats import false_discovery_control

    found = []
    for (tested, accepted), p in zip(family, false_discovery_control([t.p for t, _ in family], axis=0), strict=True):
        slack = accepted.asked if twice else 0.0
        lost = (p < LEVEL) & (-tested.high > accepted.asked + slack)
        gained = (p < LEVEL) & (tested.low > slack)
        held = -tested.low < accepted.margin
        verdict = np.select([lost, gained, held], ["regressed", "improved", "not_regressed"], "inconclusive")
        found.append((p, verdict))
    return found
