"""The names of loci: `stage.layer.readout`, their order along the way, and where a stage hands over."""

from __future__ import annotations

from collections.abc import Iterable

from medprobe.diagnostics.records.chain import STAGES

REFERENCE_LOCUS = "reference"


OPTIONS_LOCUS = "answer.0.options"


READOUTS = ("mean", "last", "options", "grid", "attention")


def order(locus: str) -> tuple[int, int, int]:
    """Sorts loci as the signal passes them, and at one layer the simpler readout first."""
    stage, layer, readout = locus.split(".")
    return (tuple[str, ...](STAGES).index(stage), int(layer), READOUTS.index(readout))


def exit_loci(names: Iterable[str]) -> list[str]:
    """The loci at which a stage hands over, of those named: they speak for the places of the chain.

    Other readings may speak too (a locus inside a stage, the regions weighed by attention), but they are chosen by
    inner validation, so that their null is that of one reading and not of the largest of many.
    """
    parts = {name: name.split(".") for name in names}
    last: dict[str, int] = {}
    for stage, layer, _ in parts.values():
        last[stage] = max(last.get(stage, 0), int(layer))
    return [
        name
        for name, (stage, layer, readout) in parts.items()
        if int(layer) == last[stage] and (stage, readout) != ("llm", "mean")
    ]
