"""Whether a run reads worse than its baseline, image by image, at the answer and at every probe exit, and whether any
class is recognised or excluded worse.

What is paired. The answer: the class its text names, once an image; of each class also its sensitivity and its
specificity, since the signal does not change where one class's is bought with another's. A probe exit: the held-out
class read from the exit's own readouts under each of several fold seeds, fold seed by fold seed; an image counts by the
share of the fold seeds that read it rightly, since a probe's own training varies with its folds. The patient group is
the unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.baselines.baseline import BaselineError, Match, comparable
from medprobe.diagnostics.baselines.sentences import reason
from medprobe.diagnostics.judgement.by_class import OneClass
from medprobe.diagnostics.judgement.health import Scores, judge_drops
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.records.chain import STAGES, HealthCurve, HealthLimit, Measure, Stage
from medprobe.diagnostics.records.regression import Change, ChangeValue, ClassChange, Compared, Regression
from medprobe.diagnostics.records.report import Predictions
from medprobe.diagnostics.thresholds import Margins

N_FLIPS = 9999


@dataclass(frozen=True)
class Changes:
    """What a run reads otherwise than its baseline: signal by place, sensitivity and specificity by class."""

    exits: dict[Stage, Change]
    sensitivity: dict[str, ClassChange]
    specificity: dict[str, ClassChange]

    def all(self) -> list[Change]:
        """Every test of the family."""
        return [*self.exits.values(), *self.sensitivity.values(), *self.specificity.values()]


def compare(baseline: Predictions, current: Predictions, margins: Margins, seed: int = 0) -> Changes:
    """The change at the answer and at each probe exit, and of each class's sensitivity and specificity at the answer,
    from predictions of the same images.

    change: of the signal, averaged over the fold seeds, or of a share of images. ci: 95 percent, from resamples of
    groups; 0 where every image is read as before. p: two-sided sign-flip test whose unit is the group. p_adjusted:
    Benjamini and Hochberg 1995 over places and classes as one family: where nothing changed, one of them is called
    changed in at most 5 percent of comparisons.

    Regressed where p_adjusted is below 0.05 and the loss exceeds its margin with its lower bound; not regressed where
    its upper bound stays below; improved where p_adjusted is below 0.05 and the whole interval is a rise. Another
    device, dtype or batch size alone may move predictions, so where the baseline was made under another the bounds
    must clear the margin once more, else a loss is inconclusive and a rise is none.
    Raises BaselineError for predictions that cannot be paired.
    """
    from scipy.stats import false_discovery_control

    order = pairing(baseline, current)
    labels, groups = np.asarray(current.labels), np.asarray(current.groups)
    k = len(current.classes)
    resamples = Resamples(labels, groups, k, seed)
    found: list[tuple[float, tuple[float, float], Floats]] = []
    for stage in STAGES:
        gain = _right(current, stage) - _right(baseline, stage)[order]
        by_group = contributions(labels, groups, gain, k)
        ci = interval(resamples.change(gain)) if gain.any() else (0.0, 0.0)
        found.append((float(by_group.sum()), ci, by_group))
    said = [np.asarray(baseline.places["answer"])[order], np.asarray(current.places["answer"])]
    moved = [
        (name, change)
        for index, name in enumerate(current.classes)
        for change in OneClass(labels, groups, index, seed).changes(*said)
    ]
    found += [(float(change.by_group.sum()), change.ci, change.by_group) for _, change in moved]
    ps = [sign_flip(by_group, seed) for _, _, by_group in found]
    adjusted = [float(p) for p in false_discovery_control(ps)]
    otherwise = bool(made_otherwise(baseline, current))

    def judged(index: int, margin: float) -> dict[str, Any]:
        change, ci, _ = found[index]
        verdict = _verdict(change, ci, adjusted[index], margin, margin if otherwise else 0.0)
        return {"change": change, "ci": ci, "p": ps[index], "p_adjusted": adjusted[index], "verdict": verdict}

    exits = {stage: Change(**judged(index, margins.minimum_effect)) for index, stage in enumerate(STAGES)}
    tables: dict[Measure, dict[str, ClassChange]] = {"sensitivity": {}, "specificity": {}}
    for index, (name, change) in enumerate(moved, start=len(STAGES)):
        margin = margins.of(change.measure, name)
        tables[change.measure][name] = ClassChange(
            **judged(index, margin), before=change.before, after=change.after, margin=margin
        )
    return Changes(exits, tables["sensitivity"], tables["specificity"])


def record(
    match: Match,
    current: Predictions,
    margins: Margins,
    largest_drop: Mapping[HealthCurve, float] | None = None,
    seed: int = 0,
) -> Regression:
    """The `regression` of a diagnosis. Raises BaselineError."""
    baseline = match.saved.predictions
    found = compare(baseline, current, margins, seed)
    drops = _drops(baseline, current, largest_drop or {}, seed)

    def those(verdict: ChangeValue) -> list[Stage]:
        return [stage for stage, change in found.exits.items() if change.verdict == verdict]

    verdicts = [*(change.verdict for change in found.all()), *(DROPS[drop.verdict] for drop in drops)]
    otherwise = made_otherwise(baseline, current)
    return Regression(
        verdict=next((v for v in ("regressed", "inconclusive") if v in verdicts), "not_regressed"),
        reason=reason(found.exits, found.sensitivity, found.specificity, drops, margins.minimum_effect, otherwise),
        places=those("regressed"),
        undecided=those("inconclusive"),
        improved=those("improved"),
        baseline=Compared(file=match.file, model=baseline.model, revision=match.saved.revision),
        minimum_effect=margins.minimum_effect,
        made_otherwise=otherwise,
        fold_seeds=len(current.exits["llm"]),
        exits=found.exits,
        sensitivity=found.sensitivity,
        specificity=found.specificity,
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
