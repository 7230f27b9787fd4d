"""The record of what is required of a model, whatever was there before."""

from __future__ import annotations

import re
from collections.abc import Iterable

from medprobe.diagnostics.records.chain import Record, VerdictValue


class Criterion(Record):
    """The least value of one measure of the answer that is required, and what was read."""

    name: str
    """The measure: `sensitivity.malignant`."""
    least: float
    value: float | None
    ci: tuple[float, float] | None
    verdict: VerdictValue
    reason: str


def check_names(measures: Iterable[str]) -> list[str]:
    """`least_sensitivity_malignant`: the check of each measure, in their order, in letters that identifiers have; of
    measures that differ in other signs alone the second ends in `_2`."""
    found: list[str] = []
    for measure in measures:
        stem = "_".join(["least", *re.findall(r"[^\W_]+", measure)])
        name, count = stem, 1
        while name in found:
            count += 1
            name = f"{stem}_{count}"
        found.append(name)
    return found


def criteria_by_check(criteria: Iterable[Criterion]) -> dict[str, Criterion]:
    listed = list(criteria)
    return dict(zip(check_names(criterion.name for criterion in listed), listed, strict=True))
