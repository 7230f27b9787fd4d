"""The records of a comparison with a baseline."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medprobe.diagnostics.records.chain import STAGES, HealthLimit, Record, Stage

ChangeValue = Literal["regressed", "not_regressed", "inconclusive", "improved"]


Gate = Literal["absolute", "regression", "both"]
"""Whether a run is judged by its links, by its change since a baseline, or by both."""


class Change(Record):
    """The change of signal at one place, this run minus the baseline, with its 95 percent interval."""

    change: float
    ci: tuple[float, float]
    p: float
    """One-sided, of a loss that is no more than the margin asked."""
    p_adjusted: float
    """`p` times the number of tests that decide (Bonferroni)."""
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
    health_drops: list[HealthLimit]
