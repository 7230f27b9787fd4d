"""The control task of Hewitt and Liang (2019, "Designing and interpreting probes with control tasks").

Every patient group is given a random label and the folds part its images, so that a probe can do well only by knowing
the patient again. A signal that is not far above this one may be read off who the patient is.
"""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.probes.loci import exit_loci, order
from medprobe.diagnostics.probes.ridge import read
from medprobe.diagnostics.records.controls import ControlTask, Selectivity
from medprobe.diagnostics.scores import signal_of

LEAST_SHARED = 0.2


def task(labels: Ints, groups: Ints, n_folds: int, seed: int) -> tuple[Ints, Ints]:
    """Control labels and folds, [n_images] each: labels trade places between groups, folds take single images."""
    rng = np.random.default_rng(seed)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    n_classes = len(np.unique(labels[first]))
    while True:
        drawn = rng.permutation(labels[first])[group]
        folds = rng.permutation(len(labels)) % n_folds
        if all(len(np.unique(drawn[folds != f])) == n_classes for f in range(n_folds)):
            return drawn, folds


def run(evidence: Evidence) -> ControlTask:
    """Selectivity at every locus of an exit, or why the task does not apply."""
    e = evidence
    _, group, sizes = np.unique(e.groups, return_inverse=True, return_counts=True)
    shared = float(np.mean(sizes[group] > 1))
    if shared < LEAST_SHARED:
        reason = f"only {shared:.0%} of the images share a group with another, so there is no patient to know again"
        return ControlTask(shared=shared, reason=reason, loci={})
    drawn, folds = task(e.labels, e.groups, int(e.folds.max()) + 1, e.settings.seed)
    n_classes = int(drawn.max()) + 1
    found: dict[str, Selectivity] = {}
    names = sorted(exit_loci(e.measured.loci()), key=order)
    for locus in names:
        e.progress("control task", len(found), len(names))

        def compute(locus: str = locus) -> dict[str, Ints]:
            images = np.arange(len(drawn))
            return {
                "predictions": read(
                    e.settings.probe, e.measured.array(locus), drawn, images, folds, e.settings.seed
                ).predictions
            }

        key = store.key(
            control_task=locus, features=e.measured.key,
            **e.reader.key,
        )  # fmt: skip
        predictions = store.remembered(e.settings.store, key, compute)["predictions"]
        real = e.signal(e.readings[locus].predictions)
        control = signal_of(drawn, predictions, n_classes)
        found[locus] = Selectivity(real=real, control=control, selectivity=real - control)
    return ControlTask(shared=shared, reason=None, loci=found)
