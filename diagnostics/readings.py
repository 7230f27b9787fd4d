"""What the probe reads at every locus of a model, each remembered in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics import store
from diagnostics.measurement import OPTIONS, Measurement, Progress
from diagnostics.probing import Reading, read
from diagnostics.records import STAGES
from diagnostics.settings import Settings
from fixtures.datasets.dataset import Dataset

REFERENCE_LOCUS = "reference"
OPTIONS_LOCUS = "answer.0.options"
Ints = NDArray[np.int64]
Probe = Callable[[NDArray[np.float32]], Reading]


def read_all(
    measured: Measurement,
    labels: Ints,
    groups: Ints,
    fold: Ints,
    dataset: Dataset,
    settings: Settings,
    progress: Progress,
) -> dict[str, Reading]:
    """The reading of every locus and of the option likelihoods, each remembered in the store."""
    shared = shared_key(measured, dataset, settings)

    def matched(features: NDArray[np.float32]) -> Reading:
        return read(settings.probe, features, labels, groups, fold, settings.seed)

    def attention(regions: NDArray[np.float32]) -> Reading:
        from diagnostics.attention_probe import read_attention

        return read_attention(regions, labels, fold, settings.seed)

    def remembered(name: str, features: Any, probe: Probe = matched) -> Reading:
        def compute() -> dict[str, NDArray[np.float64]]:
            reading = probe(features())
            return {"log_probabilities": reading.log_probabilities, "inner_accuracy": reading.inner_accuracy}

        return Reading(**store.remembered(settings.store, name, compute))

    loci = measured.loci()
    readings = {}
    for done, locus in enumerate([*loci, OPTIONS]):
        progress("probing", done, len(loci) + 1)
        name = OPTIONS_LOCUS if locus == OPTIONS else locus
        readings[name] = remembered(
            store.key(features=measured.key, locus=locus, **shared), lambda locus=locus: measured.array(locus)
        )
    for locus in exit_regions(loci):
        progress("weighing regions", 0, 1)
        readings[locus.removesuffix("grid") + "attention"] = remembered(
            store.key(features=measured.key, locus=locus, readout="attention", **shared),
            lambda locus=locus: measured.array(locus),
            attention,
        )
    return readings


def exit_regions(loci: Sequence[str]) -> list[str]:
    """The loci whose region means are also read by attention: the exits of tower and connector."""
    last = max((locus for locus in loci if locus.startswith("vision.")), key=order).split(".")[1]
    return [locus for locus in (f"vision.{last}.grid", "connector.0.grid") if locus in loci]


def shared_key(measured: Measurement, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """What a stored reading depends on beside features: the data set, its readable images, the probe and the folds."""
    return {
        "data": dataset.fingerprint,
        "rows": hashlib.sha256(" ".join(image.digest for image in measured.images).encode()).hexdigest(),
        "probe": settings.probe,
        "seed": settings.seed,
        "n_folds": settings.n_folds,
    }


def order(locus: str) -> tuple[int, int, str]:
    """Sorts loci as the signal passes them."""
    stage, layer, readout = locus.split(".")
    return (tuple[str, ...](STAGES).index(stage), int(layer), readout)
