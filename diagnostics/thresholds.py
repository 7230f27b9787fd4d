"""The practical margins of the verdict, from `thresholds.toml` and the user's own file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diagnostics.records import Stage

Share = Annotated[float, Field(gt=0, le=1)]


class ThresholdError(ValueError):
    """A thresholds file cannot be used."""


class Override(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    dataset: str | None = None
    retention: dict[Stage, Share]


class Regression(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minimum_effect: Share
    """The loss of signal that is accepted; more is a regression."""


class Thresholds(BaseModel):
    """Least retention asked of each link, with overrides for a model, a data set, or both."""

    model_config = ConfigDict(extra="forbid")

    retention: dict[Stage, Share] = Field(default_factory=dict)
    override: list[Override] = Field(default_factory=list)
    regression: Regression = Regression(minimum_effect=0.02)

    def resolve(self, model: str, dataset: str) -> dict[Stage, float]:
        """The thresholds that hold for one diagnosis; a later override wins over an earlier one."""
        chosen: dict[Stage, float] = dict(self.retention)
        for entry in self.override:
            if entry.model in (None, model) and entry.dataset in (None, dataset):
                chosen |= entry.retention
        return chosen


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
    )
