"""Feature Health Scores, and how they stand against limits of the thresholds (none by default)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medprobe.diagnostics import scores
from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.judgement.curves import along
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.records.chain import Health, HealthCurve, HealthLimit, VerdictValue


def curves_of_health(names: list[str]) -> dict[HealthCurve, list[str]]:
    """The loci of the curve behind each score. A connector of one layer has the curve from the tower's exit to its
    own.
    """
    vision = along(names, "vision", "mean")
    return {
        "vision": vision,
        "connector": [vision[-1], *along(names, "connector", "mean")],
        "llm_mean": along(names, "llm", "mean"),
        "llm_last": along(names, "llm", "last"),
    }


class Scores:
    """The four scores of one run, as read and in every resample of its curves.

    `loci`: predictions [n_images] by locus. The resamples are the judgement's, so layers, links and runs are paired.
    The score is no linear function of a curve, so resamples may lie beside the score read: by less than 0.001 on the
    600 images of the phantom.
    """

    def __init__(self, loci: Mapping[str, Ints], labels: Ints, resamples: Resamples) -> None:
        self._loci, self._labels, self._resamples = loci, labels, resamples
        self._curves = curves_of_health(list(loci))

    def read(self, curve: HealthCurve) -> float:
        accuracies = [float(np.mean(self._loci[name] == self._labels)) for name in self._curves[curve]]
        return scores.feature_health_score(accuracies, len(self._labels))

    def record(self, answer: float) -> Health:
        """All four, beside the answer's accuracy."""
        return Health(**{str(curve): self.read(curve) for curve in self._curves}, answer=answer)

    def resampled(self, curve: HealthCurve) -> Floats:
        """[n_resamples]"""
        accuracies = [self._resamples.accuracy(self._loci[name]) for name in self._curves[curve]]
        return scores.feature_health_scores(np.stack(accuracies, axis=1), len(self._labels))


def judge_least(limits: Mapping[HealthCurve, float], found: Scores) -> list[HealthLimit]:
    """Each score against the least asked for."""
    judged = []
    for curve, limit in limits.items():
        drawn, value = found.resampled(curve), found.read(curve)
        verdict = _verdict(drawn - limit)
        about = {"pass": "at least", "fail": "less than", "inconclusive": "these images cannot tell whether at least"}
        reason = f"Feature Health Score of {curve} {value:.2f}, {about[verdict]} {limit:g}"
        judged.append(
            HealthLimit(curve=curve, verdict=verdict, reason=reason, value=value, ci=interval(drawn), limit=limit)
        )
    return judged


def judge_drops(limits: Mapping[HealthCurve, float], before: Scores, after: Scores) -> list[HealthLimit]:
    """The drop of each score, paired resample by resample, against the largest accepted."""
    judged = []
    for curve, limit in limits.items():
        drawn, value = before.resampled(curve) - after.resampled(curve), before.read(curve) - after.read(curve)
        verdict = _verdict(limit - drawn)
        about = {"pass": "no more than", "fail": "more than", "inconclusive": "these images cannot tell whether over"}
        reason = f"Feature Health Score of {curve} dropped by {value:.2f}, {about[verdict]} {limit:g}"
        judged.append(
            HealthLimit(curve=curve, verdict=verdict, reason=reason, value=value, ci=interval(drawn), limit=limit)
        )
    return judged


def _verdict(margin: Floats) -> VerdictValue:
    """The rule of the links: fail where the margin's upper bound is below 0, pass where its lower bound is above."""
    if np.quantile(margin, 1 - ALPHA / 4) < 0:
        return "fail"
    return "pass" if np.quantile(margin, ALPHA) > 0 else "inconclusive"
