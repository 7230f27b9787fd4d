"""Accuracy by layer of every stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.judgement import scores
from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.probes.loci import order
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.records.chain import Curves, Layer


def along(names: Iterable[str], stage: str, readout: str) -> list[str]:
    """The loci of one curve, in the order the signal passes them."""
    return sorted((n for n in names if n.startswith(f"{stage}.") and n.endswith(f".{readout}")), key=order)


def curves_of(readings: Mapping[str, Reading], labels: Ints, resamples: Resamples) -> Curves:
    def curve(stage: str, readout: str) -> list[Layer]:
        points = []
        for name in along(readings, stage, readout):
            reading = readings[name]
            predictions = reading.predictions
            points.append(
                Layer(
                    layer=int(name.split(".")[1]),
                    accuracy=float(np.mean(predictions == labels)),
                    ci=interval(resamples.accuracy(predictions)),
                    auroc=scores.auroc(labels, reading.log_probabilities),
                )
            )
        return points

    return Curves(
        vision=curve("vision", "mean"),
        vision_grid=curve("vision", "grid"),
        connector=curve("connector", "mean"),
        connector_grid=curve("connector", "grid"),
        llm_mean=curve("llm", "mean"),
        llm_last=curve("llm", "last"),
    )
