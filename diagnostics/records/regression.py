"""The records of a comparison with a baseline."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medprobe.diagnostics.records.chain import HealthLimit, Record, Stage
from medprobe.diagnostics.records.subgroups import StratumChange

ChangeValue = Literal["regressed", "not_regressed", "inconclusive", "improved"]


Gate = Literal["absolute", "regression", "both"]
"""Whether a run is judged by its links, by its change since a baseline, or by both."""


class Change(Record):
    """The change of signal at one place, this run minus the baseline, with its 95 percent interval."""

    change: float
    ci: tuple[float, float]
    p: float
    p_adjusted: float
    verdict: ChangeValue


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
    """This run against its baseline: regressed where any place is, inconclusive where any cannot be decided."""

    verdict: Literal["regressed", "not_regressed", "inconclusive"]
    reason: str
    places: list[Stage]
    """The places that regressed."""
    undecided: list[Stage]
    improved: list[Stage]
    baseline: Compared
    minimum_effect: float
    """The loss of signal that is accepted."""
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
    strata: list[StratumChange] = Field(default_factory=list)
    """By attribute and stratum; one that regressed counts, one that is undecided does not."""
