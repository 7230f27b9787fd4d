"""One change of the answer over several data sets of a model, beside the single ones.

The pooled change is the mean of the data sets' changes; no patient is in two of them. Its interval comes from theirs
(Zou and Donner 2008): the distances of the single bounds from their estimates are added as squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from medprobe.diagnostics.records.regression import ChangeValue, Pooled
from medprobe.diagnostics.records.report import Diagnosis


def pooled(diagnoses: Sequence[Diagnosis]) -> list[Pooled]:
    """A record a model that was compared with its baseline on two data sets or more."""
    compared: dict[str, list[Diagnosis]] = {}
    for diagnosis in diagnoses:
        if diagnosis.regression is not None and "answer" in diagnosis.regression.exits:
            compared.setdefault(diagnosis.model, []).append(diagnosis)
    return [_of(model, found) for model, found in compared.items() if len(found) > 1]


def _of(model: str, diagnoses: Sequence[Diagnosis]) -> Pooled:
    found = [d.regression for d in diagnoses if d.regression is not None]
    answers, n = [regression.exits["answer"] for regression in found], len(found)
    asked = sum(r.minimum_effect if a.asked is None else a.asked for r, a in zip(found, answers, strict=True)) / n
    accepted = sum(regression.minimum_effect for regression in found) / n
    clears = sqrt(sum((a.clears or 0.0) ** 2 for a in answers)) / n
    change = sum(a.change for a in answers) / n
    ci = (
        change - sqrt(sum((a.change - a.ci[0]) ** 2 for a in answers)) / n,
        change + sqrt(sum((a.ci[1] - a.change) ** 2 for a in answers)) / n,
    )
    margin = max(asked, min(clears, accepted))
    twice = any(regression.made_otherwise for regression in found)
    return Pooled(
        model=model,
        datasets=[d.dataset for d in diagnoses],
        change=change,
        ci=ci,
        asked=asked,
        margin=margin,
        verdict=pooled_verdict(ci, asked * (2 if twice else 1), margin),
    )


def pooled_verdict(ci: tuple[float, float], asked: float, margin: float) -> ChangeValue:
    """As of a single criterion, from the interval alone: one test is made."""
    low, high = ci
    if -high > asked:
        return "regressed"
    if low > 0:
        return "improved"
    return "not_regressed" if -low < margin else "inconclusive"
