"""What becomes of every class: confusions, recalls, sensitivity and specificity."""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.sections.lost_images import UNNAMED
from medprobe.plugins.report.text import interval, percent


@dataclass(frozen=True)
class ConfusionCell:
    count: int
    share: float | None


@dataclass(frozen=True)
class Confusion:
    place: str
    columns: list[str]
    rows: list[tuple[str, list[ConfusionCell]]]


def _share(row: list[int], count: int) -> ConfusionCell:
    total = sum(row)
    return ConfusionCell(count, count / total if total else None)


def _class(diagnosis: Diagnosis, index: int) -> str:
    return diagnosis.classes[index] if index < len(diagnosis.classes) else f"class {index + 1}"


def confusions(diagnosis: Diagnosis) -> list[Confusion]:
    """A confusion matrix for every place that has one, in the order of the chain."""
    tables = []
    for place in [*CHAIN, *(p for p in diagnosis.confusion if p not in CHAIN)]:
        matrix = diagnosis.confusion.get(place)
        if not matrix:
            continue
        columns = [_class(diagnosis, i) for i in range(len(matrix))]
        columns += [UNNAMED] * (len(matrix[0]) - len(matrix))
        rows = [(_class(diagnosis, i), [_share(row, count) for count in row]) for i, row in enumerate(matrix)]
        tables.append(Confusion(place, columns, rows))
    return tables


def recalls(diagnosis: Diagnosis) -> list[tuple[str, list[ConfusionCell | None]]]:
    """For each class, the images read rightly at each place: which class is lost where."""
    if not diagnosis.confusion:
        return []
    size = max(len(matrix) for matrix in diagnosis.confusion.values())
    rows = []
    for index in range(size):
        cells: list[ConfusionCell | None] = []
        for place in CHAIN:
            matrix = diagnosis.confusion.get(place, [])
            row = matrix[index] if index < len(matrix) else []
            cells.append(_share(row, row[index]) if index < len(row) else None)
        rows.append((_class(diagnosis, index), cells))
    return rows


def class_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str, str, str]]:
    """Class, place, sensitivity and its interval, specificity and its interval, in percent."""
    return [
        (name, place, percent(found.value, 1), interval(found.ci), percent(other.value, 1), interval(other.ci))
        for name in diagnosis.classes
        for place in CHAIN
        if (found := diagnosis.sensitivity.get(place, {}).get(name)) is not None
        and (other := diagnosis.specificity.get(place, {}).get(name)) is not None
    ]
