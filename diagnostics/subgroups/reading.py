"""What is read in every stratum, and which strata lie below the rest.

A stratum is judged where each class is in at least `LEAST_GROUPS` patient groups, in the stratum and outside it. With
fewer it is counted. Judged are the answer's signal and the sensitivity of each class against all other images whose
stratum is known, and what the answer's signal loses where attribute and class are made independent (a shortcut).

All of a data set is one family. A difference fails where its p under "no more than the margin" is below 0.05 after
Holm 1979: in at most 5 percent of data sets one fails whose true difference is within the margin. It passes where its
upper bound at 0.05 is below the margin, and is inconclusive else. The whole passes where every difference does, so no
correction is needed there (Berger 1982).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.judgement.by_class import OneClass
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.records.chain import Share, VerdictValue, worst
from medprobe.diagnostics.records.subgroups import Attribute, Attributes, Gap, Shortcut, Strata, Stratum, Worst
from medprobe.diagnostics.scores import signal_of
from medprobe.diagnostics.subgroups.cells import LEAST_GROUPS, Cells, Standardised
from medprobe.diagnostics.subgroups.sentences import gap_text, shortcut_text

ROUNDED = 5


@dataclass(frozen=True)
class Read:
    """Labels, groups and predictions by place, [n_images] each, as `judgement.record.Predicted` has them."""

    labels: Ints
    groups: Ints
    classes: Sequence[str]
    places: Mapping[str, Ints]
    seed: int


@dataclass(frozen=True, eq=False)
class Difference:
    """One member of the family: how far something lies below what it is compared with, as read and in resamples,
    [n_resamples]. `fields` are those of its record.
    """

    fields: dict[str, Any]
    below: float
    drawn: Floats
    margin: float

    @property
    def p(self) -> float:
        return float((1 + (self.drawn <= self.margin).sum()) / (1 + len(self.drawn)))

    def judged(self, p_adjusted: float) -> dict[str, Any]:
        """The fields of `Judged`, and its own."""
        verdict: VerdictValue = "inconclusive"
        if p_adjusted < ALPHA:
            verdict = "fail"
        elif np.quantile(self.drawn, 1 - ALPHA) < self.margin:
            verdict = "pass"
        return {
            **self.fields,
            "points": self.below,
            "ci": interval(self.drawn),
            "p_adjusted": p_adjusted,
            "verdict": verdict,
        }


@dataclass(frozen=True)
class Compared:
    """One attribute: its images, the predictions of these, and by code of the strata that have enough patients what
    is compared. `shortcut` is null where fewer than two strata hold every class.
    """

    cells: Cells
    places: dict[str, Ints]
    gaps: dict[int, list[Difference]]
    shortcut: Difference | None

    def all(self) -> list[Difference]:
        return [
            *(one for found in self.gaps.values() for one in found),
            *([] if self.shortcut is None else [self.shortcut]),
        ]


def read_strata(read: Read, strata: Mapping[str, Strata], margin: float) -> Attributes | None:
    """The record of all attributes, without their probes; None where there is none."""
    if not strata:
        return None
    compared = {name: compare(read, found, margin) for name, found in strata.items()}
    judged = judge(compared.values())
    each = []
    for name, one in compared.items():
        rows = [
            Stratum(
                value=strata[name].values[code],
                **_told(one.cells, code, one.places, read),
                gaps=[Gap(**judged[gap]) for gap in gaps],
            )
            for code, gaps in one.gaps.items()
        ]
        shortcut = None if one.shortcut is None else Shortcut(**judged[one.shortcut])
        each.append(Attribute(name=name, strata=rows, shortcut=shortcut))
    return _concluded(each, margin)


def compare(read: Read, strata: Strata, margin: float) -> Compared:
    """What one attribute adds to the family."""
    codes = np.asarray(strata.codes)
    known = codes >= 0
    places = {place: values[known] for place, values in read.places.items()}
    cells = Cells(read.labels[known], read.groups[known], codes[known], len(read.classes), read.seed)
    gaps = {
        code: _differences(cells, code, places["answer"], read.classes, margin)
        for code in range(len(strata.values))
        if cells.patients(cells.codes == code) >= LEAST_GROUPS
    }
    standard = cells.standardised(places) if len(gaps) > 1 else None
    return Compared(cells, places, gaps, None if standard is None else _shortcut(standard, margin))


def judge(compared: Iterable[Compared]) -> dict[Difference, dict[str, Any]]:
    """The fields of every difference's record, all of a data set being one family."""
    family = [difference for one in compared for difference in one.all()]
    adjusted = holm([difference.p for difference in family])
    return {difference: difference.judged(p) for difference, p in zip(family, adjusted, strict=True)}


def _told(cells: Cells, code: int, places: Mapping[str, Ints], read: Read) -> dict[str, Any]:
    """What is read in a stratum, of the classes that are in enough patient groups there."""
    inside = cells.codes == code
    labels, groups = cells.labels[inside], cells.groups[inside]
    enough = [len(np.unique(groups[labels == k])) >= LEAST_GROUPS for k in range(len(read.classes))]
    others = [len(np.unique(groups[labels != k])) >= LEAST_GROUPS for k in range(len(read.classes))]
    signal = {}
    if all(enough):
        resamples = Resamples(labels, groups, len(read.classes), read.seed)
        for place, predictions in places.items():
            own = predictions[inside]
            signal[place] = Share(
                value=signal_of(labels, own, len(read.classes)), ci=interval(resamples.signal(own, place))
            )
    shares = {
        name: OneClass(labels, groups, k, read.seed).shares(places["answer"][inside], "answer")
        for k, name in enumerate(read.classes)
        if enough[k] and others[k]
    }
    return {
        "n_groups": rounded(cells.patients(inside)),
        "n_images": rounded(int(inside.sum())),
        "signal": signal,
        "sensitivity": {name: found["sensitivity"] for name, found in shares.items()},
        "specificity": {name: found["specificity"] for name, found in shares.items()},
    }


def _differences(cells: Cells, stratum: int, answers: Ints, classes: Sequence[str], margin: float) -> list[Difference]:
    """Signal and sensitivities of the answer in a stratum against the rest; none where a class is in too few groups."""
    side = (cells.codes == stratum).astype(np.int64)
    both = Cells(cells.labels, cells.groups, side, cells.n_classes, cells.seed)
    if both.n_groups.shape[0] < 2 or (both.n_groups < LEAST_GROUPS).any():
        return []
    here, rest, below = cells.gaps(stratum, answers)
    k = len(classes)
    found = [
        Difference(
            {"measure": "signal", "here": _signal(here), "rest": _signal(rest)},
            float((rest - here).sum() / (k - 1)),
            below.sum(axis=1) / (k - 1),
            margin,
        )
    ]
    for index, name in enumerate(classes):
        fields = {"measure": "sensitivity", "of": name, "here": float(here[index]), "rest": float(rest[index])}
        found.append(Difference(fields, float(rest[index] - here[index]), below[:, index], margin))
    return found


def _signal(recalls: Floats) -> float:
    k = len(recalls)
    return float((recalls.mean() - 1 / k) / (1 - 1 / k))


def _shortcut(standard: Standardised, margin: float) -> Difference:
    pooled, alike, _, lost = standard.places["answer"]
    within = {place: Share(value=one[1], ci=interval(one[2])) for place, one in standard.places.items()}
    return Difference({"pooled": pooled, "within": within}, pooled - alike, lost, margin)


def _concluded(each: list[Attribute], margin: float) -> Attributes:
    gaps = [Worst(attribute=a.name, value=s.value, gap=gap) for a in each for s in a.strata for gap in s.gaps]
    shortcuts = [(a.name, a.shortcut) for a in each if a.shortcut is not None]
    verdict = worst([*(one.gap.verdict for one in gaps), *(found.verdict for _, found in shortcuts)])
    failing = [one for one in gaps if one.gap.verdict == "fail"]
    lowest = max(failing or gaps, key=lambda one: one.gap.points, default=None)
    told = [shortcut_text(name, found) for name, found in shortcuts if found.verdict == "fail"]
    if verdict == "fail":
        more = f", and {len(failing) - 1} more" if len(failing) > 1 else ""
        reason = "; ".join([*told, *(f"{gap_text(one)}{more}" for one in [lowest] if one and failing)])
    elif lowest is None:
        verdict = "inconclusive"
        reason = f"no stratum has {LEAST_GROUPS} patients of each class, so none is judged"
    elif verdict == "pass":
        reason = f"no stratum lies more than {100 * margin:g} points below the rest; {gap_text(lowest)}"
    else:
        n_open = sum(one.gap.verdict == "inconclusive" for one in gaps)
        open_ = [name for name, found in shortcuts if found.verdict == "inconclusive"]
        about = [f"{n_open} of {len(gaps)} differences"] if n_open else []
        about += [f"whether the answer follows {' or '.join(open_)}"] if open_ else []
        reason = f"these images cannot decide {' and '.join(about)} at {100 * margin:g} points; {gap_text(lowest)}"
    return Attributes(
        verdict=verdict or "inconclusive",
        reason=reason,
        margin=margin,
        least_groups=LEAST_GROUPS,
        worst=lowest,
        each=each,
    )


def holm(ps: Sequence[float]) -> list[float]:
    """P-values adjusted for the family-wise error: Holm 1979."""
    values = np.asarray(ps, dtype=np.float64)
    order = np.argsort(values)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return [float(p) for p in adjusted]


def rounded(count: int) -> int:
    """To the nearest 5, as counts of patients are published."""
    return int(ROUNDED * round(count / ROUNDED))
