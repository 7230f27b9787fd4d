"""What the probe reads at every locus of a model, each remembered in the store."""

from __future__ import annotations

import hashlib
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

    def remembered(name: str, features: Any) -> Reading:
        def compute() -> dict[str, NDArray[np.float64]]:
            reading = read(settings.probe, features(), labels, groups, fold, settings.seed)
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
    return readings


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
