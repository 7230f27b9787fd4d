"""Whether a run reads worse than its baseline, image by image (rule 14).

Only the answer decides. A probe's own training varies with its folds, so a loss at a probe exit is evidence only when
averaged over several fold seeds; exits are read with one here, and are reported as information.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics.baseline import BaselineError, Match
from diagnostics.judging import ALPHA, Resamples, interval
from diagnostics.records import STAGES, Predictions
from diagnostics.scores import balanced_accuracy, signal

N_FLIPS = 9999
DECIDING = "answer"
Change = Literal["regressed", "not_regressed", "inconclusive", "improved"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """The change of signal at one place, this run minus the baseline, with its 95 percent interval."""

    change: float
    ci: tuple[float, float]
    p: float
    p_adjusted: float
    verdict: Change


def compare(baseline: Predictions, current: Predictions, minimum_effect: float, seed: int = 0) -> dict[str, Comparison]:
    """The change at each stage's exit, by stage, from predictions of the same images.

    p: two-sided sign-flip test whose unit is the patient group; p_adjusted: Benjamini-Hochberg over the stages.
    Regressed where p_adjusted is below 0.05 and the loss exceeds `minimum_effect` (in signal) with its lower bound; not
    regressed where its upper bound stays below; improved where p_adjusted is below 0.05 and the whole interval is
    a rise. Raises BaselineError for predictions that cannot be paired.
    """
    from scipy.stats import false_discovery_control

    order = _pairing(baseline, current)
    labels, groups = np.asarray(current.labels), np.asarray(current.groups)
    k = len(current.classes)
    resamples = Resamples(labels, groups, k, seed)
    changes, intervals, ps = [], [], []
    for stage in STAGES:
        before, after = np.asarray(baseline.places[stage])[order], np.asarray(current.places[stage])
        changes.append(_signal(labels, after, k) - _signal(labels, before, k))
        intervals.append(interval(resamples.signal(after) - resamples.signal(before)))
        ps.append(sign_flip(contributions(labels, groups, before, after, k), seed))
    adjusted = [float(p) for p in false_discovery_control(ps)]
    return {
        stage: Comparison(change, ci, p, q, _verdict(change, ci, q, minimum_effect))
        for stage, change, ci, p, q in zip(STAGES, changes, intervals, ps, adjusted, strict=True)
    }


def record(match: Match, current: Predictions, minimum_effect: float, seed: int = 0) -> dict[str, Any]:
    """The `regression` of a diagnosis. Raises BaselineError."""
    found = compare(match.saved.predictions, current, minimum_effect, seed)
    verdict = found[DECIDING].verdict
    return {
        "verdict": "not_regressed" if verdict == "improved" else verdict,
        "baseline": {
            "file": match.file,
            "model": match.saved.predictions.model,
            "revision": match.saved.revision,
        },
        "minimum_effect": minimum_effect,
        "exits": {
            stage: {
                "change": c.change,
                "ci": list(c.ci),
                "p": c.p,
                "p_adjusted": c.p_adjusted,
                "verdict": c.verdict,
            }
            for stage, c in found.items()
        },
    }


def contributions(labels: Ints, groups: Ints, before: Ints, after: Ints, n_classes: int) -> Floats:
    """What each group adds to the change of signal; their sum is the change, [n_groups]."""
    share = 1 / np.bincount(labels, minlength=n_classes)[labels] / (n_classes - 1)
    change = share * ((after == labels).astype(np.float64) - (before == labels))
    return np.asarray(np.bincount(np.unique(groups, return_inverse=True)[1], weights=change), dtype=np.float64)


def sign_flip(values: Floats, seed: int = 0, n_flips: int = N_FLIPS) -> float:
    """Two-sided p of the sum of `values` when the sign of each is a coin's."""
    values = values[values != 0]
    signs = np.random.default_rng(seed).integers(0, 2, (n_flips, len(values)), dtype=np.int8) * 2 - 1
    # A tie must count, whatever the order of the additions.
    reached = np.abs(signs @ values) >= abs(values.sum()) - 1e-12
    return float((1 + reached.sum()) / (1 + n_flips))


def _signal(labels: Ints, predictions: Ints, n_classes: int) -> float:
    return signal(balanced_accuracy(labels, predictions, n_classes), n_classes)


def _verdict(change: float, ci: tuple[float, float], p: float, minimum_effect: float) -> Change:
    low, high = ci
    if p < ALPHA and -high > minimum_effect:
        return "regressed"
    if p < ALPHA and change > 0 and low > 0:
        return "improved"
    return "not_regressed" if -low < minimum_effect else "inconclusive"


def _pairing(baseline: Predictions, current: Predictions) -> list[int]:
    """The row of the baseline for each image of this run."""
    for field, name in (
        ("data_fingerprint", "data"),
        ("prompt", "prompt"),
        ("probe", "probe"),
        ("classes", "classes"),
    ):
        was, is_ = getattr(baseline, field), getattr(current, field)
        if was != is_:
            raise BaselineError(
                f"the baseline of {baseline.model} on {baseline.dataset} has another {name}: {was!r}, here {is_!r}; "
                "compare runs of one data set, prompt and probe, or write the baseline anew with --save-baseline"
            )
    rows = {image: row for row, image in enumerate(baseline.images)}
    shared = set(rows) & set(current.images)
    if len(shared) != len(rows) or len(shared) != len(set(current.images)):
        raise BaselineError(
            f"the baseline of {baseline.model} on {baseline.dataset} has other images: {len(baseline.images)} there, "
            f"{len(current.images)} here, {len(shared)} in both; use the same --max-images, --seed and MEDPROBE_ID_KEY"
        )
    order = [rows[image] for image in current.images]
    if [baseline.labels[row] for row in order] != list(current.labels):
        raise BaselineError(
            f"the baseline of {baseline.model} on {baseline.dataset} has other labels of the same images"
        )
    return order
