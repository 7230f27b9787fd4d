"""The records of a comparison with a baseline."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medprobe.diagnostics.records.chain import STAGES, HealthLimit, Record, Stage
from medprobe.diagnostics.records.subgroups import StratumChange

ChangeValue = Literal["regressed", "not_regressed", "inconclusive", "improved"]


Gate = Literal["absolute", "regression", "both", "least"]
"""Whether a run is judged by its links, by its change since a baseline, by both, or by neither. What the thresholds
require of its answer is judged under each."""


class Change(Record):
    """The change of signal at one place, this run minus the baseline; each end of its interval is a 95 percent
    bound.
    """

    change: float
    ci: tuple[float, float]
    p: float
    """Two-sided, of no change."""
    p_adjusted: float
    """Over what decides as one family, and over the places that advise as another."""
    verdict: ChangeValue
    asked: float | None = None
    """The margin of the thresholds: a larger loss is a regression. What is accepted is more where no team wrote a
    margin and this set cannot clear it."""
    clears: float | None = None
    """The smallest loss that this set clears."""
    needed: dict[str, int] = Field(default_factory=dict)
    """By class, the images that would decide with 80 percent power at the margin asked."""


class ClassChange(Change):
    """The change of one class's sensitivity or specificity at the answer, in shares of images."""

    before: float
    after: float
    margin: float
    """The loss that is accepted."""


class AurocChange(Record):
    """The change of the answer's AUROC, the mean over the classes, paired by image. It advises and decides nothing."""

    before: float
    after: float
    change: float
    ci: tuple[float, float]


class Compared(Record):
    """The saved run that a run was compared with; `file` is the base name of its file."""

    file: str
    model: str
    revision: str | None


class Regression(Record):
    """This run against its baseline: regressed where any criterion that decides is, inconclusive where any cannot be
    decided. The answer and each class decide, and of the other places those that the thresholds name.
    """

    verdict: Literal["regressed", "not_regressed", "inconclusive"]
    reason: str
    places: list[Stage]
    """The places that regressed, also those that advise."""
    undecided: list[Stage]
    improved: list[Stage]
    deciding: list[Stage] = Field(default_factory=lambda: list(STAGES))
    """The places that decide; the others advise."""
    changed_answers: float | None = None
    """The share of the answers that an equally good model is assumed to change."""
    differing: float | None = None
    """The share of the answers that differ from the baseline's."""
    baseline: Compared
    minimum_effect: float
    """The loss of signal that is accepted: as asked, or what this set clears."""
    made_otherwise: dict[str, tuple[str, str]]
    """Device, dtype and batch size where they differ, the baseline's first; a regression must then exceed twice the
    minimum effect."""
    fold_seeds: int
    """Over how many assignments of folds the change at a probe exit is averaged."""
    exits: dict[Stage, Change]
    sensitivity: dict[str, ClassChange] = Field(default_factory=dict)
    """By class, at the answer; one family of tests with `specificity` and `exits`."""
    specificity: dict[str, ClassChange] = Field(default_factory=dict)
    auroc: AurocChange
    health_drops: list[HealthLimit]
    strata: list[StratumChange] = Field(default_factory=list)
    """By attribute and stratum; one that regressed counts, one that is undecided does not."""


class Pooled(Record):
    """The change of the answer's signal over the data sets of one model, each counted alike. It decides nothing beside
    the single ones.
    """

    model: str
    datasets: list[str]
    change: float
    ci: tuple[float, float]
    asked: float
    margin: float
    """The loss that is accepted: as asked, or what the sets clear together."""
    verdict: ChangeValue
