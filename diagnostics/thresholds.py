"""The practical margins of the verdict, from `thresholds.toml` and the user's own file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medprobe.diagnostics.records.chain import HealthCurve, Measure, Stage

Share = Annotated[float, Field(gt=0, le=1, strict=True)]
Effect = Annotated[float, Field(gt=0, lt=1, strict=True)]
"""Of the signal; 0.02 is 2 points. One of 1 would accept any loss."""
ByClass = dict[str, Effect]
"""By the answer that names the class; `default` is for every class that is not named."""
Score = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
DEFAULT = "default"


class ThresholdError(ValueError):
    """A thresholds file cannot be used."""


class RegressionThresholds(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minimum_effect: Effect
    """The loss of signal that is accepted; more is a regression."""


class SubgroupThresholds(BaseModel):
    model_config = ConfigDict(extra="forbid")

    margin: Effect
    """How far a stratum may lie below the rest, in signal and in sensitivity."""


class HealthThresholds(BaseModel):
    """Limits of the Feature Health Scores, by curve; none unless set."""

    model_config = ConfigDict(extra="forbid")

    least: dict[HealthCurve, Score] = Field(default_factory=dict)
    largest_drop: dict[HealthCurve, Score] = Field(default_factory=dict)
    """Since the baseline."""

    def under(self, other: HealthThresholds) -> HealthThresholds:
        """These limits with those of `other` over them."""
        return HealthThresholds(least=self.least | other.least, largest_drop=self.largest_drop | other.largest_drop)


@dataclass(frozen=True)
class Margins:
    """The losses that a run may show against its baseline: of signal at each place, and of the sensitivity and
    specificity of a class at the answer, by its name in lower case. A class that a table does not name may lose as much
    as its `default`.
    """

    minimum_effect: float
    sensitivity: Mapping[str, float]
    specificity: Mapping[str, float]

    def of(self, measure: Measure, class_name: str) -> float:
        """The loss of one class that is accepted, whatever the case its name is written in."""
        table: Mapping[str, float] = getattr(self, measure)
        return float(table.get(class_name.casefold(), table[DEFAULT]))


class Override(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    dataset: str | None = None
    retention: dict[Stage, Share] = Field(default_factory=dict)
    regression: RegressionThresholds | None = None
    sensitivity: ByClass = Field(default_factory=dict)
    specificity: ByClass = Field(default_factory=dict)
    subgroups: SubgroupThresholds | None = None
    health: HealthThresholds = HealthThresholds()

    @property
    def about(self) -> str:
        """What it is of: `m on d`, `m` or `d`."""
        return " on ".join(name for name in (self.model, self.dataset) if name is not None)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set - {"model", "dataset"}:
            raise ValueError("an override names retention, regression, sensitivity, specificity, subgroups or health")
        return self


class Thresholds(BaseModel):
    """Least retention asked of each link, the losses accepted against a baseline, limits of the Feature Health Scores,
    with overrides for a model, a data set, or both; a later override wins over an earlier one.
    """

    model_config = ConfigDict(extra="forbid")

    retention: dict[Stage, Share] = Field(default_factory=dict)
    override: list[Override] = Field(default_factory=list)
    regression: RegressionThresholds = RegressionThresholds(minimum_effect=0.02)
    sensitivity: ByClass = Field(default_factory=dict)
    specificity: ByClass = Field(default_factory=dict)
    subgroups: SubgroupThresholds = SubgroupThresholds(margin=0.1)
    health: HealthThresholds = HealthThresholds()

    def resolve(self, model: str, dataset: str) -> dict[Stage, float]:
        """The retention asked of each link of one diagnosis."""
        chosen: dict[Stage, float] = dict(self.retention)
        for entry in self._overrides(model, dataset):
            chosen |= entry.retention
        return chosen

    def margins(self, model: str, dataset: str) -> Margins:
        """The losses that one diagnosis may show against its baseline."""
        entries = self._overrides(model, dataset)
        effect = [self.regression, *(entry.regression for entry in entries if entry.regression)][-1]
        return Margins(
            effect.minimum_effect,
            _merged(self.sensitivity, *(entry.sensitivity for entry in entries)),
            _merged(self.specificity, *(entry.specificity for entry in entries)),
        )

    def subgroup_margin(self, model: str, dataset: str) -> float:
        """How far a stratum of one diagnosis may lie below the rest."""
        entries = self._overrides(model, dataset)
        return [self.subgroups, *(entry.subgroups for entry in entries if entry.subgroups)][-1].margin

    def health_limits(self, model: str, dataset: str) -> HealthThresholds:
        """The limits of one diagnosis's Feature Health Scores."""
        chosen = self.health
        for entry in self._overrides(model, dataset):
            chosen = chosen.under(entry.health)
        return chosen

    def unmatched(self, runs: Sequence[tuple[str, str, Sequence[str]]]) -> list[str]:
        """A sentence on each override, and on each class named, that applies to no (model, data set, answers) of a
        run.
        """
        used = [entry for model, dataset, _ in runs for entry in self._overrides(model, dataset)]
        idle = [
            f"the thresholds' override {number} is of {entry.about}, which is not in this run; it changes nothing"
            for number, entry in enumerate(self.override, 1)
            if entry not in used
        ]
        built_in = _built_in()
        known = {DEFAULT, *built_in.sensitivity, *built_in.specificity}
        known |= {name.casefold() for _, _, answers in runs for name in answers}
        tables = [self.sensitivity, self.specificity]
        tables += [table for entry in used for table in (entry.sensitivity, entry.specificity)]
        unknown = dict.fromkeys(name for table in tables for name in table if name.casefold() not in known)
        return idle + [
            f"the thresholds name the class {name}, which no data set of this run has; it changes nothing"
            for name in unknown
        ]

    def _overrides(self, model: str, dataset: str) -> list[Override]:
        return [e for e in self.override if e.model in (None, model) and e.dataset in (None, dataset)]


def _merged(*tables: Mapping[str, float]) -> dict[str, float]:
    """By name in lower case; a later table wins."""
    return {name.casefold(): value for table in tables for name, value in table.items()}


def checked_effect(value: float) -> float:
    """A minimum effect typed elsewhere than in a file, under the same rule. Raises ThresholdError."""
    try:
        return RegressionThresholds(minimum_effect=value).minimum_effect
    except ValidationError:
        raise ThresholdError(
            f"a minimum effect is a share of the signal above 0 and below 1, and {value:g} is none; 2 points are 0.02"
        ) from None


def _built_in() -> Thresholds:
    return Thresholds.model_validate(tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text("utf-8")))


def load_thresholds(path: Path | None = None) -> Thresholds:
    """The built-in margins, with those of `path` over them. Raises ThresholdError."""
    builtin = _built_in()
    if path is None:
        return builtin
    try:
        own = Thresholds.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ThresholdError(f"the thresholds file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ThresholdError(f"the thresholds file {path} is no TOML: {error}") from None
    except RecursionError:
        raise ThresholdError(f"the thresholds file {path} is nested too deeply") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ThresholdError(f"the thresholds file {path} is wrong at {where}: {first['msg']}") from None
    return Thresholds(
        retention=builtin.retention | own.retention,
        override=[*builtin.override, *own.override],
        regression=own.regression if "regression" in own.model_fields_set else builtin.regression,
        sensitivity=_merged(builtin.sensitivity, own.sensitivity),
        specificity=_merged(builtin.specificity, own.specificity),
        subgroups=own.subgroups if "subgroups" in own.model_fields_set else builtin.subgroups,
        health=builtin.health.under(own.health),
    )
