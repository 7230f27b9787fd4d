"""From the evidence of a diagnosis to what other inputs would have made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.counterfactuals import rule
from medprobe.diagnostics.counterfactuals.lost import PROBED, Lost, lost_before, lost_on
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.further_questions import images_at
from medprobe.diagnostics.judgement.verdicts import Judgement
from medprobe.diagnostics.records.cause import Alternative, Cause, Counterfactuals
from medprobe.diagnostics.records.chain import Difference
from medprobe.diagnostics.scores import signal_of

RECIPE = 6
"""Counts changes of how alternatives are made and asked, so that none is read of another's store."""

Arrays = dict[str, NDArray[Any]]


def wanted(evidence: Evidence, judged: Judgement, swap: Cause | None) -> bool:
    """Whether a loss is there that no swap has explained, or the asking was asked for."""
    explained = swap is not None and swap.module is not None
    return evidence.settings.treat or (not explained and bool(lost_before(evidence, judged)))


def ask_again(evidence: Evidence, judged: Judgement) -> Counterfactuals:
    """Ask under every alternative on a few images, under the few best on more, and name one that explains the loss."""
    rows = evidence.sample()
    labels, groups = evidence.labels[rows], evidence.groups[rows]
    before = lost_before(evidence, judged)
    places = before or PROBED
    lost = lost_on(evidence, rows, places)
    try:
        cut = rule.split(labels, groups, evidence.settings.seed)
    except rule.TooFew as error:
        answered = signal_of(labels, lost.own, evidence.n_classes)
        return Counterfactuals(
            judged_on=lost.judged_on, n_images=0, asked=answered, short=lost.short, reason=str(error)
        )
    found = _remembered(evidence, rows, cut, lost)
    listed: list[dict[str, Any]] = json.loads(found["listed"].tobytes())
    numbers = found["tested"].tolist()
    own = lost.own[cut.test]
    known = rule.Known(labels[cut.test], groups[cut.test], evidence.n_classes, evidence.settings.seed)
    short = lost_on(evidence, rows[cut.test], places, lost.judged_on).short
    tested = rule.assess(found["answers"], own, known) if numbers else []
    explaining = _explaining(tested, found["answers"], [listed[i] for i in numbers], short, known) if before else []
    names = [listed[numbers[k]]["name"] for k in explaining]
    of_tested = dict(zip(numbers, tested, strict=True))
    return Counterfactuals(
        judged_on=lost.judged_on,
        n_images=len(cut.test),
        asked=signal_of(known.labels, own, evidence.n_classes),
        short=short,
        named=names[0] if len(names) == 1 else None,
        rivals=names if len(names) > 1 else [],
        tried=[_told(one, of_tested.get(i), len(cut.test), short if before else None) for i, one in enumerate(listed)],
        passes=float(found["passes"][0]) / len(rows),
    )


def _explaining(
    tested: Sequence[rule.Tested], answers: Ints, listed: Sequence[dict[str, Any]], short: float, known: rule.Known
) -> list[int]:
    """Which of the tested alternatives explain the loss: none, one, or several that are alike."""
    chosen = rule.named(tested, short)
    if chosen is None:
        return []
    changes = [set(one["changes"]) for one in listed]
    alike = [chosen, *rule.rivals(chosen, tested, answers, changes, short, known)]
    odd = rule.restoring(alike, [one["restores"] for one in listed])
    return alike if odd is None else [odd]


def _told(one: dict[str, Any], result: rule.Tested | None, n_test: int, short: float | None) -> Alternative:
    """The record of an alternative; `short` is what must be explained, if anything."""
    told = {key: one[key] for key in ("name", "changes", "reason", "n_images")}
    if result is None:
        return Alternative(**told)
    tested = {
        "signal": result.signal,
        "change": Difference(change=result.gain, ci=result.ci),
        "explains": short is not None and result.explains(short),
        "n_images": n_test,
        "reason": None,
    }
    return Alternative(**(told | tested))


def _remembered(evidence: Evidence, rows: Ints, cut: rule.Split, lost: Lost) -> Arrays:
    def compute() -> Arrays:
        from medprobe.diagnostics.counterfactuals.screening import Screening

        return Screening(evidence, rows, cut, lost).run()

    images = images_at(evidence, rows)
    name = store.key(
        counterfactuals=RECIPE,
        features=evidence.measured.key,
        images=hashlib.sha256(" ".join(image.digest for image in images).encode()).hexdigest(),
        labels=evidence.labels[rows].tolist(),
        groups=evidence.groups[rows].tolist(),
        judged_on=lost.judged_on,
        short=round(lost.short, 6),
        seed=evidence.settings.seed,
    )
    return store.remembered(evidence.settings.store, name, compute)
