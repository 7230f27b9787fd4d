"""From the evidence of a diagnosis to its cause: modules swapped with a second checkpoint."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diagnostics import store
from diagnostics.causes.judgement import COALITIONS, NONE, Signals, guilty_layer, judge, only
from diagnostics.evidence import Evidence
from diagnostics.judging import Resamples, interval
from diagnostics.loader import Loader
from diagnostics.records import STAGES, Cause, Prefix, Stage
from diagnostics.settings import Settings
from fixtures.datasets.images import open_image
from fixtures.models.fingerprint import fingerprint
from fixtures.models.kinship import OtherArchitecture, require_kin
from fixtures.models.refusals import LoadError
from fixtures.models.registry import ModelSpec

if TYPE_CHECKING:
    from diagnostics.causes.pieces import Choice
    from fixtures.models.loading import LoadedModel

    Read = Callable[[Sequence[Choice]], "Ints"]

MOST_PREFIXES = 9
"""Points of the curve over prefixes of the named module's layers, both ends included."""

Ints = NDArray[np.int64]


class Unloadable(RuntimeError):
    """The second checkpoint cannot be loaded; the model's own diagnosis stands."""


def find_cause(evidence: Evidence) -> Cause | None:
    """The module whose weights make the difference to `--against`; None without one."""
    against = evidence.settings.against
    if against is None:
        return None
    rows = evidence.sample()
    labels, groups = evidence.labels[rows], evidence.groups[rows]
    reader = _Reader(evidence, against, rows)
    try:
        likeliest, depths = reader.hybrids()
    except OtherArchitecture as error:
        return Cause(against=against.name, reason=f"modules of another architecture cannot be swapped: {error}")
    except Unloadable as error:
        return Cause(against=against.name, reason=f"the second checkpoint cannot be loaded: {error}")
    resamples = Resamples(labels, groups, evidence.n_classes, evidence.settings.seed)
    signals = Signals.of(likeliest, labels, resamples, evidence.n_classes)
    found = judge(signals)
    prefixes: list[Prefix] = []
    layer = None
    if found.module is not None:
        layers, predictions = reader.prefixes(found.module, likeliest, depths)
        curve = Signals.of(predictions, labels, resamples, evidence.n_classes)
        prefixes = [
            Prefix(layers=k, signal=float(point), ci=interval(drawn))
            for k, point, drawn in zip(layers, curve.point, curve.drawn, strict=True)
        ]
        layer = guilty_layer(prefixes)
    return Cause(against=against.name, layer=layer, prefixes=prefixes, n_images=len(rows), **vars(found))


@dataclass(frozen=True)
class _Reader:
    """Likeliest options under hybrids, from the store where they are there."""

    evidence: Evidence
    against: ModelSpec
    rows: Ints

    def hybrids(self) -> tuple[Ints, Ints]:
        """[16, n_images] likeliest options in the order of COALITIONS, and the number of layers of each module."""

        def compute(depths: Choice, read: Read) -> dict[str, Ints]:
            return {"likeliest": read([_taken(members, depths) for members in COALITIONS]), "depths": np.array(depths)}

        found = self._remembered("hybrids", compute)
        return found["likeliest"], found["depths"]

    def prefixes(self, module: Stage, hybrids: Ints, depths: Ints) -> tuple[list[int], Ints]:
        """Numbers of layers from none to all, and the [n, n_images] likeliest options with so many of them swapped; the
        ends are among the hybrids.
        """
        place = STAGES.index(module)
        none, whole = (hybrids[COALITIONS.index(members)] for members in (NONE, only(module)))
        layers = sorted({round(k) for k in np.linspace(0, int(depths[place]), MOST_PREFIXES)})
        inner = [tuple(k if i == place else 0 for i in range(len(STAGES))) for k in layers[1:-1]]
        if not inner:
            return layers, np.stack([none, whole])
        found = self._remembered(f"prefixes of {module}", lambda _, read: {"likeliest": read(inner)})
        return layers, np.stack([none, *found["likeliest"], whole])

    def _remembered(self, what: str, compute: Callable[[Choice, Read], dict[str, Ints]]) -> dict[str, NDArray[Any]]:
        evidence = self.evidence
        if not self.against.local:
            self._second(Loader(self.against, self._settings).fetch)
        images = [evidence.measured.images[row] for row in self.rows]

        def load_and_compute() -> dict[str, Ints]:
            from diagnostics.causes.hybrids import Hybrids
            from diagnostics.causes.pieces import depths

            loaded, against = self._loaded

            def read(choices: Sequence[Choice]) -> Ints:
                pictures = [open_image(image) for image in images]
                parts = []
                with Hybrids(loaded, against, evidence.dataset.prompt, evidence.dataset.answers).ready() as hybrids:
                    for part in hybrids.likeliest(pictures, choices, evidence.loader.limit):
                        parts.append(part)
                        done = sum(part.shape[1] for part in parts)
                        evidence.progress("swapping modules", done, len(images))
                return np.concatenate(parts, axis=1)

            return compute(depths(loaded.anatomy), read)

        name = store.key(
            cause=what,
            features=evidence.measured.key,
            against=fingerprint(self.against, self._settings.adapter, evidence.settings.processor),
            rows=hashlib.sha256(" ".join(image.digest for image in images).encode()).hexdigest(),
        )
        return store.remembered(evidence.settings.store, name, load_and_compute)

    @property
    def _settings(self) -> Settings:
        """Those of the second checkpoint, which has its own adapter or none."""
        settings = self.evidence.settings
        return replace(settings, adapter=settings.against_adapter)

    @staticmethod
    def _second(load: Callable[[], Any]) -> Any:
        try:
            return load()
        except (LoadError, ValueError, OSError) as error:
            raise Unloadable(str(error)) from error

    @functools.cached_property
    def _loaded(self) -> tuple[LoadedModel, LoadedModel]:
        """Both models, the second in the first one's dtype. Raises OtherArchitecture and Unloadable."""
        loaded = self.evidence.loader.load()
        dtype = str(loaded.dtype).removeprefix("torch.")
        against = self._second(Loader(self.against, replace(self._settings, dtype=dtype)).load)
        require_kin(loaded, against)
        return loaded, against


def _taken(members: tuple[bool, ...], depths: Choice) -> Choice:
    return tuple(depth * member for depth, member in zip(depths, members, strict=True))
