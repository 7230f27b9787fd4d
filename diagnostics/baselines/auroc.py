"""The change of the answer's AUROC since the baseline: a finer reading than labels, which advises beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medprobe.diagnostics.judgement import ranking
from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.records.regression import AurocChange
from medprobe.diagnostics.records.report import Predictions


def auroc_change(baseline: Predictions, current: Predictions, order: Sequence[int], seed: int) -> AurocChange:
    """From the option likelihoods of the same images; `order` is the row of the baseline for each image of this run.

    Each class against the rest, averaged. The interval is of the paired difference of placements (DeLong, DeLong and
    Clarke-Pearson 1988), over resamples of patient groups; 0 where every image is ranked as before.
    """
    labels, k = np.asarray(current.labels), len(current.classes)
    resamples = Resamples(labels, np.asarray(current.groups), k, seed)
    one_fold = np.zeros_like(labels)
    odds = [ranking.log_odds(np.asarray(run.options)) for run in (baseline, current)]
    odds[0] = odds[0][list(order)]
    means, drawn, moved = [], [], False
    for of in range(k):
        before, after = (ranking.auroc(labels == of, scores[:, of], one_fold) for scores in odds)
        change = after.value - before.value
        gain = after.values - before.values
        moved = moved or bool(gain.any())
        means.append((before.value, after.value))
        drawn.append(ranking.one_against_rest(resamples.gains(gain), labels, of) - change)
    was, is_ = np.mean(means, axis=0)
    return AurocChange(
        before=float(was),
        after=float(is_),
        change=float(is_ - was),
        ci=interval(np.clip(np.mean(drawn, axis=0), -1, 1)) if moved else (0.0, 0.0),
    )
