"""Whether a run reads worse than its baseline, image by image, at the answer and at every probe exit.

What is paired. The answer: the class its text names, once an image. A probe exit: the held-out class read from the
exit's own readouts under each of several fold seeds, fold seed by fold seed; an image counts by the share of the fold
seeds that read it rightly, since a probe's own training varies with its folds. The patient group is the unit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diagnostics.baseline import BaselineError, Match, comparable
from diagnostics.health import Scores, judge_drops
from diagnostics.judging import ALPHA, Resamples, interval
from diagnostics.records import (
    STAGES,
    Change,
    ChangeValue,
    Compared,
    HealthCurve,
    HealthLimit,
    Predictions,
    Regression,
    Stage,
)

N_FLIPS = 9999
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def compare(baseline: Predictions, current: Predictions, minimum_effect: float, seed: int = 0) -> dict[Stage, Change]:
    """The change at the answer and at each probe exit, by stage, from predictions of the same images.

    change: of the signal, averaged over the fold seeds. ci: 95 percent, from resamples of groups; 0 where every image
    is read as before. p: two-sided sign-flip test whose unit is the group. p_adjusted: Benjamini-Hochberg over the
    places.

    Regressed where p_adjusted is below 0.05 and the loss exceeds `minimum_effect` (in signal) with its lower bound; not
    regressed where its upper bound stays below; improved where p_adjusted is below 0.05 and the whole interval is
    a rise. Another device, dtype or batch size alone may move predictions, so where the baseline was made under
    another the bounds of both must clear the minimum effect once more, else a loss is inconclusive and a rise is none.
    Raises BaselineError for predictions that cannot be paired.
    """
    from scipy.stats import false_discovery_control

    order = pairing(baseline, current)
    labels, groups = np.asarray(current.labels), np.asarray(current.groups)
    k = len(current.classes)
    slack = minimum_effect if made_otherwise(baseline, current) else 0.0
    resamples = Resamples(labels, groups, k, seed)
    changes, intervals, ps = [], [], []
    for stage in STAGES:
        gain = _right(current, stage) - _right(baseline, stage)[order]
        by_group = contributions(labels, groups, gain, k)
        changes.append(float(by_group.sum()))
        intervals.append(interval(resamples.change(gain)) if gain.any() else (0.0, 0.0))
        ps.append(sign_flip(by_group, seed))
    adjusted = [float(p) for p in false_discovery_control(ps)]
    return {
        stage: Change(change=change, ci=ci, p=p, p_adjusted=q, verdict=_verdict(change, ci, q, minimum_effect, slack))
        for stage, change, ci, p, q in zip(STAGES, changes, intervals, ps, adjusted, strict=True)
    }


def record(
    match: Match,
    current: Predictions,
    minimum_effect: float,
    largest_drop: Mapping[HealthCurve, float] | None = None,
    seed: int = 0,
) -> Regression:
    """The `regression` of a diagnosis. Raises BaselineError."""
    baseline = match.saved.predictions
    found = compare(baseline, current, minimum_effect, seed)
    drops = _drops(baseline, current, largest_drop or {}, seed)

    def those(verdict: ChangeValue) -> list[Stage]:
        return [stage for stage, change in found.items() if change.verdict == verdict]

    verdicts = [*(change.verdict for change in found.values()), *(DROPS[drop.verdict] for drop in drops)]
    otherwise = made_otherwise(baseline, current)
    return Regression(
        verdict=next((v for v in ("regressed", "inconclusive") if v in verdicts), "not_regressed"),
        reason=_reason(found, drops, minimum_effect, otherwise),
        places=those("regressed"),
        undecided=those("inconclusive"),
        improved=those("improved"),
        baseline=Compared(file=match.file, model=baseline.model, revision=match.saved.revision),
        minimum_effect=minimum_effect,
        made_otherwise=otherwise,
        fold_seeds=len(current.exits["llm"]),
        exits=found,
        health_drops=drops,
    )


DROPS: dict[str, ChangeValue] = {"fail": "regressed", "inconclusive": "inconclusive", "pass": "not_regressed"}


def made_otherwise(baseline: Predictions, current: Predictions) -> dict[str, tuple[str, str]]:
    """Device, dtype and batch size where they differ, the baseline's first."""
    names = sorted({*baseline.made, *current.made})
    pairs = {name: (baseline.made.get(name, "unknown"), current.made.get(name, "unknown")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def contributions(labels: Ints, groups: Ints, gain: Floats, n_classes: int) -> Floats:
    """What each group adds to the change of signal, [n_groups]; their sum is the change.

    gain: [n_images], the share of fold seeds that read an image rightly now minus that of the baseline.
    """
    share = 1 / np.bincount(labels, minlength=n_classes)[labels] / (n_classes - 1)
    return np.asarray(np.bincount(np.unique(groups, return_inverse=True)[1], weights=share * gain), dtype=np.float64)


def sign_flip(values: Floats, seed: int = 0, n_flips: int = N_FLIPS) -> float:
    """Two-sided p of the sum of `values` when the sign of each is a coin's."""
    values = values[values != 0]
    signs = np.random.default_rng(seed).integers(0, 2, (n_flips, len(values)), dtype=np.int8) * 2 - 1
    # A tie must count, whatever the order of the additions.
    reached = np.abs(signs @ values) >= abs(values.sum()) - 1e-12
    return float((1 + reached.sum()) / (1 + n_flips))


def pairing(baseline: Predictions, current: Predictions) -> list[int]:
    """The row of the baseline for each image of this run. Raises BaselineError."""
    comparable(baseline, current)
    rows = {image: row for row, image in enumerate(baseline.images)}
    shared = set(rows) & set(current.images)
    about = f"the baseline of {baseline.model} on {baseline.dataset}"
    if len(shared) != len(rows) or len(shared) != len(set(current.images)):
        raise BaselineError(
            f"{about} has other images: {len(baseline.images)} there, {len(current.images)} here, {len(shared)} in "
            "both; use the same --max-images, --seed and MEDPROBE_ID_KEY"
        )
    order = [rows[image] for image in current.images]
    if [baseline.labels[row] for row in order] != list(current.labels):
        raise BaselineError(f"{about} has other labels of the same images")
    for stage, seeds in current.exits.items():
        if len(baseline.exits[stage]) != len(seeds):
            raise BaselineError(
                f"{about} reads the {stage} exit under {len(baseline.exits[stage])} fold seeds, here under {len(seeds)}"
            )
    return order


def _right(predictions: Predictions, stage: Stage) -> Floats:
    """The share of fold seeds under which each image is read rightly, [n_images]."""
    read = predictions.exits[stage] if stage != "answer" else [predictions.places[stage]]
    return np.asarray(np.mean(np.asarray(read) == np.asarray(predictions.labels), axis=0))


def _verdict(change: float, ci: tuple[float, float], p: float, minimum_effect: float, slack: float) -> ChangeValue:
    low, high = ci
    if p < ALPHA and -high > minimum_effect:
        return "regressed" if -high > minimum_effect + slack else "inconclusive"
    if p < ALPHA and change > 0 and low > slack:
        return "improved"
    return "not_regressed" if -low < minimum_effect else "inconclusive"


def _drops(
    baseline: Predictions, current: Predictions, largest: Mapping[HealthCurve, float], seed: int
) -> list[HealthLimit]:
    """The drops of the Feature Health Scores that are limited."""
    if not largest:
        return []
    order = pairing(baseline, current)
    labels = np.asarray(current.labels)
    resamples = Resamples(labels, np.asarray(current.groups), len(current.classes), seed)
    before, after = (
        Scores({name: np.asarray(values)[rows] for name, values in run.loci.items()}, labels, resamples)
        for run, rows in ((baseline, order), (current, list(range(len(labels)))))
    )
    return judge_drops(largest, before, after)


def _reason(
    found: Mapping[Stage, Change],
    drops: list[HealthLimit],
    minimum_effect: float,
    otherwise: Mapping[str, tuple[str, str]],
) -> str:
    """What was found, in words; points of signal."""
    least = f"{100 * minimum_effect:g} points"
    kinds: dict[ChangeValue, str] = {
        "regressed": f"more than {least} are lost at",
        "inconclusive": f"it cannot be told whether more than {least} are lost at",
        "improved": "more is read at",
    }
    parts = []
    for verdict, said in kinds.items():
        where = [f"the {_name(s)} ({_points(c)})" for s, c in found.items() if c.verdict == verdict]
        parts += [f"{said} {' and '.join(where)}"] if where else []
    parts += [drop.reason for drop in drops if drop.verdict != "pass"]
    if all(change.verdict in ("not_regressed", "improved") for change in found.values()):
        parts.insert(0, f"no more than {least} are lost anywhere; the answer changed by {_points(found['answer'])}")
    if otherwise:
        differs = ", ".join(f"{name.replace('_', ' ')} {was}, here {is_}" for name, (was, is_) in otherwise.items())
        parts.append(
            f"the baseline was made otherwise ({differs}), so a regression must exceed {200 * minimum_effect:g} points"
        )
    return "; ".join(parts)


def _name(stage: Stage) -> str:
    return stage if stage == "answer" else f"{stage} exit"


def _points(change: Change) -> str:
    low, high = (100 * bound for bound in change.ci)
    return f"{100 * change.change:+.1f}, {low:+.1f} to {high:+.1f}, p {change.p_adjusted:.2g}"
