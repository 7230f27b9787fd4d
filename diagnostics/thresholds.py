"""The practical margins of the verdict, from `thresholds.toml` and the user's own file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from medprobe.diagnostics.records.chain import HealthCurve, Measure, Stage
from medprobe.diagnostics.required import least_names, required_of

Share = Annotated[float, Field(gt=0, le=1, strict=True)]
Effect = Annotated[float, Field(gt=0, lt=1, strict=True)]
"""Of the signal; 0.02 is 2 points. One of 1 would accept any loss."""
ByClass = dict[str, Effect]
"""By the answer that names the class; `default` is for every class that is not named."""
Score = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
DEFAULT = "default"
_MEASURES: tuple[Measure, ...] = ("sensitivity", "specificity")


def _by_name(table: Any, prefix: str = "") -> Any:
    """`sensitivity.malignant` of a table in a table, or of a name in quotes."""
    if not isinstance(table, dict):
        return table
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _by_name(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


Least = Annotated[dict[str, Share], BeforeValidator(_by_name)]
"""By measure of the answer: `sensitivity.malignant`; `sensitivity.default` is for every class that is not named."""


class ThresholdError(ValueError):
    """A thresholds file cannot be used."""


class RegressionThresholds(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minimum_effect: Effect | None = None
    """The loss of signal that is accepted; more is a regression."""
    changed_answers: Effect | None = None
    """The share of the answers that an equally good model is assumed to change."""
    places: Annotated[list[Stage], Field(min_length=1)] | None = None
    """The places that decide; the others advise."""

    def under(self, other: RegressionThresholds) -> RegressionThresholds:
        """These with those of `other` over them."""
        return RegressionThresholds(**(self.model_dump(exclude_none=True) | other.model_dump(exclude_none=True)))


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

    places: those that decide. changed_answers: the share of the answers that an equally good model is assumed to
    change. built_in: names of the margins that no team wrote, as `minimum_effect` and `sensitivity.default`.
    """

    minimum_effect: float
    sensitivity: Mapping[str, float]
    specificity: Mapping[str, float]
    places: tuple[Stage, ...] = ("answer",)
    changed_answers: float = 0.05
    built_in: frozenset[str] = frozenset()

    def of(self, measure: Measure, class_name: str) -> float:
        """The loss of one class that is accepted, whatever the case its name is written in."""
        table: Mapping[str, float] = getattr(self, measure)
        return float(table[self._row(measure, class_name)])

    def is_built_in(self, measure: Measure, class_name: str) -> bool:
        """Whether no team wrote the margin of the class."""
        return f"{measure}.{self._row(measure, class_name)}" in self.built_in

    def with_minimum_effect(self, value: float) -> Margins:
        """These with a minimum effect that was asked for."""
        return replace(self, minimum_effect=value, built_in=self.built_in - {"minimum_effect"})

    def _row(self, measure: Measure, class_name: str) -> str:
        name = class_name.casefold()
        return name if name in getattr(self, measure) else DEFAULT


class Override(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    dataset: str | None = None
    retention: dict[Stage, Share] = Field(default_factory=dict)
    regression: RegressionThresholds | None = None
    sensitivity: ByClass = Field(default_factory=dict)
    specificity: ByClass = Field(default_factory=dict)
    least: Least = Field(default_factory=dict)
    subgroups: SubgroupThresholds | None = None
    health: HealthThresholds = HealthThresholds()

    @property
    def about(self) -> str:
        """What it is of: `m on d`, `m` or `d`."""
        return " on ".join(name for name in (self.model, self.dataset) if name is not None)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set - {"model", "dataset"}:
            raise ValueError(
                "an override names retention, regression, sensitivity, specificity, least, subgroups or health"
            )
        return self


class Thresholds(BaseModel):
    """Least retention asked of each link, the losses accepted against a baseline, limits of the Feature Health Scores,
    with overrides for a model, a data set, or both; a later override wins over an earlier one. The accepted losses are
    those that a team wrote; under them lie the built-in ones.
    """

    model_config = ConfigDict(extra="forbid")

    retention: dict[Stage, Share] = Field(default_factory=dict)
    override: list[Override] = Field(default_factory=list)
    regression: RegressionThresholds = RegressionThresholds()
    sensitivity: ByClass = Field(default_factory=dict)
    specificity: ByClass = Field(default_factory=dict)
    least: Least = Field(default_factory=dict)
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
        layers: list[Thresholds | Override] = [_built_in(), self, *self._overrides(model, dataset)]
        asked = RegressionThresholds()
        for layer in layers:
            asked = asked.under(layer.regression or asked)
        assert asked.minimum_effect
        assert asked.changed_answers
        assert asked.places
        merged = {m: _merged(*(getattr(layer, m) for layer in layers)) for m in _MEASURES}
        written = {f"{m}.{name.casefold()}" for m in _MEASURES for layer in layers[1:] for name in getattr(layer, m)}
        if any(layer.regression and layer.regression.minimum_effect for layer in layers[1:]):
            written.add("minimum_effect")
        named = {"minimum_effect", *(f"{m}.{name}" for m, table in merged.items() for name in table)}
        return Margins(
            asked.minimum_effect,
            **merged,
            places=tuple(asked.places),
            changed_answers=asked.changed_answers,
            built_in=frozenset(named - written),
        )

    @property
    def require(self) -> bool:
        """Whether the least value of any measure is required."""
        return bool(self.least) or any(entry.least for entry in self.override)

    def least_of(self, model: str, dataset: str, classes: Sequence[str]) -> dict[str, float]:
        """The least value required of each measure of one diagnosis, by name. Raises ThresholdError for a measure that
        its data set does not have.
        """
        asked = _merged(self.least, *(entry.least for entry in self._overrides(model, dataset)))
        found, unknown = required_of(asked, classes)
        if unknown:
            raise ThresholdError(
                f"[least] requires {unknown[0]}, which is no measure of {dataset}; its measures are "
                f"{', '.join(least_names(classes))}. What one data set has is required in an [[override]] of it"
            )
        return found

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


Read = TypeVar("Read", bound=Thresholds)


def _merged(*tables: Mapping[str, float]) -> dict[str, float]:
    """By name in lower case; a later table wins."""
    return {name.casefold(): value for table in tables for name, value in table.items()}


def checked_effect(value: float) -> float:
    """A minimum effect typed elsewhere than in a file, under the same rule. Raises ThresholdError."""
    try:
        RegressionThresholds(minimum_effect=value)
    except ValidationError:
        raise ThresholdError(
            f"a minimum effect is a share of the signal above 0 and below 1, and {value:g} is none; 2 points are 0.02"
        ) from None
    return value


@cache
def _built_in() -> Thresholds:
    return Thresholds.model_validate(tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text("utf-8")))


def load_thresholds(path: Path | None = None) -> Thresholds:
    """The built-in margins, with those of `path` over them. Raises ThresholdError."""
    if path is None:
        return over_built_in(Thresholds())
    own, _ = read_thresholds(path, Thresholds, "thresholds file")
    return over_built_in(own)


def read_thresholds(path: Path, kind: type[Read], what: str) -> tuple[Read, bytes]:
    """What a file holds itself, and its bytes. Raises ThresholdError."""
    try:
        content = path.read_bytes()
        return kind.model_validate(tomllib.loads(content.decode("utf-8"))), content
    except OSError as error:
        raise ThresholdError(f"the {what} {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ThresholdError(f"the {what} {path} is no TOML: {error}") from None
    except RecursionError:
        raise ThresholdError(f"the {what} {path} is nested too deeply") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ThresholdError(f"the {what} {path} is wrong at {where}: {first['msg']}") from None


def over_built_in(own: Thresholds) -> Thresholds:
    """The built-in margins, with others over them."""
    builtin = _built_in()
    return Thresholds(
        retention=builtin.retention | own.retention,
        override=[*builtin.override, *own.override],
        regression=own.regression,
        sensitivity=own.sensitivity,
        specificity=own.specificity,
        least=own.least,
        subgroups=own.subgroups if "subgroups" in own.model_fields_set else builtin.subgroups,
        health=builtin.health.under(own.health),
    )
