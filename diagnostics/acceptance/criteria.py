"""A criteria file: thresholds that a team fixed before the run, known by the hash of the file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.regression import Gate
from medprobe.diagnostics.thresholds import HealthThresholds, ThresholdError, Thresholds, over_built_in, read_thresholds

MARGINS = ("regression", "sensitivity", "specificity")
"""Tables of losses against a baseline."""


class Criteria(Thresholds):
    """What the file holds: tables as a thresholds file has them, when they were fixed, and what the model is for."""

    fixed: date | None = None
    purpose: Annotated[str, StringConstraints(max_length=300), AfterValidator(one_line)] | None = None


@dataclass(frozen=True)
class CriteriaFile:
    """The criteria as written, and the sha256 of the file."""

    written: Criteria
    sha256: str

    @property
    def thresholds(self) -> Thresholds:
        """What the run is judged by: the criteria over the built-in margins."""
        return over_built_in(self.written)

    @cached_property
    def tables(self) -> set[str]:
        """The tables that the file or one of its overrides holds."""
        return self.written.model_fields_set.union(*(part.model_fields_set for part in self.written.override))

    @property
    def _health(self) -> list[HealthThresholds]:
        return [self.written.health, *(part.health for part in self.written.override)]

    @property
    def compares(self) -> bool:
        """Whether the criteria are of a comparison with a baseline."""
        return any(health.largest_drop for health in self._health) or not self.tables.isdisjoint(MARGINS)

    @property
    def judges_links(self) -> bool:
        return any(health.least for health in self._health) or "retention" in self.tables

    @property
    def gate(self) -> Gate:
        """The gate that judges these criteria and nothing else."""
        if self.judges_links:
            return "both" if self.compares else "absolute"
        return "regression" if self.compares else "least"


def load_criteria(path: Path, today: date) -> CriteriaFile:
    """Raises ThresholdError where the file cannot be used."""
    written, content = read_thresholds(path, Criteria, "criteria file")
    found = CriteriaFile(written, hashlib.sha256(content).hexdigest())
    if not (written.require or found.compares or found.judges_links):
        raise ThresholdError(
            f"the criteria file {path} holds no criterion; it has a table [least], [regression], [sensitivity], "
            "[specificity] or [retention]"
        )
    if written.fixed is not None and written.fixed > today:
        raise ThresholdError(f"the criteria file {path} says it was fixed on {written.fixed}, which is to come")
    return found
