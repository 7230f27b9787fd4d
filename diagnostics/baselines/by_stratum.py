"""Whether a stratum lost more than it may since the baseline, image by image, at the answer.

Compared are the answer's signal and the sensitivity and specificity of each class, of the strata and classes that have
`LEAST_GROUPS` patient groups. All are one family: a loss is a regression where its p under "no more than the margin" is
below 0.05 after Holm 1979. It counts for the whole. A stratum that cannot be decided is told and does not count, since
a part has fewer patients than the whole that is judged beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.baselines.baseline import Match
from medprobe.diagnostics.baselines.regression import pairing
from medprobe.diagnostics.baselines.sentences import stratum_text
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.records.regression import Regression
from medprobe.diagnostics.records.report import Predictions
from medprobe.diagnostics.records.subgroups import StratumChange
from medprobe.diagnostics.subgroups.cells import LEAST_GROUPS
from medprobe.diagnostics.subgroups.reading import holm


@dataclass(frozen=True)
class _Moved:
    """One change: `gain` as read, and resampled, [n_resamples]."""

    fields: dict[str, Any]
    gain: float
    drawn: Floats


def with_strata(found: Regression, match: Match, current: Predictions, margin: float, seed: int = 0) -> Regression:
    """The comparison with what it finds in the strata of `current`; one that regressed makes the whole regressed."""
    baseline = match.saved.predictions
    if not current.strata:
        return found
    otherwise = bool(found.made_otherwise)
    changes = changes_by_stratum(baseline, current, pairing(baseline, current), margin, otherwise, seed)
    lost = stratum_text(changes)
    told = {"verdict": "regressed", "reason": f"{lost}; {found.reason}"} if lost else {}
    return found.model_copy(update={"strata": changes, **told})


def changes_by_stratum(
    baseline: Predictions, current: Predictions, order: Sequence[int], margin: float, otherwise: bool, seed: int = 0
) -> list[StratumChange]:
    """The changes of every stratum of `current`, whose image i is the baseline's `order[i]`.

    margin: the loss that is accepted; twice as much where the baseline was made `otherwise`.
    """
    labels, groups = np.asarray(current.labels), np.asarray(current.groups)
    before, after = np.asarray(baseline.places["answer"])[list(order)], np.asarray(current.places["answer"])
    moved: list[_Moved] = []
    for name, strata in current.strata.items():
        for code, value in enumerate(strata.values):
            rows = np.asarray(strata.codes) == code
            said = (before[rows], after[rows])
            for fields, gain, drawn in _of_stratum(labels[rows], groups[rows], said, current.classes, seed):
                moved.append(_Moved({"attribute": name, "value": value, **fields}, gain, drawn))
    asked = 2 * margin if otherwise else margin
    adjusted = holm([float((1 + (one.drawn >= -asked).sum()) / (1 + len(one.drawn))) for one in moved])
    return [
        StratumChange(
            **one.fields,
            change=one.gain,
            ci=interval(one.drawn) if one.drawn.any() else (0.0, 0.0),
            p_adjusted=p,
            margin=margin,
            verdict=_verdict(one.drawn, p, margin),
        )
        for one, p in zip(moved, adjusted, strict=True)
    ]


def _of_stratum(
    labels: Ints, groups: Ints, said: tuple[Ints, Ints], classes: Sequence[str], seed: int
) -> Iterator[tuple[dict[str, Any], float, Floats]]:
    """Fields, gain and resampled gains of each measure that enough patients tell of."""
    before, after = said
    k = len(classes)
    has = [len(np.unique(groups[labels == index])) >= LEAST_GROUPS for index in range(k)]
    if all(has):
        gain = (after == labels).astype(np.float64) - (before == labels)
        of_class = [float(gain[labels == index].mean()) for index in range(k)]
        drawn = Resamples(labels, groups, k, seed).gains(gain).sum(axis=-1) / (k - 1) if gain.any() else np.zeros(1)
        yield {"measure": "signal"}, sum(of_class) / (k - 1), drawn
    for index, name in enumerate(classes):
        is_class = (labels == index).astype(np.int64)
        if not has[index] or len(np.unique(groups[is_class == 0])) < LEAST_GROUPS:
            continue
        gain = ((after == index) == is_class).astype(np.float64) - ((before == index) == is_class)
        drawn = Resamples(is_class, groups, 2, seed).gains(gain) if gain.any() else np.zeros((1, 2))
        for column, measure in enumerate(("specificity", "sensitivity")):
            yield {"measure": measure, "of": name}, float(gain[is_class == column].mean()), drawn[:, column]


def _verdict(drawn: Floats, p: float, margin: float) -> Literal["regressed", "not_regressed", "inconclusive"]:
    if p < ALPHA:
        return "regressed"
    return "not_regressed" if np.quantile(drawn, 0.025) > -margin else "inconclusive"
