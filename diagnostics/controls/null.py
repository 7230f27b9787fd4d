"""The permutation null: what the whole probe procedure reads when the labels are given to other patients.

The label is permuted where it is exchangeable, between whole groups: shuffled image by image, a label that is constant
within a patient would lose its tie to what the patient's images share, and features of pure noise would look readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from diagnostics import store
from diagnostics.evidence import Evidence
from diagnostics.measurement import OPTIONS
from diagnostics.probing import read_label_sets
from diagnostics.readings import OPTIONS_LOCUS, REFERENCE_LOCUS, order
from diagnostics.records import Null
from diagnostics.references import presets
from diagnostics.references.reading import kmeans_regions

N_PERMUTATIONS = {"quick": 100, "full": 1000}
LEVEL = 0.05

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def permuted_labels(labels: Ints, groups: Ints, folds: Ints, n_permutations: int, seed: int) -> Ints:
    """[n_permutations, n_images] labels under which features that know only the group tell nothing.

    Groups of one label trade their labels, whatever their sizes, so that every class keeps its number of such groups;
    trading between equal sizes only would leave a group of a size of its own with its true label. A group of several
    labels keeps them, shuffled among its own images, since no other group could take its pattern. A permutation is
    drawn again where a training part would lack a class, which the folds of the true labels never do.
    """
    rng = np.random.default_rng(seed)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    of_group = labels[first]
    mixed = np.bincount(group, weights=labels != of_group[group]) > 0
    inside = np.flatnonzero(mixed[group])
    inside = inside[np.argsort(group[inside], kind="stable")]
    training = [folds != f for f in range(int(folds.max()) + 1)]
    n_classes = len(np.unique(labels))
    sets: list[Ints] = []
    while len(sets) < n_permutations:
        traded = of_group.copy()
        traded[~mixed] = rng.permutation(of_group[~mixed])
        drawn = traded[group]
        drawn[inside] = labels[inside[np.lexsort((rng.random(len(inside)), group[inside]))]]
        if all(len(np.unique(drawn[part])) == n_classes for part in training):
            sets.append(drawn)
    return np.stack(sets)


def scores_of(label_sets: Ints, predictions: Ints, n_classes: int) -> tuple[Floats, Floats]:
    """Signal and raw accuracy of every row of [n_sets, n_images] predictions for its own labels, [n_sets] each."""
    hits = label_sets == predictions
    recalls = [(hits & (label_sets == k)).sum(axis=1) / (label_sets == k).sum(axis=1) for k in range(n_classes)]
    return (np.mean(recalls, axis=0) - 1 / n_classes) / (1 - 1 / n_classes), hits.mean(axis=1)


def p_value(permuted: Floats, observed: float) -> float:
    """(1 + #{permuted >= observed}) / (1 + n), which is never 0 (Phipson and Smyth 2010)."""
    # Equal signals of different labels differ by rounding; a constant reading must not be called above its null.
    return float((1 + (permuted >= observed - 1e-9).sum()) / (1 + len(permuted)))


def summarise(read: Mapping[str, tuple[Floats, Floats]], reference: float) -> Null:
    """The null of the [n_permutations] signals and raw accuracies read at each locus, for a reference's signal."""
    largest = np.max([signal for signal, _ in read.values()], axis=0)
    accuracies = np.stack([accuracy for _, accuracy in read.values()])
    low = np.quantile(accuracies.min(axis=0), LEVEL)
    high = np.quantile(accuracies.max(axis=0), 1 - LEVEL)
    return Null(
        probe="ridge",
        n_permutations=len(largest),
        loci=list(read),
        band=float(np.quantile(largest, 1 - LEVEL)),
        accuracy=(float(low), float(high)),
        p=p_value(largest, reference),
    )


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


class Permuted:
    """The permuted labels of a data set and what is read under them, remembered in the store."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._n = N_PERMUTATIONS[evidence.settings.controls]
        self._sets: Ints | None = None

    def read(self, features: Callable[[], NDArray[np.float32]], /, **content: str) -> tuple[Floats, Floats]:
        """Signals and raw accuracies, [n_permutations] each, of [n_images, width] features known as `content`."""
        evidence = self._evidence
        found = store.remembered(
            evidence.settings.store,
            store.key(null=self._n, **content, **evidence.reader.key),
            lambda: self._compute(features()),
        )
        return found["signal"], found["accuracy"]

    def _compute(self, features: NDArray[np.float32]) -> dict[str, Floats]:
        e = self._evidence
        if self._sets is None:
            self._sets = permuted_labels(e.labels, e.groups, e.folds, self._n, e.settings.seed)
        log_probabilities, _ = read_label_sets(features, self._sets, e.groups, e.folds, e.n_classes, np.float32)
        signal, accuracy = scores_of(self._sets, log_probabilities.argmax(axis=2), e.n_classes)
        return {"signal": signal, "accuracy": accuracy}


def of_reference(evidence: Evidence, permuted: Permuted) -> Null:
    """The null over the loci that speak for an exit, or over every locus for full controls, with the reference's region
    means where it is the default one: a network trained in every fold cannot be trained again for every permutation.
    """
    e, measured = evidence, evidence.measured
    loci = measured.loci() if e.settings.controls == "full" else exit_loci(measured.loci())
    read = {}
    for done, locus in enumerate([*sorted(loci, key=order), OPTIONS]):
        e.progress("permuting labels", done, len(loci) + 1)
        name = OPTIONS_LOCUS if locus == OPTIONS else locus
        read[name] = permuted.read(partial(measured.array, locus), features=measured.key, locus=locus)
    if e.settings.reference == presets.DEFAULT:
        regions = partial(kmeans_regions, measured.images, e.settings)
        read[REFERENCE_LOCUS] = permuted.read(lambda: regions().reshape(len(e.labels), -1), reference=presets.DEFAULT)
    return summarise(read, e.signal(e.predictions["reference"]))
