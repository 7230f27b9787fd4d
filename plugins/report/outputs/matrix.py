"""What the comparison page shows, worked out beforehand: models by data sets, each cell the chain in small."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from medprobe.diagnostics.judgement.headline import BECAUSE, headline, kind
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.entries import Checkpoint, ReportEntry, Row, asked_otherwise
from medprobe.plugins.report.outputs.table import (
    BLANK,
    FIRST_NUMBER,
    HEAD,
    HEALTH,
    cells,
    datasets_of,
    health_scores,
    rows_of,
    signals,
)
from medprobe.plugins.report.pictures.waterfall import steps
from medprobe.plugins.report.sections.sentences import PLACE_NAMES, links, verdict_word
from medprobe.plugins.report.text import joined, number, plural, shown, signed

HEIGHT, STEP, WIDTH = 36, 15, 12
"""Of the pictures, their steps and bars, in units of the drawing."""


@dataclass(frozen=True)
class Bar:
    """A place's signal, and from where it fell if the link to it fails; heights from the top of the picture."""

    left: int
    top: float
    fell_from: float | None


@dataclass(frozen=True)
class MatrixCell:
    href: str | None
    word: str
    headline: str
    error: str | None
    bars: list[Bar]
    chain: str
    """The picture in words."""
    ends: str
    profile: list[tuple[float, float]]
    scores: str
    health: str
    value: float | None


@dataclass(frozen=True)
class MatrixRow:
    name: str
    detail: str
    depth: int
    before: Checkpoint | None
    cells: list[MatrixCell | None]


@dataclass(frozen=True)
class BeforeAndAfter:
    """A checkpoint and the one before it on one data set; changes are empty where `reason` says why."""

    checkpoint: Checkpoint
    before: Checkpoint
    dataset: str
    verdicts: tuple[str, str]
    changes: list[tuple[str, float]]
    reason: str
    gained: str
    """The place that swapping with `checkpoint` names in `before`, or why none; empty where not searched for."""
    lost: str
    """The same the other way round."""


def view(entries: list[ReportEntry], ordered: list[Row]) -> dict[str, Any]:
    """Everything `comparison.html` shows."""
    found = {(entry.checkpoint, entry.dataset): entry for entry in entries}
    datasets = datasets_of(entries)
    top = _top([entry.diagnosis for entry in entries])
    lines = rows_of(entries, ordered)
    place = {row.checkpoint: order for order, row in enumerate(ordered)}
    return {
        "datasets": datasets,
        "matrix": [
            MatrixRow(
                row.checkpoint.model,
                row.checkpoint.detail,
                row.depth,
                row.before,
                [_cell(found.get((row.checkpoint, dataset)), top) for dataset in datasets],
            )
            for row in ordered
        ],
        "pairs": pairs(found, ordered, datasets),
        "head": HEAD,
        "first_number": FIRST_NUMBER,
        "lines": [(line.entry.href, cells(line, place[line.entry.checkpoint])) for line in lines],
        "places": CHAIN,
        "summary": _summary([entry.diagnosis for entry in entries], len(ordered), len(datasets)),
        "health_names": ", ".join(HEALTH.values()),
        "top": top,
        "height": HEIGHT,
        "width": STEP * len(CHAIN) - (STEP - WIDTH),
        "bar": WIDTH,
    }


def _cell(entry: ReportEntry | None, top: float) -> MatrixCell | None:
    if entry is None:
        return None
    diagnosis = entry.diagnosis
    values, scores = signals(diagnosis), health_scores(diagnosis.health)
    fails = {stage for stage, _, link in links(diagnosis) if link.verdict == "fail"}
    measured = diagnosis.signal is not None
    spoken = ", ".join(
        f"{place} {shown(value, ' (below chance)')}{' (fails)' if place in fails else ''}"
        for place, value in zip(CHAIN, values, strict=True)
    )
    return MatrixCell(
        href=entry.href,
        word=verdict_word(diagnosis),
        headline=headline(diagnosis),
        error=diagnosis.error,
        bars=_bars(values, fails) if measured else [],
        chain=f"Signal: {spoken}",
        ends=f"{shown(values[0], '*', BLANK)} \N{RIGHTWARDS ARROW} {shown(values[-1], '*', BLANK)}" if measured else "",
        profile=[
            (round(index * STEP + WIDTH / 2, 1), round(HEIGHT * (1 - max(0.0, min(value / top, 1.0))), 1))
            for index, value in enumerate(scores)
            if value is not None
        ],
        scores=" \N{MIDDLE DOT} ".join(number(value, missing=BLANK) for value in scores) if diagnosis.health else "",
        health="Feature Health Score: "
        + ", ".join(f"{name} {number(value)}" for name, value in zip(HEALTH.values(), scores, strict=True)),
        value=values[-1],
    )


def _bars(values: list[float | None], fails: set[Any]) -> list[Bar]:
    """Below chance there is no bar; a place that was not measured has none either, and the words say so."""
    tops = [HEIGHT if value is None else round(HEIGHT * (1 - max(0.0, min(value, 1.0))), 1) for value in values]
    return [
        Bar(index * STEP, top, tops[index - 1] if place in fails and tops[index - 1] < top else None)
        for index, (place, top) in enumerate(zip(CHAIN, tops, strict=True))
    ]


def _top(diagnoses: list[Diagnosis]) -> float:
    """The end of the scale of every profile: the largest score to the next half, at least 1."""
    scores = [score for d in diagnoses for score in health_scores(d.health) if score is not None]
    return max(1.0, math.ceil(2 * max(scores, default=1.0)) / 2)


def pairs(
    found: dict[tuple[Checkpoint, str], ReportEntry], ordered: list[Row], datasets: list[str]
) -> list[BeforeAndAfter]:
    """Each checkpoint beside the one before it, on each data set that both were diagnosed on."""
    rows = []
    for row in ordered:
        for dataset in datasets:
            after, before = found.get((row.checkpoint, dataset)), row.before and found.get((row.before, dataset))
            if after is None or before is None or row.before is None:
                continue
            first, second = before.diagnosis, after.diagnosis
            old, new = _levels(first), _levels(second)
            reason = ""
            if not old or not new:
                reason = "not measured in both"
            elif differ := asked_otherwise(first, second):
                reason = f"not to be compared: other {joined(differ)}"
            moved = [] if reason else [(b - a) / 1000 for a, b in zip(old, new, strict=True)]
            changes = [(signed(change), change) for change in moved]
            verdicts = verdict_word(first), verdict_word(second)
            causes = _named(first, row.checkpoint), _named(second, row.before)
            rows.append(BeforeAndAfter(row.checkpoint, row.before, dataset, verdicts, changes, reason, *causes))
    return rows


def _named(diagnosis: Diagnosis, other: Checkpoint) -> str:
    """What swapping modules with the other checkpoint of a pair found, in a word or two."""
    cause = diagnosis.cause
    if cause is None or cause.against not in (str(other), str(other._replace(revision=None))):
        return ""
    if cause.module is None:
        return f"none: {cause.reason.rpartition(BECAUSE)[2].partition(':')[0]}"
    return PLACE_NAMES[cause.module] if cause.certain else f"none: {PLACE_NAMES[cause.module]} likely, not shown"


def _levels(diagnosis: Diagnosis) -> list[int]:
    """Signal along the chain in tenths of a point, rounded as shown so that the tables agree; empty if unmeasured."""
    chain = steps(diagnosis.signal)
    return [chain[0].before, *(step.after for step in chain)] if chain else []


def _summary(diagnoses: list[Diagnosis], models: int, datasets: int) -> str:
    """`3 models on 2 data sets: 4 fail, 1 pass. Found: connector fidelity loss (3), readable but not said (1).`"""
    verdicts = Counter(verdict_word(d) for d in diagnoses)
    counts = ", ".join(f"{count} {word}" for word, count in verdicts.most_common())
    text = f"{plural(models, 'model')} on {plural(datasets, 'data set')}: {counts}."
    kinds = Counter(found for d in diagnoses if (found := kind(d)) is not None)
    named = ", ".join(f"{found} ({count})" for found, count in kinds.most_common())
    return f"{text} Found: {named}." if named else text
