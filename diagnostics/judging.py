"""Verdicts from predictions: intervals by resampling patient groups, then the three-valued judgement of every link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnostics.records import (
    CHAIN,
    FAILURE_MODES,
    STAGES,
    FailureMode,
    HealthCurve,
    HealthLimit,
    Stage,
    VerdictValue,
    worst,
)
from diagnostics.scores import signal

N_RESAMPLES = 5000
ALPHA = 0.05
POWER_Z = 2.80
"""z(0.975) + z(0.80): a true difference of this many standard errors is seen in 80 of 100 repetitions."""

LIMITED: dict[HealthCurve, Stage] = {
    "vision": "vision",
    "connector": "connector",
    "llm_mean": "llm",
    "llm_last": "llm",
}
"""The link whose verdict a limited Feature Health Score joins."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Resamples:
    """Bootstrap resamples of patient groups, drawn within classes so that every resample has every class.

    A group whose images carry several labels is drawn with the groups of its most frequent one. The same resamples
    serve every reading of a data set, which pairs them.
    """

    def __init__(self, labels: Ints, groups: Ints, n_classes: int, seed: int, n_resamples: int = N_RESAMPLES) -> None:
        self._labels, self._n_classes = labels, n_classes
        _, self._group = np.unique(groups, return_inverse=True)
        counts = self._by_group(np.ones(len(labels)))
        stratum = counts.argmax(axis=1)
        rng = np.random.default_rng(seed)
        self._weights = np.zeros((n_resamples, len(counts)))
        for k in np.unique(stratum):
            members = np.flatnonzero(stratum == k)
            self._weights[:, members] = rng.multinomial(
                len(members), np.full(len(members), 1 / len(members)), n_resamples
            )
        self._totals = self._weights @ counts

    def _by_group(self, values: Floats) -> Floats:
        """Sums of an [n_images] array by group and class, [n_groups, n_classes]."""
        cell = self._group * self._n_classes + self._labels
        n_cells = (int(self._group.max()) + 1) * self._n_classes
        return np.bincount(cell, weights=values, minlength=n_cells).reshape(-1, self._n_classes).astype(np.float64)

    def balanced_accuracy(self, predictions: Ints) -> Floats:
        """[n_resamples] balanced accuracies of [n_images] predictions."""
        hits = self._weights @ self._by_group((predictions == self._labels).astype(np.float64))
        return np.asarray((hits / self._totals).mean(axis=1))

    def accuracy(self, predictions: Ints) -> Floats:
        """[n_resamples] raw accuracies of [n_images] predictions."""
        hits = self._weights @ self._by_group((predictions == self._labels).astype(np.float64))
        return np.asarray(hits.sum(axis=1) / self._totals.sum(axis=1))

    def signal(self, predictions: Ints) -> Floats:
        """[n_resamples] signals of [n_images] predictions."""
        k = self._n_classes
        return (self.balanced_accuracy(predictions) - 1 / k) / (1 - 1 / k)

    def change(self, gain: Floats) -> Floats:
        """[n_resamples] changes of signal of [n_images] gains: the share read rightly after minus the share before."""
        gained = self._weights @ self._by_group(gain)
        return np.asarray((gained / self._totals).mean(axis=1) / (1 - 1 / self._n_classes))


def interval(samples: Floats) -> tuple[float, float]:
    """The central 95 percent of resampled values."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class LinkJudgement:
    """One link: loss and retention of signal between a place and the next, with the verdict and its reason."""

    stage: Stage
    verdict: VerdictValue
    reason: str
    loss: float
    ci: tuple[float, float]
    retention: float | None
    threshold: float


@dataclass(frozen=True)
class Judgement:
    links: dict[Stage, LinkJudgement]
    verdict: VerdictValue
    primary: FailureMode | None
    tied: list[FailureMode]
    signal: dict[str, float]
    signal_ci: dict[str, tuple[float, float]]
    minimum_loss: float


def judge(
    labels: Ints,
    predictions: Mapping[str, Ints],
    thresholds: Mapping[Stage, float],
    resamples: Resamples,
    n_classes: int,
    null_p: float,
    limits: Sequence[HealthLimit] = (),
) -> Judgement:
    """Judge the chain from the predictions at its five places.

    A link fails when the upper bound of s(after) - tau s(before) at ALPHA/4 is below 0 (one of four links), passes when
    its lower bound at ALPHA is above 0, and is inconclusive else, or where s(before) is not above chance. Every link is
    inconclusive where the reference is not above chance, or not above the permutation null at ALPHA/4, which gave it
    the p-value `null_p`. `limits` are scores already judged: the worst of them and of the link's own verdict is the
    link's.
    """
    from diagnostics.scores import balanced_accuracy

    point = {place: signal(balanced_accuracy(labels, predictions[place], n_classes), n_classes) for place in CHAIN}
    drawn = {place: resamples.signal(predictions[place]) for place in CHAIN}
    readable = {place: float(np.quantile(drawn[place], ALPHA / 4)) > 0 for place in CHAIN}
    # A link fails at ALPHA / 4; the gate before it is no weaker, since a fault named on noise is the worst of errors.
    readable["reference"] = readable["reference"] and null_p < ALPHA / 4
    links: dict[Stage, LinkJudgement] = {}
    losses: dict[Stage, Floats] = {}
    verdict: VerdictValue
    for before, stage in zip(CHAIN, STAGES, strict=False):
        tau = thresholds[stage]
        losses[stage] = drawn[before] - drawn[stage]
        margin = drawn[stage] - tau * drawn[before]
        if not readable["reference"]:
            verdict, reason = "inconclusive", _unreadable(point["reference"], null_p)
        elif not readable[before]:
            verdict, reason = "inconclusive", f"nothing left to lose: the {before} holds no signal above chance"
        else:
            verdict, reason = _handed_on(margin, tau, before)
        if readable["reference"]:
            verdict, reason = _with_limits(verdict, reason, [e for e in limits if LIMITED[e.curve] == stage])
        retention = max(point[stage], 0) / point[before] if readable[before] and point[before] > 0 else None
        links[stage] = LinkJudgement(
            stage, verdict, reason, point[before] - point[stage], interval(losses[stage]), retention, tau
        )
    failing = sorted((s for s in STAGES if links[s].verdict == "fail"), key=lambda s: -links[s].loss)
    tied = [
        s for s in failing[1:] if np.quantile(losses[failing[0]] - losses[s], 0.025) <= 0
    ]  # the largest is not clearly larger
    verdicts = [link.verdict for link in links.values()]
    return Judgement(
        links=links,
        verdict="fail" if failing else "pass" if set(verdicts) == {"pass"} else "inconclusive",
        primary=FAILURE_MODES[failing[0]] if failing and not tied else None,
        tied=[FAILURE_MODES[s] for s in (failing[0], *tied)] if tied else [],
        signal=point,
        signal_ci={place: interval(drawn[place]) for place in CHAIN},
        minimum_loss=float(POWER_Z * max(loss.std() for loss in losses.values())),
    )


def _unreadable(reference: float, null_p: float) -> str:
    reached = f"permuted labels reach as well (p {null_p:.2g})" if null_p >= ALPHA / 4 else "may be chance"
    return (
        f"these images do not carry the labels: the reference reads {100 * reference:.1f} points of signal, "
        f"which {reached}"
    )


def _handed_on(margin: Floats, tau: float, before: str) -> tuple[VerdictValue, str]:
    """Whether resamples of s(after) - tau s(before) lie on one side of 0, and how it is said."""
    if np.quantile(margin, 1 - ALPHA / 4) < 0:
        return "fail", f"less than {tau:.0%} of the signal at the {before} is handed on"
    if np.quantile(margin, ALPHA) > 0:
        return "pass", f"at least {tau:.0%} of the signal at the {before} is handed on"
    return "inconclusive", f"these images cannot tell whether {tau:.0%} of the signal at the {before} is handed on"


def _with_limits(verdict: VerdictValue, reason: str, limits: Sequence[HealthLimit]) -> tuple[VerdictValue, str]:
    """The worst verdict of a link and its limited scores, with the reasons of those that give it."""
    combined = worst([verdict, *(limit.verdict for limit in limits)]) or verdict
    reasons = [reason] if verdict == combined else []
    return combined, "; ".join([*reasons, *(limit.reason for limit in limits if limit.verdict == combined)])
