"""What the controls found, a sentence each."""

from __future__ import annotations

from medprobe.diagnostics.records.controls import Controls
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.text import interval, joined, number, percent, plural, points, shown


def p_text(p: float) -> str:
    return f"p {number(p, 3)}" if p >= 0.001 else "p below 0.001"


def minimum_loss_sentence(diagnosis: Diagnosis) -> str | None:
    """How small a loss these images could show."""
    if diagnosis.minimum_loss is None:
        return None
    return (
        f"{plural(diagnosis.n_images, 'image')} in {plural(diagnosis.n_groups, 'group')} cannot show a loss under "
        f"{points(diagnosis.minimum_loss)} points"
    )


def sentences(controls: Controls | None) -> list[tuple[str, str]]:
    """Name and sentence of every control."""
    if controls is None:
        return []
    return [
        ("Permuted labels", _null(controls)),
        ("16 x 16 pixels", _pixels(controls)),
        ("File facts", _facts(controls)),
        ("Untrained twin", _twin(controls)),
        ("Control task", _task(controls)),
    ]


def _null(controls: Controls) -> str:
    null = controls.null
    return (
        f"With the labels given to other patients ({plural(null.n_permutations, 'permutation')}), the best of "
        f"{len(null.loci)} loci reads {points(null.band)} points or more in 1 of 20 "
        f"permutations; what the reference reads has {p_text(null.p)} under them. The ridge probe reads the permuted "
        "labels."
    )


def _pixels(controls: Controls) -> str:
    floor = controls.pixels
    return (
        f"The picture shrunk to 16 x 16 grey pixels reads {shown(floor.signal)} points ({interval(floor.ci)}; "
        f"{percent(floor.accuracy, 1)} accuracy). A place of the model that reads no more has kept nothing finer."
    )


def _facts(controls: Controls) -> str:
    floor = controls.file_facts
    if not floor.facts:
        return "Width, height, mode and file type are the same for all images, so they tell nothing."
    first = (
        f"The file's {joined(floor.facts)} alone read {shown(floor.signal)} points "
        f"({interval(floor.ci)}; {percent(floor.accuracy, 1)} accuracy; {p_text(floor.p)})."
    )
    if floor.within is None:
        return f"{first} No two images of different classes have files that look alike."
    inside = ", ".join(f"{place} {shown(signal)}" for place, signal in floor.within.items())
    return (
        f"{first} Between the {plural(floor.n_within, 'image')} whose files look like those of another class: {inside} "
        "points."
    )


def _twin(controls: Controls) -> str:
    twin = controls.twin
    if twin.vision is None or twin.connector is None:
        return f"Not read: {twin.reason}."
    return (
        f"With random weights in tower and connector, the tower's end reads {shown(twin.vision.twin)} points (the "
        f"model {shown(twin.vision.model)}) and the LLM's input {shown(twin.connector.twin)} (the model "
        f"{shown(twin.connector.model)}), on {plural(twin.n_images, 'image')}."
    )


def _task(controls: Controls) -> str:
    task = controls.control_task
    if task.reason is not None:
        return f"Not applicable: {task.reason}."
    rows = "; ".join(f"{locus} {shown(s.real)} against {shown(s.control)}" for locus, s in task.loci.items())
    return f"Points read of the true labels against random labels of patients, known again by heart: {rows}."
