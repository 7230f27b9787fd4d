"""What the probe reads at the loci of a model, each reading remembered in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Features, Floats, Ints
from medprobe.diagnostics.extraction.measurement import OPTIONS, Measurement, Progress
from medprobe.diagnostics.extraction.ray_tasks import spread
from medprobe.diagnostics.probes.loci import OPTIONS_LOCUS, exit_loci, order
from medprobe.diagnostics.probes.permutations import Permuted
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.probes.ridge import PROBES, read
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import Dataset

N_PERMUTATIONS = {"quick": 100, "full": 1000}
Given = TypeVar("Given")


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

    @property
    def probe(self) -> Callable[[Features], Reading]:
        """What reads [n_images, width] features by the probe asked for."""
        m = self.measured
        return partial(read, self.settings.probe, labels=m.labels, groups=m.groups, folds=self.folds, seed=self.seed)

    @property
    def attention(self) -> Callable[[Features], Reading]:
        """What reads [n_images, 16 * width] region means by attention."""
        return partial(_attend, labels=self.measured.labels, folds=self.folds, seed=self.seed)

    def remembered(self, read_it: Callable[[Features], Reading], array: str, **content: Any) -> Reading:
        """The reading of one of the measurement's arrays, known in the store also by `content`."""

        def arrays() -> dict[str, Floats]:
            reading = read_it(self.measured.array(array))
            return {"log_probabilities": reading.log_probabilities, "inner_accuracy": reading.inner_accuracy}

        return Reading(**store.remembered(self.settings.store, self._name(array, **content), arrays))

    def _name(self, array: str, **content: Any) -> str:
        return store.key(features=self.measured.key, locus=array, **content, **self.key)

    def _mlp(self, arrays: Iterable[str]) -> dict[str, Reading]:
        """The paper's probe at those of `arrays` that the store has no reading of, trained together."""
        from medprobe.diagnostics.probes.mlp import read_mlp_loci

        unread = [name for name in arrays if not store.holds(self.settings.store, self._name(name))]
        features = [self.measured.array(name) for name in unread]
        return dict(zip(unread, read_mlp_loci(features, self.measured.labels, self.folds, self.seed), strict=True))

    @cached_property
    def permuted(self) -> Permuted:
        """The labels given to other patients."""
        m, s = self.measured, self.settings
        return Permuted(m.labels, m.groups, self.folds, N_PERMUTATIONS[s.controls], s.seed, s.store, self.key)

    def permuted_loci(self) -> list[str]:
        """Where permuted labels are read: at the exits, under full controls everywhere."""
        loci = self.measured.loci()
        return sorted(loci if self.settings.controls == "full" else exit_loci(loci), key=order)

    def _elsewhere(
        self,
        arrays: Iterable[str],
        read_it: Callable[[Features], Given],
        keep: Callable[[str, Given], None],
        **content: Any,
    ) -> None:
        """Under `--engine ray`, read what the store lacks of these readings on the cluster; `keep` leaves it there."""
        if self.settings.engine == "local":
            return
        unread = [name for name in arrays if not store.holds(self.settings.store, self._name(name, **content))]
        tasks = ((name, partial(read_it, self.measured.array(name))) for name in unread)
        for done, (name, given) in enumerate(spread(tasks)):
            self.progress("probing on the cluster", done, len(unread))
            keep(name, given)

    def _keep(self, array: str, reading: Reading, **content: Any) -> None:
        self.remembered(lambda _: reading, array, **content)

    def loci(self, names: Iterable[str]) -> dict[str, Reading]:
        """The probe's reading of each locus."""
        names = list(names)
        self._elsewhere(map(_array, names), self.probe, self._keep)
        if self.settings.probe == "mlp":
            self.progress("probing", 0, 1)
            for array, reading in self._mlp(map(_array, names)).items():
                self._keep(array, reading)
        found = {}
        for done, name in enumerate(names):
            self.progress("probing", done, len(names))
            found[name] = self.remembered(self.probe, _array(name))
        return found

    def all_loci(self) -> dict[str, Reading]:
        """Every locus, the option likelihoods, and the exits of tower and connector by attention on their regions."""
        names = self.measured.loci()
        if self.settings.probe == "ridge":
            self._read_beside([_array(name) for name in (*self.permuted_loci(), OPTIONS_LOCUS)])
        found = self.loci([*names, OPTIONS_LOCUS])
        last = max((name for name in names if name.startswith("vision.")), key=order).split(".")[1]
        exits = (f"vision.{last}.grid", "connector.0.grid")
        self._elsewhere(exits, self.attention, partial(self._keep, readout="attention"), readout="attention")
        for name in exits:
            self.progress("weighing regions", 0, 1)
            attended = self.remembered(self.attention, name, readout="attention")
            found[name.removesuffix("grid") + "attention"] = attended
        return found

    def _read_beside(self, arrays: Sequence[str]) -> None:
        """Leave readings in the store under true and permuted labels, since a factorisation costs more than either."""

        def split(array: str, given: tuple[Reading, Floats]) -> Reading:
            reading, permuted = given
            self.permuted.keep(permuted, features=self.measured.key, locus=array)
            return reading

        beside = self.permuted.beside
        self._elsewhere(arrays, beside, lambda array, given: self._keep(array, split(array, given)))
        for done, array in enumerate(arrays):
            self.progress("probing exits", done, len(arrays))
            self.remembered(lambda features, array=array: split(array, beside(features)), array)  # type: ignore[misc]


def _attend(regions: Features, labels: Ints, folds: Ints, seed: int) -> Reading:
    # Imports torch, which a run that finds every reading in the store does without.
    from medprobe.diagnostics.probes.attention import read_attention

    return read_attention(regions, labels, folds, seed)


def _array(locus: str) -> str:
    """The measurement's array of a locus."""
    return OPTIONS if locus == OPTIONS_LOCUS else locus
