"""The permutation null: what the whole probe procedure reads when the labels are given to other patients."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from medprobe.diagnostics import reference_presets
from medprobe.diagnostics.arrays import Floats
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.extraction.measurement import OPTIONS
from medprobe.diagnostics.probes.loci import OPTIONS_LOCUS, REFERENCE_LOCUS
from medprobe.diagnostics.records.controls import Null
from medprobe.diagnostics.references.reading import kmeans_regions
from medprobe.diagnostics.scores import TIED

LEVEL = 0.05


def p_value(permuted: Floats, observed: float) -> float:
    """(1 + #{permuted >= observed}) / (1 + n), which is never 0 (Phipson and Smyth 2010)."""
    # Equal signals of different labels differ by rounding; a constant reading must not be called above its null.
    return float((1 + (permuted >= observed - TIED).sum()) / (1 + len(permuted)))


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


def of_reference(evidence: Evidence) -> Null:
    """The null over the loci that speak for an exit, or over every locus for full controls, with the reference's region
    means where it is the default one: a network trained in every fold cannot be trained again for every permutation.
    """
    e, measured, permuted = evidence, evidence.measured, evidence.reader.permuted
    loci = [*evidence.reader.permuted_loci(), OPTIONS]
    read = {}
    for done, locus in enumerate(loci):
        e.progress("permuting labels", done, len(loci))
        name = OPTIONS_LOCUS if locus == OPTIONS else locus
        read[name] = permuted.read(partial(measured.array, locus), features=measured.key, locus=locus)
    if e.settings.reference == reference_presets.DEFAULT:
        regions = partial(kmeans_regions, measured.images, e.settings)
        read[REFERENCE_LOCUS] = permuted.read(
            lambda: regions().reshape(len(e.labels), -1), reference=reference_presets.DEFAULT
        )
    return summarise(read, e.signal(e.predictions["reference"]))
