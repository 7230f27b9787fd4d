"""How well the attributes themselves can be read at every probe exit, by the ridge probe, whole groups in folds."""

from __future__ import annotations

import hashlib

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.judgement import exits
from medprobe.diagnostics.judgement.exits import Candidate
from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.probes import folds
from medprobe.diagnostics.probes.ridge import PROBES, read_ridge
from medprobe.diagnostics.records.chain import Share, Stage
from medprobe.diagnostics.records.subgroups import Attributes, Strata
from medprobe.diagnostics.scores import signal_of
from medprobe.diagnostics.subgroups.cells import LEAST_GROUPS


def with_probes(found: Attributes, evidence: Evidence) -> Attributes:
    """The record with the probes of each attribute."""
    each = [one.model_copy(update={"probes": _read(evidence, evidence.strata[one.name])}) for one in found.each]
    return found.model_copy(update={"each": each})


def _read(evidence: Evidence, strata: Strata) -> dict[Stage, Share]:
    """Signal of the attribute by exit, from the exit's own readouts, the better one chosen inside every fold; empty
    where fewer than two strata have enough patients.
    """
    codes = np.asarray(strata.codes)
    rows = np.flatnonzero(np.isin(codes, _large(codes, evidence.groups)))
    labels = np.unique(codes[rows], return_inverse=True)[1].astype(np.int64)
    n_strata = int(labels.max(initial=-1)) + 1
    if n_strata < 2:
        return {}
    groups, settings = evidence.groups[rows], evidence.settings
    fold = folds.assign(labels, groups, settings.n_folds, settings.seed)
    resamples = Resamples(labels, groups, n_strata, settings.seed)
    found: dict[Stage, Share] = {}
    for stage, names in exits.own_loci(evidence.measured.loci()).items():
        evidence.progress("probing attributes", 0, 1)
        read = exits.choose([_candidate(evidence, name, rows, labels, groups, fold) for name in names], fold)
        drawn = resamples.signal(read.predictions, stage)
        found[stage] = Share(value=signal_of(labels, read.predictions, n_strata), ci=interval(drawn))
    return found


def _large(codes: Ints, groups: Ints) -> list[int]:
    return [
        int(code) for code in np.unique(codes) if code >= 0 and len(np.unique(groups[codes == code])) >= LEAST_GROUPS
    ]


def _candidate(evidence: Evidence, locus: str, rows: Ints, labels: Ints, groups: Ints, fold: Ints) -> Candidate:
    def compute() -> dict[str, Floats]:
        reading = read_ridge(evidence.measured.array(locus)[rows], labels, groups, fold)
        return {"predictions": reading.predictions.astype(np.float64), "inner_accuracy": reading.inner_accuracy}

    described = hashlib.sha256(np.concatenate([rows, labels, groups, fold]).tobytes()).hexdigest()
    key = store.key(attribute=described, features=evidence.measured.key, locus=locus, probes=PROBES)
    kept = store.remembered(evidence.settings.store, key, compute)
    return Candidate(locus, kept["predictions"].astype(np.int64), kept["inner_accuracy"])
