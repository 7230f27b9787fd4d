"""What the probe reads at every locus of a model, and of the reference, each remembered in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from diagnostics import store
from diagnostics.measurement import OPTIONS, Measurement, Progress
from diagnostics.probing import Reading, read
from diagnostics.records import STAGES
from diagnostics.settings import Settings
from fixtures.datasets.dataset import Dataset
from fixtures.datasets.images import open_image

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
    """The reading of every locus, of the option likelihoods and of the reference, each remembered in the store."""

    def reference_features() -> NDArray[np.float32]:
        from diagnostics import reference

        progress("reading the reference", 0, 1)
        pixels = np.stack([reference.pixels(open_image(image)) for image in measured.images])
        return reference.features(pixels, settings.seed)

    remember = _memory(measured, labels, groups, fold, dataset, settings)
    return {
        REFERENCE_LOCUS: remember(reference_features, reference="kmeans-filters"),
        **read_loci(measured, [*measured.loci(), OPTIONS], labels, groups, fold, dataset, settings, progress),
    }


def read_loci(
    measured: Measurement,
    loci: Sequence[str],
    labels: Ints,
    groups: Ints,
    fold: Ints,
    dataset: Dataset,
    settings: Settings,
    progress: Progress,
) -> dict[str, Reading]:
    """The reading of some loci, as `read_all` gives them."""
    remember = _memory(measured, labels, groups, fold, dataset, settings)
    readings = {}
    for done, locus in enumerate(loci):
        progress("probing", done, len(loci))
        name = OPTIONS_LOCUS if locus == OPTIONS else locus
        readings[name] = remember(lambda locus=locus: measured.array(locus), features=measured.key, locus=locus)
    return readings


def _memory(
    measured: Measurement, labels: Ints, groups: Ints, fold: Ints, dataset: Dataset, settings: Settings
) -> Callable[..., Reading]:
    """Gives the probe's reading of `features()`, known in the store by `content`, the data, the probe and the folds."""
    rows = hashlib.sha256(" ".join(image.digest for image in measured.images).encode()).hexdigest()
    shared = {
        "data": dataset.fingerprint,
        "rows": rows,
        "probe": settings.probe,
        "seed": settings.seed,
        "n_folds": settings.n_folds,
    }

    def remember(features: Callable[[], NDArray[np.float32]], /, **content: str) -> Reading:
        def compute() -> dict[str, NDArray[np.float64]]:
            reading = read(settings.probe, features(), labels, groups, fold, settings.seed)
            return {"log_probabilities": reading.log_probabilities, "inner_accuracy": reading.inner_accuracy}

        return Reading(**store.remembered(settings.store, store.key(**content, **shared), compute))

    return remember


def order(locus: str) -> tuple[int, int, str]:
    """Sorts loci as the signal passes them."""
    stage, layer, readout = locus.split(".")
    return (tuple[str, ...](STAGES).index(stage), int(layer), readout)
