"""Accuracy by layer of every stage, and the Feature Health Scores made of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diagnostics import scores
from diagnostics.judging import Resamples, interval
from diagnostics.probing import Reading
from diagnostics.readings import order
from diagnostics.records import Curves, Health, Layer

Ints = NDArray[np.int64]


def curves_of(readings: Mapping[str, Reading], labels: Ints, resamples: Resamples) -> Curves:
    def curve(stage: str, readout: str) -> list[Layer]:
        found = sorted(
            (name for name in readings if name.startswith(f"{stage}.") and name.endswith(f".{readout}")), key=order
        )
        points = []
        for name in found:
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


def health_of(curves: Curves, answer: float, n_images: int) -> Health:
    def fhs(points: list[Layer]) -> float:
        return scores.feature_health_score([point.accuracy for point in points], n_images)

    # A connector of one layer has the curve from the tower's exit to its own.
    return Health(
        vision=fhs(curves.vision),
        connector=fhs([curves.vision[-1], *curves.connector]),
        llm_mean=fhs(curves.llm_mean),
        llm_last=fhs(curves.llm_last),
        answer=answer,
    )
