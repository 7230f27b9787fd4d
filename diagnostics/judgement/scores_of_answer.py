"""What the scores of a diagnosis are worth: those of the answer, and the held-out scores of the exits before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics.arrays import Bools, Floats, Ints
from medprobe.diagnostics.judgement import confidence, kappa, operating_point, ranking
from medprobe.diagnostics.judgement.by_class import OneClass
from medprobe.diagnostics.judgement.ranking import Area, NoPairs
from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.records.scores import (
    AnswerScores,
    AtPrevalence,
    Auroc,
    Bin,
    Measured,
    OperatingPoint,
    PredictiveValues,
    Probabilities,
)
from medprobe.fixtures.datasets import manifest

NOT_ORDINAL = Measured(reason="the manifest does not say ordinal = true")


@dataclass(frozen=True)
class Scored:
    """Scores of one model on one data set, a row an image.

    said: the class that the text names, -1 for none, [n_images]. options: log-likelihoods of the options, [n_images,
    n_classes]; calibrated: their log-probabilities under the offset. exits: held-out log-probabilities at the places of
    the chain before the answer. resamples: of `labels` in `groups`, under `seed`.
    """

    labels: Ints
    groups: Ints
    folds: Ints
    classes: Sequence[str]
    said: Ints
    options: Floats
    calibrated: Floats
    exits: Mapping[str, Floats]
    resamples: Resamples
    seed: int


@dataclass(frozen=True)
class Wanted:
    """What the manifest asks for, by class."""

    operating_point: manifest.OperatingPoint | None
    prevalence: Mapping[str, float]
    ordinal: bool


def scores_of_answer(read: Scored, wanted: Wanted) -> AnswerScores:
    """The record of the scores."""
    odds, one_fold = ranking.log_odds(read.options), np.zeros_like(read.folds)
    named = np.eye(len(read.classes) + 1)[read.said][:, :-1]
    ranked = {place: _ranked(read, place, ranking.log_odds(found), read.folds) for place, found in read.exits.items()}
    ranked |= {"answer": _ranked(read, "answer", odds, one_fold), "said": _ranked(read, "said", named, one_fold)}
    points = _operating_points(read, odds, wanted.operating_point)
    by_class, macro, plain = _said(read)
    return AnswerScores(
        auroc=ranked,
        roc={name: ranking.roc(is_, odds[:, k]).tolist() for k, name, is_ in _classes(read)},
        average_precision={
            name: _measured_area(read, k, ranking.average_precision(is_, odds[:, k]), "answer")
            for k, name, is_ in _classes(read)
        },
        probabilities=_probabilities(read, read.options),
        probabilities_after_offset=_probabilities(read, read.calibrated),
        operating_point={name: _operating_point(read, point) for name, point in points.items()},
        predictive_values={
            name: _at_prevalence(read, k, wanted.prevalence[name], points.get(name))
            for k, name, _ in _classes(read)
            if name in wanted.prevalence
        },
        f1=by_class,
        macro_f1=macro,
        kappa=plain,
        quadratic_kappa=_quadratic_kappa(read) if wanted.ordinal else NOT_ORDINAL,
    )


def measured(value: float, resampled: Floats, undefined: str = "") -> Measured:
    """A value and the interval of its resamples; where either cannot be computed (NaN), `undefined` says why."""
    if np.isnan(value):
        return Measured(reason=undefined)
    if np.isnan(resampled).any():
        missing = f"in {np.isnan(resampled).sum():,} of {len(resampled):,} resamples"
        return Measured(value=value, reason=f"{missing} {undefined}")
    return Measured(value=value, ci=interval(resampled))


def _classes(read: Scored) -> list[tuple[int, str, Bools]]:
    return [(k, name, read.labels == k) for k, name in enumerate(read.classes)]


def _ranked(read: Scored, place: str, scores: Floats, folds: Ints) -> Auroc:
    """AUROC of scores [n_images, n_classes], each class against the rest."""
    try:
        areas = [ranking.auroc(is_, scores[:, k], folds) for k, _, is_ in _classes(read)]
    except NoPairs as none:
        empty = Measured(reason=str(none))
        return Auroc(macro=empty, classes=dict.fromkeys(read.classes, empty))
    drawn = [area.resampled(read.labels, k, read.resamples, place) for k, area in enumerate(areas)]
    return Auroc(
        macro=measured(float(np.mean([area.value for area in areas])), np.mean(drawn, axis=0)),
        classes={
            name: measured(area.value, of) for name, area, of in zip(read.classes, areas, drawn, strict=True)
        },
    )  # fmt: skip


def _measured_area(read: Scored, of: int, area: Area, place: str) -> Measured:
    return measured(area.value, area.resampled(read.labels, of, read.resamples, place))


def _probabilities(read: Scored, log_likelihoods: Floats) -> Probabilities:
    p = confidence.probabilities(log_likelihoods)
    errors, shares = confidence.squared_errors(read.labels, p), np.bincount(read.labels) / len(read.labels)
    wrong = confidence.most_squared(len(read.classes))
    brier = np.clip(read.resamples.means(errors, "answer", right=0.0, wrong=wrong) @ shares, 0, wrong)
    bins, right = confidence.bins(p), p.argmax(axis=1) == read.labels
    return Probabilities(
        brier=measured(float(errors.mean()), brier),
        ece=Measured(value=confidence.ece(read.labels, p), ci=confidence.ece_interval(read.labels, p, read.resamples)),
        reliability=[
            Bin(confidence=float(p[at].max(axis=1).mean()), right=float(right[at].mean()), n_images=int(at.sum()))
            for at in (bins == b for b in range(confidence.N_BINS))
            if at.any()
        ],
    )


@dataclass(frozen=True)
class _Point:
    """Where a class, `of`, is read against the rest; reached: whether an image reaches the threshold, [n_images]."""

    of: int
    asked: dict[str, object]
    thresholds: Floats
    reached: Bools


def _operating_points(read: Scored, odds: Floats, wanted: manifest.OperatingPoint | None) -> dict[str, _Point]:
    found: dict[str, _Point] = {}
    for k, name, _ in _classes(read):
        if wanted is not None and name in wanted.sensitivity:
            at = wanted.sensitivity[name]
            thresholds = operating_point.held_out_thresholds(odds[:, k], read.labels, k, read.folds, at)
            asked: dict[str, object] = {"asked": "sensitivity", "at": at}
        elif wanted is not None and name in wanted.threshold:
            at = wanted.threshold[name]
            thresholds = np.full(int(read.folds.max()) + 1, _logit(at))
            asked = {"asked": "threshold", "at": at}
        else:
            continue
        found[name] = _Point(k, asked, thresholds, odds[:, k] >= thresholds[read.folds])
    return found


def _logit(p: float) -> float:
    return float(-np.inf if p == 0 else np.inf if p == 1 else np.log(p / (1 - p)))


def _probability(odds: Floats) -> list[float]:
    return [float(p) for p in np.exp(-np.logaddexp(0, -odds))]


def _as_read(point: _Point) -> Ints:
    """Predictions that name the class of a point, or none."""
    return np.where(point.reached, point.of, -1)


def _operating_point(read: Scored, point: _Point) -> OperatingPoint:
    shares = OneClass(read.labels, read.groups, point.of, read.seed).shares(_as_read(point), "operating_point")
    return OperatingPoint.model_validate(
        point.asked
        | {"thresholds": _probability(point.thresholds)}
        | {name: Measured(value=share.value, ci=share.ci) for name, share in shares.items()}
    )


def _at_prevalence(read: Scored, of: int, prevalence: float, point: _Point | None) -> AtPrevalence:
    one = OneClass(read.labels, read.groups, of, read.seed)

    def worth(predictions: Ints, place: str) -> PredictiveValues:
        specificity, sensitivity = one.resampled(predictions, place).T
        at = np.array(one.value("sensitivity", predictions)), np.array(one.value("specificity", predictions))
        ppv, npv = (
            measured(float(value(prevalence, *at)), value(prevalence, sensitivity, specificity), why)
            for value, why in (
                (operating_point.ppv, "no image is read as the class"),
                (operating_point.npv, "every image is read as the class"),
            )
        )
        return PredictiveValues(ppv=ppv, npv=npv)

    return AtPrevalence(
        prevalence=prevalence,
        answer=worth(read.said, "answer"),
        operating_point=None if point is None else worth(_as_read(point), "operating_point"),
    )


def _said(read: Scored) -> tuple[dict[str, Measured], Measured, Measured]:
    """Of the class that the text names: F1 by class, its mean, and Cohen's kappa."""
    from sklearn.metrics import cohen_kappa_score, f1_score

    k = len(read.classes)
    drawn = kappa.tables(read.labels, read.said, k, read.resamples, "answer")
    values, f1s = f1_score(read.labels, read.said, labels=np.arange(k), average=None), kappa.f1(drawn)
    by_class = {name: measured(float(values[i]), f1s[:, i]) for i, name in enumerate(read.classes)}
    macro = measured(float(values.mean()), f1s.mean(axis=1))
    return by_class, macro, measured(float(cohen_kappa_score(read.labels, read.said)), kappa.kappa(drawn))


def _quadratic_kappa(read: Scored) -> Measured:
    from sklearn.metrics import cohen_kappa_score

    k = len(read.classes)
    placed = kappa.farthest(read.labels, read.said, k)
    drawn = kappa.kappa(kappa.tables(read.labels, placed, k, read.resamples, "answer"), "quadratic")
    return measured(float(cohen_kappa_score(read.labels, placed, weights="quadratic")), drawn)
