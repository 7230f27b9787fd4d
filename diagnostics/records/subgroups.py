"""The records of attributes and their strata."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medprobe.diagnostics.records.chain import Record, Share, Stage, VerdictValue


class Strata(Record):
    """The stratum of each image by one attribute: `codes` index the cleaned `values`, -1 where nothing is known."""

    values: list[str]
    codes: list[int]


class Judged(Record):
    """A difference held against the margin: its 95 percent interval, and p after Holm 1979 over all of a data set."""

    points: float
    """In shares: how much less is read here than there."""
    ci: tuple[float, float]
    p_adjusted: float
    verdict: VerdictValue


class Gap(Judged):
    """How far a stratum lies below the rest of the images at the answer."""

    measure: Literal["signal", "sensitivity"]
    of: str | None = None
    """The class whose sensitivity it is."""
    here: float
    rest: float


class Stratum(Record):
    """The images of one value. What fewer than ten patients tell is left out."""

    value: str
    n_groups: int
    """Rounded to the nearest 5, so that no smaller cell follows from a difference."""
    n_images: int
    """Rounded to the nearest 5."""
    signal: dict[str, Share]
    """By place of the chain; empty where a class is in fewer than ten patients, and then not judged."""
    sensitivity: dict[str, Share]
    """By class, at the answer."""
    specificity: dict[str, Share]
    gaps: list[Gap]


class Shortcut(Judged):
    """What is lost of the answer's signal where attribute and class are made independent: `points` is `pooled` less
    the answer's in `within`.
    """

    pooled: float
    """The answer's signal as the attribute goes with the class in these images."""
    within: dict[str, Share]
    """By place of the chain: the signal if every class had the strata in the same shares."""


class Attribute(Record):
    name: str
    strata: list[Stratum]
    probes: dict[Stage, Share] = Field(default_factory=dict)
    """By exit: the signal with which a probe reads the attribute itself there."""
    shortcut: Shortcut | None
    """Null where fewer than two strata hold every class."""


class StratumChange(Record):
    """The change of a stratum since the baseline at the answer: of its signal, or of a class's share."""

    attribute: str
    value: str
    measure: Literal["signal", "sensitivity", "specificity"]
    of: str | None = None
    """The class."""
    change: float
    ci: tuple[float, float]
    p_adjusted: float
    margin: float
    """The loss that is accepted: that of `[subgroups]`."""
    verdict: Literal["regressed", "not_regressed", "inconclusive"]


class Worst(Record):
    attribute: str
    value: str
    gap: Gap


class Attributes(Record):
    """What is read in the strata of each attribute, and whether one lies below the rest."""

    verdict: VerdictValue
    reason: str
    margin: float
    """How far a stratum may lie below the rest."""
    least_groups: int
    """Patients of each class without whom a stratum is counted and not judged."""
    worst: Worst | None
    each: list[Attribute]
