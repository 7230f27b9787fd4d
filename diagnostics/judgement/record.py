"""All that the record of a diagnosis says of a chain and that follows from held-out predictions.

A diagnosis has them from probes and answer, `medprobe rejudge` from a report's folder; both are judged and recorded
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.judgement import by_class
from medprobe.diagnostics.judgement.curves import curves_of
from medprobe.diagnostics.judgement.exits import leading
from medprobe.diagnostics.judgement.health import Scores, judge_least
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.judgement.verdicts import Judgement, judge
from medprobe.diagnostics.records.chain import (
    CHAIN,
    FAILURE_MODES,
    Accuracy,
    Chain,
    Exit,
    FailureModes,
    HealthCurve,
    HealthLimit,
    Link,
    Stage,
)
from medprobe.diagnostics.scores import confusion


@dataclass(frozen=True)
class Predicted:
    """Held-out predictions of one model on one data set. Every array is [n_images].

    places: the class read at each place of the chain, -1 where the answer names none. loci: the class read at each
    locus, of which the curves are made. chosen: the loci that speak for each place, and in how many folds.
    resamples: of `labels` in `groups`, under `seed`.
    """

    labels: Ints
    groups: Ints
    classes: Sequence[str]
    places: Mapping[str, Ints]
    loci: Mapping[str, Ints]
    chosen: Mapping[str, Mapping[str, int]]
    resamples: Resamples
    seed: int


@dataclass(frozen=True)
class Asked:
    """What a chain is judged by.

    retention: the share of signal that each link is to hand on. least_health: the least Feature Health Score of each
    limited curve. null_p: the p-value of the reference under permuted labels.
    """

    retention: Mapping[Stage, float]
    least_health: Mapping[HealthCurve, float]
    null_p: float


def judge_chain(read: Predicted, asked: Asked, limits: Sequence[HealthLimit] = ()) -> Judgement:
    """The verdict on every link. `limits` are scores already judged."""
    return judge(read.labels, read.places, asked.retention, read.resamples, len(read.classes), asked.null_p, limits)


def judged_record(
    read: Predicted, asked: Asked, auroc: Callable[[str], float | None]
) -> tuple[Judgement, dict[str, Any]]:
    """The judgement, and the fields of `Diagnosis` that follow from it and from the predictions.

    auroc: that of a locus, which follows from log-probabilities.
    """
    labels = read.labels
    health = Scores(read.loci, labels, read.resamples)
    limits = judge_least(asked.least_health, health)
    judged = judge_chain(read, asked, limits)
    told = by_class.read(labels, read.groups, read.places, read.classes, read.seed)
    accuracy = {place: float(np.mean(read.places[place] == labels)) for place in CHAIN}
    links = {
        FAILURE_MODES[stage]: Link(**dict(link), locus=leading(read.chosen[stage]))
        for stage, link in judged.links.items()
    }
    return judged, {
        "n_images": len(labels),
        "n_groups": len(np.unique(read.groups)),
        "verdict": judged.verdict,
        "primary_failure_mode": judged.primary,
        "tied": judged.tied,
        "failure_modes": FailureModes(**links),
        "accuracy": Accuracy(chance=float(np.bincount(labels).max() / len(labels)), **accuracy),
        "signal": Chain(**judged.signal),
        "signal_ci": judged.signal_ci,
        "minimum_loss": judged.minimum_loss,
        "classes": list(read.classes),
        "confusion": {place: confusion(labels, read.places[place], len(read.classes)) for place in CHAIN},
        "sensitivity": told["sensitivity"],
        "specificity": told["specificity"],
        "curves": curves_of(read.loci, labels, read.resamples, auroc),
        "health": health.record(accuracy["answer"]),
        "health_limits": limits,
        "exits": {place: Exit(loci=dict(read.chosen[place]), below_chance=judged.signal[place] < 0) for place in CHAIN},
    }
