"""Verdicts from predictions: intervals by resampling patient groups, then the three-valued judgement of every link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.judgement.resamples import ALPHA, POWER_Z, Resamples, interval
from medprobe.diagnostics.records.chain import (
    CHAIN,
    FAILURE_MODES,
    STAGES,
    FailureMode,
    HealthCurve,
    HealthLimit,
    JudgedLink,
    Stage,
    VerdictValue,
    worst,
)
from medprobe.diagnostics.scores import signal_of

LIMITED: dict[HealthCurve, Stage] = {
    "vision": "vision",
    "connector": "connector",
    "llm_mean": "llm",
    "llm_last": "llm",
}
"""The link whose verdict a limited Feature Health Score joins."""


@dataclass(frozen=True)
class Judgement:
    """The whole chain. carries_labels: whether the reference reads the labels from these images."""

    links: dict[Stage, JudgedLink]
    carries_labels: bool
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
    point = {place: signal_of(labels, predictions[place], n_classes) for place in CHAIN}
    drawn = {place: resamples.signal(predictions[place], place) for place in CHAIN}
    readable = {place: float(np.quantile(drawn[place], ALPHA / 4)) > 0 for place in CHAIN}
    # A link fails at ALPHA / 4; the gate before it is no weaker, since a fault named on noise is the worst of errors.
    readable["reference"] = readable["reference"] and null_p < ALPHA / 4
    perfect = resamples.signal(labels, "before"), resamples.signal(labels, "after")

    def verdict_of(before: str, stage: Stage) -> tuple[VerdictValue, str]:
        if not readable["reference"]:
            return "inconclusive", _unreadable(point["reference"], null_p)
        tau = thresholds[stage]
        if not readable[before]:
            verdict: VerdictValue = "inconclusive"
            reason = f"nothing left to lose: the {before} holds no signal above chance"
        else:
            verdict, reason = _handed_on(drawn[stage] - tau * drawn[before], tau, before)
            # Whether these groups could show a link to pass that loses nothing of a perfect reading.
            if verdict == "inconclusive" and link_verdict(perfect[1] - tau * perfect[0]) != "pass":
                reason += (
                    f", since {resamples.fewest_groups} patient groups of a class could not show it even if nothing "
                    "were lost"
                )
        return _with_limits(verdict, reason, [e for e in limits if LIMITED[e.curve] == stage])

    links: dict[Stage, JudgedLink] = {}
    losses: dict[Stage, Floats] = {}
    for before, stage in zip(CHAIN, STAGES, strict=False):
        losses[stage] = drawn[before] - drawn[stage]
        verdict, reason = verdict_of(before, stage)
        links[stage] = JudgedLink(
            verdict=verdict,
            reason=reason,
            loss=point[before] - point[stage],
            ci=interval(losses[stage]),
            retention=max(point[stage], 0) / point[before] if readable[before] and point[before] > 0 else None,
            threshold=thresholds[stage],
        )
    failing = _failing(links, losses)
    verdicts = [link.verdict for link in links.values()]
    return Judgement(
        links=links,
        carries_labels=readable["reference"],
        verdict="fail" if failing else "pass" if set(verdicts) == {"pass"} else "inconclusive",
        primary=FAILURE_MODES[failing[0]] if len(failing) == 1 else None,
        tied=[FAILURE_MODES[stage] for stage in failing] if len(failing) > 1 else [],
        signal=point,
        signal_ci={place: interval(drawn[place]) for place in CHAIN},
        minimum_loss=min(float(POWER_Z * max(loss.std() for loss in losses.values())), 1.0),
    )


def _failing(links: Mapping[Stage, JudgedLink], losses: Mapping[Stage, Floats]) -> list[Stage]:
    """The link that fails with the largest loss, and those whose loss is not clearly smaller."""
    failing = sorted((stage for stage in STAGES if links[stage].verdict == "fail"), key=lambda s: -links[s].loss)
    return [s for s in failing if s == failing[0] or np.quantile(losses[failing[0]] - losses[s], 0.025) <= 0]


def _unreadable(reference: float, null_p: float) -> str:
    reached = f"permuted labels reach as well (p {null_p:.2g})" if null_p >= ALPHA / 4 else "may be chance"
    return (
        f"these images do not carry the labels: the reference reads {100 * reference:.1f} points of signal, "
        f"which {reached}"
    )


def _handed_on(margin: Floats, tau: float, before: str) -> tuple[VerdictValue, str]:
    """Whether resamples of s(after) - tau s(before) lie on one side of 0, and how it is said."""
    verdict = link_verdict(margin)
    about = {"fail": "less than", "pass": "at least", "inconclusive": "these images cannot tell whether"}
    return verdict, f"{about[verdict]} {tau:.0%} of the signal at the {before} is handed on"


def link_verdict(margin: Floats) -> VerdictValue:
    """Fail where the upper bound of resampled margins at ALPHA / 4 is below 0, pass where the lower one at ALPHA is
    above.
    """
    if np.quantile(margin, 1 - ALPHA / 4) < 0:
        return "fail"
    return "pass" if np.quantile(margin, ALPHA) > 0 else "inconclusive"


def _with_limits(verdict: VerdictValue, reason: str, limits: Sequence[HealthLimit]) -> tuple[VerdictValue, str]:
    """The worst verdict of a link and its limited scores, with the reasons of those that give it."""
    combined = worst([verdict, *(limit.verdict for limit in limits)]) or verdict
    reasons = [reason] if verdict == combined else []
    return combined, "; ".join([*reasons, *(limit.reason for limit in limits if limit.verdict == combined)])
