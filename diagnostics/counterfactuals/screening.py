"""The way of every alternative: all are asked on a few images, the few best on more, and the last ones on the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics.arrays import Features, Ints
from medprobe.diagnostics.counterfactuals import rule
from medprobe.diagnostics.counterfactuals.alternatives import Input, alternatives
from medprobe.diagnostics.counterfactuals.answers import Asker, CannotAsk
from medprobe.diagnostics.counterfactuals.lost import Lost
from medprobe.diagnostics.evidence import Evidence, said_classes
from medprobe.diagnostics.extraction.measurement import OPTIONS, answer_length
from medprobe.diagnostics.further_questions import images_at

AS_IT_IS = "as it is"

Given = TypeVar("Given")


@dataclass
class Tried:
    """An alternative on its way. reason: why it was asked on no more than `n_images`. scores: [n_images, K] log-
    likelihoods of the options, or which is said.
    """

    input: Input
    reason: str | None = None
    n_images: int = 0
    scores: Features = field(default_factory=lambda: np.empty((0, 0), np.float32))


class Screening:
    """What the model answers at `rows` under every alternative, as far as each comes."""

    def __init__(self, evidence: Evidence, rows: Ints, cut: rule.Split, lost: Lost) -> None:
        self._evidence, self._cut, self._lost = evidence, cut, lost
        self._likeliest = lost.judged_on == "likeliest"
        self._images, self._labels = images_at(evidence, rows), evidence.labels[rows]
        self._own = evidence.measured.array(OPTIONS)[rows] if self._likeliest else certain(lost.own, evidence.n_classes)
        loaded = evidence.model.load()
        length = answer_length(evidence.spec, evidence.settings)
        prompt, answers = evidence.dataset.prompt, evidence.dataset.answers
        self._asker = Asker(loaded, prompt, answers, evidence.model.limit, length)
        self._tried = [Tried(one) for one in alternatives(loaded, evidence.spec)]

    def run(self) -> dict[str, NDArray[Any]]:
        """listed: JSON of every alternative, how many images it was asked on, and why on no more. tested: their
        numbers. answers: [n_tested, n_test] classes. passes: images that went through the model.
        """
        self._ask_all()
        chosen = self._as_good(self._ask_more())
        tested, answers = [], []
        for one in chosen:
            read = self._answer(one, self._cut.test)
            if read is not None:
                tested.append(self._tried.index(one))
                answers.append(classes(read))
        listed = [
            {
                "name": one.input.name,
                "changes": one.input.listed,
                "restores": one.input.restores,
                "reason": one.reason,
                "n_images": one.n_images,
            }
            for one in self._tried
        ]
        return {
            "listed": np.frombuffer(json.dumps(listed).encode(), dtype=np.uint8),
            "tested": np.array(tested, dtype=np.int64),
            "answers": np.array(answers, dtype=np.int64).reshape(len(answers), len(self._cut.test)),
            "passes": np.array([self._asker.passes], dtype=np.int64),
        }

    def _ask_all(self) -> None:
        """Ask on the first images under each alternative that changes something, and is not as one before it."""
        first = self._cut.first
        few = self._at([first[self._labels[first] == label][0] for label in np.unique(self._labels)])
        known = {self._asker.seen(few): AS_IT_IS}
        for i, one in enumerate(self._tried):
            self._evidence.progress("asking again", i, len(self._tried))
            if one.input.decodes and self._likeliest:
                one.reason = "it changes what is written, and the likeliest option is judged"
                continue
            seen = self._seen(one, few)
            if seen is None:
                continue
            if seen in known:
                same = known[seen]
                one.reason = "it changes nothing of these images" if same == AS_IT_IS else f"the same as: {same}"
                continue
            known[seen] = one.input.name
            scores = self._answer(one, first)
            if scores is not None:
                one.scores, one.n_images = scores, len(first)
                one.reason = "others promise more on the images that all were asked on"

    def _ask_more(self) -> list[Tried]:
        """Those of the best on the first images that may explain the loss on the first and second together."""
        first, second = self._cut.first, self._cut.second
        both = np.concatenate([first, second])
        open_ = []
        for one in self._best([one for one in self._tried if one.n_images], first, rule.KEPT):
            more = self._answer(one, second) if len(second) else one.scores[:0]
            if more is None:
                continue
            one.scores = np.concatenate([one.scores, more])
            one.n_images, one.reason = len(both), "too little is gained on the images that screen"
            own, labels, n = self._lost.own[both], self._labels[both], self._evidence.n_classes
            if rule.may_explain(classes(one.scores), own, labels, self._lost.short, n):
                open_.append(one)
        return self._best(open_, both, rule.FINAL)

    def _as_good(self, best: Sequence[Tried]) -> list[Tried]:
        """Those that may be as good as the first of `best`, itself among them."""
        labels = self._labels[np.concatenate([self._cut.first, self._cut.second])]
        answers, n = [classes(one.scores) for one in best], self._evidence.n_classes
        pairs = zip(best, answers, strict=True)
        return [one for one, answer in pairs if rule.may_be_as_good(answer, answers[0], labels, n)]

    def _best(self, some: Sequence[Tried], at: Ints, n_most: int) -> list[Tried]:
        """Up to `n_most` of `some` that promise more than the model as it is on the images `at`, the best first."""
        labels = self._labels[at]
        promises = [rule.promise(one.scores, labels, self._likeliest) for one in some]
        kept = rule.best(promises, rule.promise(self._own[at], labels, self._likeliest), n_most)
        return [some[i] for i in kept]

    def _seen(self, one: Tried, few: Sequence[Any]) -> str | None:
        # What is written otherwise of the same input is not seen in the input.
        return one.input.name if one.input.decodes else self._attempt(one, self._asker.seen, few)

    def _answer(self, one: Tried, some: Ints) -> Features | None:
        """[n_images, K] as `Tried.scores`; None, with the reason, where it cannot be asked."""
        if self._likeliest:
            return self._attempt(one, self._asker.scores, self._at(some))
        # An answer is as likely as ever where the text goes on beyond it, so the text itself is read.
        texts = self._attempt(one, self._asker.texts, self._at(some))
        if texts is None:
            return None
        return certain(said_classes(texts, self._evidence.dataset), self._evidence.n_classes)

    def _attempt(self, one: Tried, ask: Callable[[Sequence[Any], Input], Given], images: Sequence[Any]) -> Given | None:
        try:
            return ask(images, one.input)
        except CannotAsk as error:
            one.reason = str(error)
            return None

    def _at(self, some: Iterable[int]) -> list[Any]:
        return [self._images[row] for row in some]


def certain(said: Ints, n_classes: int) -> Features:
    """Log-likelihoods [n_images, K] that are 0 for the class that is said and minus infinity for all others."""
    return np.where(said[:, None] == np.arange(n_classes), 0.0, -np.inf).astype(np.float32)


def classes(scores: Features) -> Ints:
    """The likeliest class, [n_images]; -1 where none is possible."""
    return np.where(np.isfinite(scores).any(axis=1), scores.argmax(axis=1), -1).astype(np.int64)
