"""Whether a run reads worse than its baseline, image by image: at the answer, in any class, and at every probe exit.

What is paired. The answer: the class its text names, once an image; of each class also its sensitivity and its
specificity, since the signal does not change where one class's is bought with another's. These decide. A probe exit:
the held-out class read from the exit's own readouts under each of several fold seeds, fold seed by fold seed; an image
counts by the share of the fold seeds that read it rightly, since a probe's own training varies with its folds. Probe
exits advise, unless the thresholds ask for more. The patient group is the unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medprobe.diagnostics.arrays import Floats
from medprobe.diagnostics.baselines.auroc import auroc_change
from medprobe.diagnostics.baselines.baseline import BaselineError, Match, comparable
from medprobe.diagnostics.baselines.criteria import MEASURES, Accepted, Criteria, judged
from medprobe.diagnostics.baselines.paired import Tested
from medprobe.diagnostics.baselines.sentences import reason
from medprobe.diagnostics.judgement.health import Scores, judge_drops
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.records.chain import STAGES, HealthCurve, HealthLimit, Measure, Stage
from medprobe.diagnostics.records.regression import Change, ChangeValue, ClassChange, Compared, Regression
from medprobe.diagnostics.records.report import Predictions
from medprobe.diagnostics.thresholds import Margins


@dataclass(frozen=True)
class Changes:
    """What a run reads otherwise than its baseline: signal by place, sensitivity and specificity by class.

    deciding: the places that decide. differing: the share of the
    answers that name another class.
    """

    exits: dict[Stage, Change]
    sensitivity: dict[str, ClassChange]
    specificity: dict[str, ClassChange]
    accepted: Accepted
    """Of the signal."""
    deciding: tuple[Stage, ...]
    differing: float

    def decisive(self) -> list[Change]:
        """The tests whose error is controlled together."""
        places = [change for stage, change in self.exits.items() if stage in self.deciding]
        return [*places, *self.sensitivity.values(), *self.specificity.values()]


def compare(baseline: Predictions, current: Predictions, margins: Margins) -> Changes:
    """The change at the answer and at each probe exit, and of each class's sensitivity and specificity at the answer,
    from predictions of the same images.

    change: of the signal, averaged over the fold seeds, or of a share of images. ci: each end is a 95 percent bound, by
    patient groups (`paired.py`); 0 where every image is read as before. p, p_adjusted, verdict: `criteria.judged`, of
    what decides as one family and of the places that advise as another.

    Another device, dtype or batch size alone may move predictions, so where the baseline was made under another the
    loss must exceed twice the margin, and a rise the margin.
    Raises BaselineError for predictions that cannot be paired.
    """
    order = pairing(baseline, current)
    labels, groups = np.asarray(current.labels), np.asarray(current.groups)
    said = [np.asarray(baseline.places["answer"])[order], np.asarray(current.places["answer"])]
    differing = float(np.mean(said[0] != said[1]))
    was, now = (row == labels for row in said)
    # What changes for the better and for the worse alike; the rest of the changes is the loss or gain itself.
    both_ways = 2 * min(float(np.mean(was & ~now)), float(np.mean(now & ~was)))
    criteria = Criteria(labels, groups, current.classes)
    signal, of_class = criteria.accepted(margins, both_ways)
    family: dict[Stage | tuple[Measure, int], tuple[Tested, Accepted]] = {}
    advice: dict[Stage | tuple[Measure, int], tuple[Tested, Accepted]] = {}
    for stage in STAGES:
        gain = _right(current, stage) - _right(baseline, stage)[order]
        (family if stage in margins.places else advice)[stage] = criteria.signal.tested(gain, not gain.any()), signal
    sides = {}
    for (measure, index), accepted in of_class.items():
        criterion = criteria.of(measure, index)
        before, after = ((row == index) == (labels == index) for row in said)
        gain = after.astype(np.float64) - before
        family[measure, index] = criterion.tested(gain, differing == 0), accepted
        sides[measure, index] = criterion.value(before), criterion.value(after)
    otherwise = bool(made_otherwise(baseline, current))
    found = _fields(family, otherwise) | _fields(advice, otherwise)
    exits = {stage: Change(**found[stage]) for stage in STAGES}
    tables: dict[Measure, dict[str, ClassChange]] = {measure: {} for measure in MEASURES}
    for (measure, index), accepted in of_class.items():
        share_before, share_after = sides[measure, index]
        tables[measure][current.classes[index]] = ClassChange(
            **found[measure, index], before=share_before, after=share_after, margin=accepted.margin
        )
    return Changes(exits, tables["sensitivity"], tables["specificity"], signal, margins.places, differing)


def _fields(family: Mapping[Any, tuple[Tested, Accepted]], twice: bool) -> dict[Any, dict[str, Any]]:
    """What a record says of each criterion of a family."""
    if not family:
        return {}
    return {
        key: {
            "change": float(tested.change),
            "ci": (float(tested.low), float(tested.high)),
            "p": float(tested.p),
            "p_adjusted": float(p),
            "verdict": str(verdict),
            "asked": accepted.asked,
            "clears": accepted.clears,
            "needed": accepted.needed,
        }
        for (key, (tested, accepted)), (p, verdict) in zip(
            family.items(), judged([*family.values()], twice), strict=True
        )
    }


def record(
    match: Match,
    current: Predictions,
    margins: Margins,
    largest_drop: Mapping[HealthCurve, float] | None = None,
    seed: int = 0,
) -> Regression:
    """The `regression` of a diagnosis. Raises BaselineError."""
    baseline = match.saved.predictions
    found = compare(baseline, current, margins)
    drops = _drops(baseline, current, largest_drop or {}, seed)

    def those(verdict: ChangeValue) -> list[Stage]:
        return [stage for stage, change in found.exits.items() if change.verdict == verdict]

    verdicts = [*(change.verdict for change in found.decisive()), *(DROPS[drop.verdict] for drop in drops)]
    otherwise = made_otherwise(baseline, current)
    return Regression(
        verdict=next((v for v in ("regressed", "inconclusive") if v in verdicts), "not_regressed"),
        reason=reason(
            found.exits, found.sensitivity, found.specificity, drops, found.accepted, otherwise, found.deciding
        ),
        places=those("regressed"),
        undecided=those("inconclusive"),
        improved=those("improved"),
        deciding=list(found.deciding),
        changed_answers=margins.changed_answers,
        differing=found.differing,
        baseline=Compared(file=match.file, model=baseline.model, revision=match.saved.revision),
        minimum_effect=found.accepted.margin,
        made_otherwise=otherwise,
        fold_seeds=len(current.exits["llm"]),
        exits=found.exits,
        sensitivity=found.sensitivity,
        specificity=found.specificity,
        auroc=auroc_change(baseline, current, pairing(baseline, current), seed),
        health_drops=drops,
    )


DROPS: dict[str, ChangeValue] = {"fail": "regressed", "inconclusive": "inconclusive", "pass": "not_regressed"}


def made_otherwise(baseline: Predictions, current: Predictions) -> dict[str, tuple[str, str]]:
    """Device, dtype and batch size where they differ, the baseline's first."""
    names = sorted({*baseline.made, *current.made})
    pairs = {name: (baseline.made.get(name, "unknown"), current.made.get(name, "unknown")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


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
