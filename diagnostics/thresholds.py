"""The practical margins of the verdict, from `thresholds.toml` and the user's own file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diagnostics.records import HealthCurve, Stage

Share = Annotated[float, Field(gt=0, le=1)]
Score = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ThresholdError(ValueError):
    """A thresholds file cannot be used."""


class Regression(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minimum_effect: Share
    """The loss of signal that is accepted; more is a regression."""


class Health(BaseModel):
    """Limits of the Feature Health Scores, by curve; none unless set."""

    model_config = ConfigDict(extra="forbid")

    least: dict[HealthCurve, Score] = Field(default_factory=dict)
    largest_drop: dict[HealthCurve, Score] = Field(default_factory=dict)
    """Since the baseline."""

    def under(self, other: Health) -> Health:
        """These limits with those of `other` over them."""
        return Health(least=self.least | other.least, largest_drop=self.largest_drop | other.largest_drop)


class Override(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    dataset: str | None = None
    retention: dict[Stage, Share] = Field(default_factory=dict)
    regression: Regression | None = None
    health: Health = Health()

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set & {"retention", "regression", "health"}:
            raise ValueError("an override names retention, regression or health")
        return self


class Thresholds(BaseModel):
    """Least retention asked of each link, the loss accepted against a baseline, limits of the Feature Health Scores,
    with overrides for a model, a data set, or both; a later override wins over an earlier one.
    """

    model_config = ConfigDict(extra="forbid")

    retention: dict[Stage, Share] = Field(default_factory=dict)
    override: list[Override] = Field(default_factory=list)
    regression: Regression = Regression(minimum_effect=0.02)
    health: Health = Health()

    def resolve(self, model: str, dataset: str) -> dict[Stage, float]:
        """The retention asked of each link of one diagnosis."""
        chosen: dict[Stage, float] = dict(self.retention)
        for entry in self._overrides(model, dataset):
            chosen |= entry.retention
        return chosen

    def minimum_effect(self, model: str, dataset: str) -> float:
        """The loss of signal that one diagnosis may show against its baseline."""
        chosen = [self.regression, *(e.regression for e in self._overrides(model, dataset) if e.regression)]
        return chosen[-1].minimum_effect

    def health_limits(self, model: str, dataset: str) -> Health:
        """The limits of one diagnosis's Feature Health Scores."""
        chosen = self.health
        for entry in self._overrides(model, dataset):
            chosen = chosen.under(entry.health)
        return chosen

    def _overrides(self, model: str, dataset: str) -> list[Override]:
        return [e for e in self.override if e.model in (None, model) and e.dataset in (None, dataset)]


def load_thresholds(path: Path | None = None) -> Thresholds:
    """The built-in margins, with those of `path` over them. Raises ThresholdError."""
    builtin = Thresholds.model_validate(tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text("utf-8")))
    if path is None:
        return builtin
    try:
        own = Thresholds.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ThresholdError(f"the thresholds file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ThresholdError(f"the thresholds file {path} is no TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ThresholdError(f"the thresholds file {path} is wrong at {where}: {first['msg']}") from None
    return Thresholds(
        retention=builtin.retention | own.retention,
        override=[*builtin.override, *own.override],
        regression=own.regression if "regression" in own.model_fields_set else builtin.regression,
        health=builtin.health.under(own.health),
    )
