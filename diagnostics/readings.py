"""What the probe reads at the loci of a model, each reading remembered in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics import store
from diagnostics.measurement import OPTIONS, Measurement, Progress
from diagnostics.probing import PROBES, Reading, read
from diagnostics.records import STAGES
from diagnostics.settings import Settings
from fixtures.datasets.dataset import Dataset

REFERENCE_LOCUS = "reference"
OPTIONS_LOCUS = "answer.0.options"
READOUTS = ("mean", "last", "options", "grid", "attention")
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """Reads the loci of one measurement under one assignment of folds, [n_images]; `seed` is that of the probe."""

    measured: Measurement
    dataset: Dataset
    settings: Settings
    folds: Ints
    seed: int
    progress: Progress

    @cached_property
    def key(self) -> dict[str, Any]:
        """What a stored reading depends on beside the features: data set, readable images, probe and folds."""
        return {
            "data": self.dataset.fingerprint,
            "rows": hashlib.sha256(" ".join(image.digest for image in self.measured.images).encode()).hexdigest(),
            "probe": self.settings.probe,
            "probes": PROBES,
            "seed": self.seed,
            "n_folds": self.settings.n_folds,
        }

    def probe(self, features: Floats) -> Reading:
        """The reading of [n_images, width] features by the probe asked for."""
        return read(self.settings.probe, features, self.measured.labels, self.measured.groups, self.folds, self.seed)

    def attention(self, regions: Floats) -> Reading:
        """The reading of [n_images, 16 * width] region means by attention."""
        from diagnostics.attention_probe import read_attention

        return read_attention(regions, self.measured.labels, self.folds, self.seed)

    def remembered(self, read_it: Callable[[Floats], Reading], array: str, **content: Any) -> Reading:
        """The reading of one of the measurement's arrays, known in the store also by `content`."""

        def arrays() -> dict[str, NDArray[np.float64]]:
            reading = read_it(self.measured.array(array))
            return {"log_probabilities": reading.log_probabilities, "inner_accuracy": reading.inner_accuracy}

        name = store.key(features=self.measured.key, locus=array, **content, **self.key)
        return Reading(**store.remembered(self.settings.store, name, arrays))

    def loci(self, names: Iterable[str]) -> dict[str, Reading]:
        """The probe's reading of each locus."""
        names = list(names)
        found = {}
        for done, name in enumerate(names):
            self.progress("probing", done, len(names))
            found[name] = self.remembered(self.probe, OPTIONS if name == OPTIONS_LOCUS else name)
        return found

    def all_loci(self) -> dict[str, Reading]:
        """Every locus, the option likelihoods, and the exits of tower and connector by attention on their regions."""
        names = self.measured.loci()
        found = self.loci([*names, OPTIONS_LOCUS])
        last = max((name for name in names if name.startswith("vision.")), key=order).split(".")[1]
        for name in (f"vision.{last}.grid", "connector.0.grid"):
            self.progress("weighing regions", 0, 1)
            attended = self.remembered(self.attention, name, readout="attention")
            found[name.removesuffix("grid") + "attention"] = attended
        return found


def order(locus: str) -> tuple[int, int, int]:
    """Sorts loci as the signal passes them, and at one layer the simpler readout first."""
    stage, layer, readout = locus.split(".")
    return (tuple[str, ...](STAGES).index(stage), int(layer), READOUTS.index(readout))
