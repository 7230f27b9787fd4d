"""From the evidence of a diagnosis to what other inputs would have made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Features, Ints
from medprobe.diagnostics.counterfactuals import rule
from medprobe.diagnostics.evidence import Evidence, said_classes
from medprobe.diagnostics.extraction.measurement import OPTIONS, answer_length
from medprobe.diagnostics.further_questions import images_at
from medprobe.diagnostics.judgement.resamples import ALPHA
from medprobe.diagnostics.judgement.verdicts import Judgement
from medprobe.diagnostics.records.cause import Alternative, Cause, Counterfactuals
from medprobe.diagnostics.records.chain import Difference
from medprobe.diagnostics.scores import signal_of

RECIPE = 6
"""Counts changes of how alternatives are made and asked, so that none is read of another's store."""

PROBED = ("vision", "connector", "llm")
"""Places that a probe reads."""

Judged = Literal["likeliest", "said"]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Lost:
    """What the answers fall short of, on the rows of a sample.

    own: the class answered, [n_images], as `judged_on`. short: what was readable before the answer less the answers'
    signal, which counts from 0.
    """

    judged_on: Judged
    own: Ints
    short: float


def wanted(evidence: Evidence, judged: Judgement, swap: Cause | None) -> bool:
    """Whether a loss is there that no swap has explained, or the asking was asked for."""
    explained = swap is not None and swap.module is not None
    return evidence.settings.treat or (not explained and bool(lost_before(evidence, judged)))


def lost_before(evidence: Evidence, judged: Judgement) -> tuple[str, ...]:
    """The places whose best reading the answers fall short of; none where nothing is lost.

    A loss is a link that fails, or an answer that reads clearly less than a place before it, by more than half of what
    its own link may lose: a loss that several links share, or too few patients, may leave each of them undecided. What
    is lost at the tower the reference alone shows.
    """
    verdicts = {stage: link.verdict for stage, link in judged.links.items()}
    if verdicts["vision"] == "fail":
        return ("reference",)
    if "fail" in verdicts.values():
        return PROBED
    if not judged.carries_labels:
        return ()
    below = [place for place in ("reference", *PROBED) if _clearly_below(evidence, judged, place)]
    return PROBED if set(below) & set(PROBED) else tuple(below)


def _clearly_below(evidence: Evidence, judged: Judgement, place: str) -> bool:
    """Whether the answer reads clearly less than a place, by more than half of what its link may lose."""
    before, after = (evidence.resamples.signal(evidence.predictions[at], at) for at in (place, "answer"))
    least = (1 + judged.links["answer"].threshold) / 2
    less = judged.signal["answer"] < least * judged.signal[place]
    return less and bool(np.quantile(before - after, ALPHA) > 0)


def ask_again(evidence: Evidence, judged: Judgement) -> Counterfactuals:
    """Ask under every alternative on a few images, under the few best on more, and name one that explains the loss."""
    rows = evidence.sample()
    labels, groups = evidence.labels[rows], evidence.groups[rows]
    before = lost_before(evidence, judged)
    fails = bool(before)
    places = before or PROBED
    lost = lost_on(evidence, rows, places)
    about: dict[str, Any] = {"judged_on": lost.judged_on}
    try:
        cut = rule.split(labels, groups, evidence.settings.seed)
    except rule.TooFew as error:
        answered = signal_of(labels, lost.own, evidence.n_classes)
        return Counterfactuals(n_images=0, asked=answered, short=lost.short, reason=str(error), **about)
    found = _remembered(evidence, rows, cut, lost)
    listed: list[dict[str, Any]] = json.loads(found["listed"].tobytes())
    n = evidence.n_classes
    test, own = labels[cut.test], lost.own[cut.test]
    tested = (
        rule.assess(found["answers"], own, test, groups[cut.test], n, evidence.settings.seed)
        if len(found["answers"])
        else []
    )
    short = lost_on(evidence, rows[cut.test], places, lost.judged_on).short
    chosen = rule.named(tested, short) if fails else None
    alike: list[int] = []
    if chosen is not None:
        changes = [set(listed[i]["changes"]) for i in found["tested"]]
        known = rule.Known(test, groups[cut.test], n, evidence.settings.seed)
        others = rule.rivals(chosen, tested, found["answers"], changes, short, known)
        alike = [chosen, *others] if others else []
        odd = rule.restoring(alike, [listed[i]["restores"] for i in found["tested"]])
        if odd is not None:
            chosen, alike = odd, []
    of_tested = dict(zip(found["tested"].tolist(), tested, strict=True))
    tried = []
    for i, one in enumerate(listed):
        result = of_tested.get(i)
        told = Alternative(name=one["name"], changes=one["changes"], reason=one["reason"], n_images=one["n_images"])
        if result is not None:
            told = told.model_copy(
                update={
                    "signal": result.signal,
                    "change": Difference(change=result.gain, ci=result.ci),
                    "explains": fails and result.explains(short),
                    "n_images": len(test),
                    "reason": None,
                }
            )
        tried.append(told)
    return Counterfactuals(
        n_images=len(test),
        asked=signal_of(test, own, n),
        short=short,
        named=None if chosen is None or alike else listed[int(found["tested"][chosen])]["name"],
        rivals=[listed[int(found["tested"][i])]["name"] for i in alike],
        tried=tried,
        passes=float(found["passes"][0]) / len(rows),
        **about,
    )


def lost_on(evidence: Evidence, rows: Ints, places: Sequence[str], judged_on: Judged | None = None) -> Lost:
    """What the answers at `rows` fall short of: the best that is read at `places`.

    The likeliest option is judged, unless it falls short by less than half of what the text does: then the text is.
    """
    before = max(evidence.signal(evidence.predictions[place][rows], rows) for place in places)
    answers: dict[Judged, Ints] = {"likeliest": evidence.likeliest[rows], "said": evidence.said[rows]}
    short = {name: before - max(evidence.signal(values, rows), 0.0) for name, values in answers.items()}
    if judged_on is None:
        judged_on = "said" if short["likeliest"] < short["said"] / 2 else "likeliest"
    return Lost(judged_on, answers[judged_on], short[judged_on])


def _remembered(evidence: Evidence, rows: Ints, cut: rule.Split, lost: Lost) -> Arrays:
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
    return store.remembered(evidence.settings.store, name, lambda: _asked(evidence, rows, cut, lost))


def _asked(evidence: Evidence, rows: Ints, cut: rule.Split, lost: Lost) -> Arrays:
    """listed: JSON of every alternative, how many images it was asked on, and why on no more. tested: their numbers.
    answers: [n_tested, n_test] classes. passes: images that went through the model.
    """
    from medprobe.diagnostics.counterfactuals.alternatives import alternatives
    from medprobe.diagnostics.counterfactuals.answers import Asker, CannotAsk

    dataset, n, likeliest = evidence.dataset, evidence.n_classes, lost.judged_on == "likeliest"
    loaded = evidence.model.load()
    length = answer_length(evidence.spec, evidence.settings)
    asker = Asker(loaded, dataset.prompt, dataset.answers, evidence.model.limit, length)
    images, labels = images_at(evidence, rows), evidence.labels[rows]
    own = evidence.measured.array(OPTIONS)[rows] if likeliest else _certain(lost.own, n)
    inputs = alternatives(loaded, evidence.spec)
    reasons: list[str | None] = [None] * len(inputs)
    n_images = [0] * len(inputs)
    scores: dict[int, Features] = {}

    def at(some: Ints) -> list[Any]:
        return [images[row] for row in some]

    def attempt(i: int, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except CannotAsk as error:
            reasons[i] = str(error)
            return None

    def ask(i: int, some: Ints) -> Any:
        """Log-likelihoods of the options, or which is said, [n_images, K]; None where it cannot be asked."""
        if likeliest:
            return attempt(i, partial(asker.scores, at(some), inputs[i]))
        # An answer is as likely as ever where the text goes on beyond it, so the text itself is read.
        texts = attempt(i, partial(asker.texts, at(some), inputs[i]))
        return None if texts is None else _certain(said_classes(texts, dataset), n)

    few = at(np.array([cut.first[labels[cut.first] == label][0] for label in np.unique(labels)]))
    known = {asker.seen(few): "as it is"}
    for i, one in enumerate(inputs):
        evidence.progress("asking again", i, len(inputs))
        if one.decodes and likeliest:
            reasons[i] = "it changes what is written, and the likeliest option is judged"
            continue
        # What is written otherwise of the same input is not seen in the input.
        seen = one.name if one.decodes else attempt(i, partial(asker.seen, few, one))
        if seen in known:
            reasons[i] = (
                "it changes nothing of these images" if known[seen] == "as it is" else f"the same as: {known[seen]}"
            )
        elif seen is not None:
            known[seen] = one.name
            scores[i] = ask(i, cut.first)
    scores = {i: values for i, values in scores.items() if values is not None}
    promises = [
        rule.promise(scores[i], labels[cut.first], likeliest) if i in scores else np.nan for i in range(len(inputs))
    ]
    for i in scores:
        n_images[i], reasons[i] = len(cut.first), "others promise more on the images that all were asked on"
    again = rule.best(promises, rule.promise(own[cut.first], labels[cut.first], likeliest), rule.KEPT)
    both = np.concatenate([cut.first, cut.second])
    open_ = []
    for i in again:
        more = ask(i, cut.second) if len(cut.second) else scores[i][:0]
        if more is None:
            continue
        scores[i] = np.concatenate([scores[i], more])
        n_images[i], reasons[i] = len(both), "too little is gained on the images that screen"
        if rule.may_explain(_answers(scores[i]), lost.own[both], labels[both], lost.short, n):
            open_.append(i)
    promises = [rule.promise(scores[i], labels[both], likeliest) for i in open_]
    best = rule.best(promises, rule.promise(own[both], labels[both], likeliest), rule.FINAL)
    tested, answers = [], []
    chosen = [open_[k] for k in best]
    if chosen:
        top = _answers(scores[chosen[0]])
        chosen = [i for i in chosen if rule.may_be_as_good(_answers(scores[i]), top, labels[both], n)]
    for i in chosen:
        read = ask(i, cut.test)
        if read is not None:
            tested.append(i)
            answers.append(_answers(read))
    listed = [
        {"name": one.name, "changes": one.listed, "restores": one.restores, "reason": reason, "n_images": count}
        for one, reason, count in zip(inputs, reasons, n_images, strict=True)
    ]
    return {
        "listed": np.frombuffer(json.dumps(listed).encode(), dtype=np.uint8),
        "tested": np.array(tested, dtype=np.int64),
        "answers": np.array(answers, dtype=np.int64).reshape(len(answers), len(cut.test)),
        "passes": np.array([asker.passes], dtype=np.int64),
    }


def _certain(classes: Ints, n_classes: int) -> Features:
    """Log-likelihoods [n_images, K] that are 0 for the class that is said and minus infinity for all others."""
    said = classes[:, None] == np.arange(n_classes)
    return np.where(said, 0.0, -np.inf).astype(np.float32)


def _answers(scores: Features) -> Ints:
    """The likeliest class, [n_images]; -1 where none is possible."""
    return np.where(np.isfinite(scores).any(axis=1), scores.argmax(axis=1), -1).astype(np.int64)
