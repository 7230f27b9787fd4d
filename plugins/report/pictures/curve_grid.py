"""The curves of many diagnoses side by side, as small pictures of one scale: a row a model, a column a data set, and in
each picture two lines, before and after tuning (the figure of arXiv 2604.08333: 14 models, 3 data sets, 2 conditions).

Drawn as plain SVG in the template like the pictures of the comparison, so that putting reports together needs no
matplotlib. What was before what is told by the records: an adapter, what a run was said to be tuned from, a revision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medprobe.diagnostics.records.chain import Layer
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.entries import Checkpoint, ReportEntry, Row, asked_otherwise
from medprobe.plugins.report.outputs.table import datasets_of
from medprobe.plugins.report.sections.sentences import verdict_word
from medprobe.plugins.report.text import interval, joined, known, percent, plural, points, shown, signed

WIDTH, TOP, HEIGHT = 322, 4, 78
"""Of a picture, the head of its scale and the length of it, in units of the drawing."""
SPANS = {"vision": (36, 130), "connector": (134, 180), "LLM": (184, 278), "answer": (282, 322)}
"""Left and right of each stage; layers stand at their share of the stage's depth, so that columns line up."""
INSET = 5
SERIES = (
    ("vision", "vision", "mean over image tokens", False),
    ("connector", "connector", "mean over image tokens", False),
    ("LLM", "llm_last", "last prompt token", False),
    ("LLM", "llm_mean", "mean over image tokens", True),
)
"""Stage, curve, readout, and whether it is drawn thin."""
CONDITIONS = ("before", "after")

Point = tuple[float, float]


@dataclass(frozen=True)
class Trace:
    """One stage of a curve; a single layer is a point."""

    thin: bool
    points: list[Point]


@dataclass(frozen=True)
class Curve:
    """One diagnosis in a picture: `condition` is before or after; nothing is drawn where it was not measured."""

    condition: str
    word: str
    href: str | None
    error: str | None
    traces: list[Trace]
    answer: Point | None
    numbers: list[tuple[str, str]]
    """Names of series and their accuracies in percent, by layer from the first."""


@dataclass(frozen=True)
class Panel:
    curves: list[Curve]
    band: Point | None
    """Top and height of what permuted labels reach in either condition."""
    chance: float | None
    floors: list[tuple[str, str]]
    """Chance and band in words."""
    said: str
    """Signal at the answer, before and after."""
    label: str
    """The picture in words."""


@dataclass(frozen=True)
class PanelRow:
    name: str
    details: list[str]
    panels: list[Panel | None]


def view(entries: list[ReportEntry], ordered: list[Row]) -> dict[str, Any]:
    """Everything `curves.html` shows."""
    found = {(entry.checkpoint, entry.dataset): entry for entry in entries}
    datasets, bottom = datasets_of(entries), _bottom([entry.diagnosis for entry in entries])
    rows = [
        PanelRow(
            before.model,
            _details(before, afters),
            [
                _panel(
                    found.get((before, dataset)),
                    next((found[after, dataset] for after in afters if (after, dataset) in found), None),
                    bottom,
                )
                for dataset in datasets
            ],
        )
        for before, afters in pairs(entries, ordered)
    ]
    drawn = [c.condition for row in rows for panel in row.panels if panel for c in panel.curves if c.traces]
    counts = [f"{drawn.count('before')} before tuning", f"{drawn.count('after')} after"]
    return {
        "datasets": datasets,
        "rows": rows,
        "summary": f"{plural(len(drawn), 'curve')}: {plural(len({row.name for row in rows}), 'model')} on "
        f"{plural(len(datasets), 'data set')}, {' and '.join(counts)}.",
        "scale": [(percent(level), _height(level, bottom)) for level in (1.0, (1 + bottom) / 2, bottom)],
        "spans": [(name, left, right, (left + right) / 2) for name, (left, right) in SPANS.items()],
        "width": WIDTH,
        "top": TOP,
        "height": HEIGHT,
    }


def pairs(entries: list[ReportEntry], ordered: list[Row]) -> Iterator[tuple[Checkpoint, list[Checkpoint]]]:
    """Each checkpoint with those tuned from it: one tuned for every data set are in one row, others in rows of their
    own. One that stands alone has none after it.
    """
    on: dict[Checkpoint, set[str]] = {}
    for entry in entries:
        on.setdefault(entry.checkpoint, set()).add(entry.dataset)
    tuned: dict[Checkpoint, list[Checkpoint]] = {}
    for row in ordered:
        if row.before is not None:
            tuned.setdefault(row.before, []).append(row.checkpoint)
    for row in ordered:
        if row.checkpoint not in tuned and row.before is None:
            yield row.checkpoint, []
        together: list[list[Checkpoint]] = []
        for after in tuned.get(row.checkpoint, ()):
            apart = (group for group in together if not any(on[after] & on[other] for other in group))
            group = next(apart, None)
            if group is None:
                together.append([after])
            else:
                group.append(after)
        for group in together:
            yield row.checkpoint, group


def _details(before: Checkpoint, afters: list[Checkpoint]) -> list[str]:
    if not afters:
        return [before.detail] if before.detail else []
    told = [f"before: {before.detail}"] if before.detail else []
    if all(after == before._replace(adapter=after.adapter) for after in afters):
        names = joined(str(after.adapter) for after in afters)
        return [*told, f"after: adapter{'s' if len(afters) > 1 else ''} {names}"]
    return [*told, f"after: {joined(map(str, afters))}"]


def _panel(before: ReportEntry | None, after: ReportEntry | None, bottom: float) -> Panel | None:
    given = [(c, e) for c, e in zip(CONDITIONS, (before, after), strict=True) if e is not None]
    if not given:
        return None
    diagnoses = [entry.diagnosis for _, entry in given]
    bands = [d.controls.null.accuracy for d in diagnoses if d.controls is not None]
    chances = [d.accuracy.chance for d in diagnoses if d.accuracy is not None]
    band = (min(low for low, _ in bands), max(high for _, high in bands)) if bands else None
    top = 0.0 if band is None else _height(band[1], bottom)
    spoken = [f"{c}: {_spoken(e.diagnosis)}" for c, e in given]
    floors = [("chance", percent(chances[0]))] if chances else []
    floors += [("permuted labels", f"{interval(band, digits=0)}%")] if band else []
    said = _said(diagnoses)
    about = f"{diagnoses[0].model} on {diagnoses[0].dataset}"
    return Panel(
        curves=[_curve(condition, entry, bottom) for condition, entry in given],
        band=None if band is None else (top, round(_height(band[0], bottom) - top, 1)),
        chance=_height(chances[0], bottom) if chances else None,
        said=said,
        floors=floors,
        label=f"{about}. {said}. Accuracy {'; '.join([*spoken, *(' '.join(floor) for floor in floors)])}.",
    )


def _curve(condition: str, entry: ReportEntry, bottom: float) -> Curve:
    diagnosis = entry.diagnosis
    traces, numbers = [], []
    for stage, name, readout, thin in SERIES:
        layers = _measured(diagnosis, name)
        if not layers:
            continue
        left, right = SPANS[stage]
        last = max(layer.layer for layer in layers)
        traces.append(
            Trace(
                thin,
                [
                    (
                        round(left + INSET + (right - left - 2 * INSET) * (layer.layer / last if last else 0.5), 1),
                        _height(layer.accuracy, bottom),
                    )
                    for layer in layers
                ],
            )
        )
        which = f"layer {layers[0].layer}" if len(layers) == 1 else f"layers {layers[0].layer} to {layers[-1].layer}"
        named = f"{stage}, {readout}, {condition}, {which}"
        numbers.append((named, " ".join(points(layer.accuracy) for layer in layers)))
    said = diagnosis.accuracy.answer if diagnosis.accuracy is not None else None
    if said is not None and known(said):
        numbers.append((f"answer, {condition}", points(said)))
    return Curve(
        condition=condition,
        word=verdict_word(diagnosis),
        href=entry.href,
        error=diagnosis.error,
        traces=traces,
        answer=(sum(SPANS["answer"]) / 2, _height(said, bottom)) if said is not None and known(said) else None,
        numbers=numbers,
    )


def _measured(diagnosis: Diagnosis, name: str) -> list[Layer]:
    layers: list[Layer] = [] if diagnosis.curves is None else getattr(diagnosis.curves, name)
    return [layer for layer in layers if known(layer.accuracy)]


def _height(accuracy: float, bottom: float) -> float:
    return round(TOP + HEIGHT * (1 - (accuracy - bottom) / (1 - bottom)), 1)


def _bottom(diagnoses: list[Diagnosis]) -> float:
    """The lower end of the scale of every picture: the least of what is drawn, down to the next tenth."""
    lowest = [layer.accuracy for d in diagnoses for _, name, *_ in SERIES for layer in _measured(d, name)]
    for diagnosis in diagnoses:
        if diagnosis.accuracy is not None:
            lowest += [diagnosis.accuracy.answer, diagnosis.accuracy.chance]
        if diagnosis.controls is not None:
            lowest.append(diagnosis.controls.null.accuracy[0])
    least = min((value for value in lowest if known(value)), default=0.0)
    return max(0.0, min(0.9, math.floor(10 * least) / 10))


def _said(diagnoses: list[Diagnosis]) -> str:
    signals = [None if d.signal is None else d.signal.answer for d in diagnoses]
    levels = [shown(signal, "*") for signal in signals]
    if len(levels) < 2 or None in signals:
        return f"Answer {', '.join(levels)}"
    text = f"Answer {levels[0]} \N{RIGHTWARDS ARROW} {levels[1]}"
    if differ := asked_otherwise(*diagnoses):
        return f"{text}, not to be compared: other {joined(differ)}"
    # Rounded before they are subtracted, as everywhere, so that what is shown adds up.
    first, second = (round(float(signal or 0) * 1000) for signal in signals)
    return f"{text} ({signed((second - first) / 1000)})"


def _spoken(diagnosis: Diagnosis) -> str:
    parts = []
    for stage, name, _, thin in SERIES:
        layers = _measured(diagnosis, name)
        if layers and not thin:
            ends = [percent(layers[0].accuracy), percent(layers[-1].accuracy)]
            parts.append(f"{stage} {ends[0] if len(layers) == 1 else ' to '.join(ends)}")
    if diagnosis.accuracy is not None:
        parts.append(f"answer {percent(diagnosis.accuracy.answer)}")
    return ", ".join(parts) or "not measured"
