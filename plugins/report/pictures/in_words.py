"""The pictures in words and numbers, for people who do not see them."""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.records.chain import Layer
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.pictures.waterfall import steps
from medprobe.plugins.report.text import percent, points


@dataclass(frozen=True)
class CurveTable:
    name: str
    layers: list[Layer]


def curve_tables(diagnosis: Diagnosis) -> list[CurveTable]:
    """The curves as tables, a row a layer."""
    if diagnosis.curves is None:
        return []
    names = {
        "vision": "vision, mean over image tokens",
        "vision_grid": "vision, 4x4 region means",
        "connector": "connector, mean over image tokens",
        "connector_grid": "connector, 4x4 region means",
        "llm_mean": "llm, mean over image tokens",
        "llm_last": "llm, last prompt token",
    }
    return [
        CurveTable(title, getattr(diagnosis.curves, n)) for n, title in names.items() if getattr(diagnosis.curves, n)
    ]


def chain_text(diagnosis: Diagnosis) -> str:
    """The waterfall for those who do not see it."""
    chain = steps(diagnosis.signal)
    if not chain:
        return ""
    moves = "; ".join(
        f"{s.stage} {'loses' if s.loss >= 0 else 'gains'} {points(abs(s.loss) / 1000)}, "
        f"leaving {points(s.after / 1000)}"
        for s in chain
    )
    return f"The reference reads {points(chain[0].before / 1000)} points; {moves}."


def curve_text(diagnosis: Diagnosis) -> str:
    """The curve for those who do not see it."""
    parts = []
    for table in curve_tables(diagnosis):
        first, last = table.layers[0], table.layers[-1]
        if len(table.layers) == 1:
            parts.append(f"{table.name}: {percent(first.accuracy, 1)}")
        else:
            parts.append(
                f"{table.name}: {percent(first.accuracy, 1)} at layer {first.layer} to {percent(last.accuracy, 1)} "
                f"at layer {last.layer}"
            )
    if diagnosis.accuracy is not None:
        parts.append(f"answer: {percent(diagnosis.accuracy.answer, 1)}")
    if diagnosis.controls is not None:
        low, high = diagnosis.controls.null.accuracy
        parts.append(f"permuted labels: {percent(low, 1)} to {percent(high, 1)}")
        parts.append(f"16 x 16 pixels: {percent(diagnosis.controls.pixels.accuracy, 1)}")
        if diagnosis.controls.file_facts.facts:
            parts.append(f"file facts alone: {percent(diagnosis.controls.file_facts.accuracy, 1)}")
        twin = diagnosis.controls.twin
        parts += [
            f"untrained twin, {name}: {percent(found.twin_accuracy, 1)}"
            for name, found in (("vision", twin.vision), ("connector", twin.connector))
            if found is not None
        ]
    return "Accuracy. " + "; ".join(parts) + "."
