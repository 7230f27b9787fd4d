"""What reaches the tower, and what the model answers under other inputs: for the page and the advice."""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.judgement.headline import settings_text
from medprobe.diagnostics.outside_text import briefs, one_line
from medprobe.diagnostics.records.cause import Alternative, Counterfactuals, Key, Pixels
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.sections.sentences import JUDGED_ON
from medprobe.plugins.report.text import interval, joined, number, plural, points, shown, signed

MEAN, DEVIATION = (-1.3, 1.3), (0.07, 3.0)
"""Bounds of what pixel values usually have when they reach the tower: twice what the published data sets, the phantom's
images and noise have under the published normalisations (docs/guides/counterfactuals.md)."""


@dataclass(frozen=True)
class AlternativeRow:
    name: str
    settings: str
    n_images: str
    signal: str
    change: str
    ci: str
    result: str
    named: bool


@dataclass(frozen=True)
class KeyRow:
    path: str
    ours: str
    theirs: str
    signal: str
    change: str
    ci: str
    reason: str


def far_off(pixels: Pixels) -> bool:
    """Whether pixels reach the tower with a mean or a deviation that published normalisations do not make."""
    return not (MEAN[0] <= pixels.mean <= MEAN[1] and DEVIATION[0] <= pixels.deviation <= DEVIATION[1])


def reach_sentence(pixels: Pixels) -> str:
    """Mean and deviation of the pixel values that reach the tower."""
    far = ", far from 0 and 1" if far_off(pixels) else ""
    return (
        f"On {plural(pixels.n_images, 'image')} the pixel values that reach the tower have mean {number(pixels.mean)} "
        f"and deviation {number(pixels.deviation)}{far}."
    )


def none_explains(counterfactuals: Counterfactuals) -> str:
    """That no other input gives the answer back, and the one that comes nearest where it adds anything."""
    tried = [other for other in counterfactuals.tried if other.n_images]
    if not tried:
        why = f": {one_line(counterfactuals.reason)}" if counterfactuals.reason else ""
        return f"The model was asked under no other input{why}."
    if counterfactuals.rivals:
        rivals = joined([one_line(name) for name in counterfactuals.rivals])
        return (
            f"The answer comes back alike with {rivals}, which have no setting in common. So either may only make up "
            "for a fault elsewhere, and none is named."
        )
    tested = [other for other in tried if other.change is not None]
    best = max(tested, key=lambda other: other.change.change if other.change else 0.0, default=None)
    near = ""
    if best is not None and best.change is not None and best.change.ci[0] > 0:
        near = f"; the nearest, {one_line(best.name)}, adds {points(best.change.change)} ({interval(best.change.ci)})"
    return (
        f"Of {plural(len(tried), 'other input')} that the model was asked under none gives back half of the "
        f"{points(counterfactuals.short)} points that are missing{near}."
    )


def sentence(counterfactuals: Counterfactuals) -> str:
    """What asking again came to, in one plain sentence."""
    named = next((other for other in counterfactuals.tried if other.name == counterfactuals.named), None)
    if named is None:
        return none_explains(counterfactuals)
    return (
        f"With {settings_text(named.changes) or one_line(named.name)} the model answers {shown(named.signal)} instead "
        f"of {shown(counterfactuals.asked)} points: the input makes the difference."
    )


def note(counterfactuals: Counterfactuals) -> str:
    """How the other inputs were asked, and what their signals are compared with."""
    return (
        f"All are asked on a few images, the best on the {plural(counterfactuals.n_images, 'image')} that test. Signal "
        f"in points there, judged by {JUDGED_ON[counterfactuals.judged_on]}: {shown(counterfactuals.asked)} as it is, "
        f"{points(counterfactuals.short)} short of what was readable before. Intervals count all that were tested."
    )


def alternative_rows(diagnosis: Diagnosis) -> list[AlternativeRow]:
    found = diagnosis.counterfactuals
    return [] if found is None else [_row(other, other.name == found.named) for other in found.tried]


def _row(other: Alternative, named: bool) -> AlternativeRow:
    change = other.change
    untested = f"{'not tested' if other.n_images else 'not asked'}: {one_line(other.reason or 'no reason given')}"
    result = untested if change is None else "yes" if other.explains else "no"
    return AlternativeRow(
        name=one_line(other.name),
        settings=settings_text(other.changes),
        n_images=f"{other.n_images:,}" if other.n_images else "",
        signal="" if other.signal is None else shown(other.signal),
        change="" if change is None else signed(change.change),
        ci="" if change is None else interval(change.ci),
        result=result,
        named=named,
    )


def key_rows(keys: list[Key]) -> list[KeyRow]:
    """Settings that differ, with both values and what the model gains by this one alone."""
    return [
        KeyRow(
            path=path,
            ours=ours,
            theirs=theirs,
            signal="" if key.signal is None else shown(key.signal),
            change="" if key.change is None else signed(key.change.change),
            ci="" if key.change is None else interval(key.change.ci),
            reason="" if key.reason is None else one_line(key.reason),
        )
        for key, (path, ours, theirs) in zip(keys, differing(keys), strict=True)
    ]


def differing(keys: list[Key]) -> list[tuple[str, str, str]]:
    """Path and both values of each setting."""
    return [(one_line(key.path), *briefs(key.ours, key.theirs)) for key in keys]


def differs_sentence(pixels: Pixels) -> str:
    """Which settings are not the published ones; empty where all are."""
    if not pixels.differs:
        return ""
    named = joined(one_line(key.path) for key in pixels.differs)
    one = len(pixels.differs) == 1
    return f"{named} {'is' if one else 'are'} not as published for this model or its base."
