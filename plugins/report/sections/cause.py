"""What swapping with a second checkpoint found."""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.records.chain import PLACES
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.sections.sentences import JUDGED_ON
from medprobe.plugins.report.text import MISSING, interval, points, shown, signed


@dataclass(frozen=True)
class CauseRow:
    module: str
    effect: str
    ci: str
    bar: float
    gain: str
    gain_ci: str
    loss: str
    loss_ci: str
    named: bool


def cause_rows(diagnosis: Diagnosis) -> list[CauseRow]:
    """One row a place; empty where nothing could be swapped. A place that was not swapped alone has no gain or loss."""
    cause = diagnosis.cause
    if cause is None or cause.effects is None:
        return []
    rows = []
    for place in PLACES:
        effect, swap = getattr(cause.effects, place), cause.swaps.get(place)
        rows.append(
            CauseRow(
                module=place,
                effect=points(effect),
                ci=interval(cause.ci.get(place)),
                bar=max(0.0, min(1.0, effect)),
                gain=MISSING if swap is None else points(swap.gain),
                gain_ci=MISSING if swap is None else interval(swap.gain_ci),
                loss=MISSING if swap is None else points(swap.loss),
                loss_ci=MISSING if swap is None else interval(swap.loss_ci),
                named=place == cause.module,
            )
        )
    return rows


def cause_facts(diagnosis: Diagnosis) -> list[str]:
    """The second checkpoint as it ships, and what the effects share out, a sentence each."""
    cause = diagnosis.cause
    if cause is None or cause.against is None:
        return []
    found, judged = [], f"judged by {JUDGED_ON[cause.judged_on]}"
    if cause.shipped is not None:
        found.append(
            f"{cause.against} as it ships, with its own input, reads {shown(cause.shipped.signal)} points "
            f"({interval(cause.shipped.ci)}) on the same images, {judged}."
        )
    if cause.difference is not None:
        shared = "" if cause.effects is None else "; the effects share this out over the places and add up to it"
        found.append(
            f"On {cause.n_images:,} images {cause.against} answers {signed(cause.difference)} points against the model "
            f"({interval(cause.difference_ci)}), {judged}{shared}."
        )
    return found
