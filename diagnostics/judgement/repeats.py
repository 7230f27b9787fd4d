"""The probe exits read under several assignments of folds, since a probe's own training varies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics.extraction.measurement import Measurement, Progress
from medprobe.diagnostics.judgement import exits
from medprobe.diagnostics.judgement.exits import Candidate
from medprobe.diagnostics.probes import folds
from medprobe.diagnostics.probes.reader import Reader
from medprobe.diagnostics.records.chain import Stage
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import Dataset


def exits_by_fold_seed(
    measured: Measurement, dataset: Dataset, settings: Settings, progress: Progress
) -> dict[Stage, list[NDArray[np.int64]]]:
    """Held-out predictions [n_images] at each probe exit, one array a fold seed.

    An exit is read from its own readouts alone (vision and connector: mean and grid; llm: last), the better one chosen
    inside every fold. Unlike the chain it never speaks through a later locus: a change that is found at a place must
    be a change of that place. The first fold seed is the diagnosis's own, whose readings the store remembers.
    """
    loci = exits.own_loci(measured.loci())
    found: dict[Stage, list[NDArray[np.int64]]] = {stage: [] for stage in loci}
    for seed in range(settings.seed, settings.seed + settings.fold_seeds):
        fold = folds.assign(measured.labels, measured.groups, settings.n_folds, seed)
        reader = Reader(measured, dataset, settings, fold, seed, progress)
        readings = reader.loci(name for names in loci.values() for name in names)
        for stage, names in loci.items():
            read = [Candidate(name, readings[name].predictions, readings[name].inner_accuracy) for name in names]
            found[stage].append(exits.choose(read, fold).predictions)
    return found
