"""Which alternative is asked on, and which is named: pure functions of labels, groups and answers.

Images that screen do not test. Screening says which few alternatives are worth more passes, on images of patients of
their own; the test on the others is then that of a hypothesis fixed before looking. All that are tested there count
(max-T, Westfall and Young 1993).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics.arrays import Features, Floats, Ints
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples
from medprobe.diagnostics.scores import signal_of

FIRST, SCREENED, TESTED = 12, 36, 80
"""Images of the first look at all alternatives, of the first and second look together, and of the test, at most."""
KEPT, FINAL = 4, 2
"""Alternatives that are looked at a second time, and that are tested, at most."""
PER_GROUP = 2
"""Images of one patient among those that screen."""
SHARE = 0.5
"""Part of what the answer falls short that an alternative must give back to be named."""
DRAWS = 9999
"""Random sign flips of the groups' gains."""
DISMISSED = 1.645
"""Standard errors that the gain seen so far is given before an alternative is given up: one of 20 that gives back just
SHARE is lost there, and one of 20 that is as good as the best."""


class TooFew(ValueError):
    """Too few groups to screen on some and test on others; one sentence."""


@dataclass(frozen=True)
class Split:
    """Rows that are looked at first, at second, and that test."""

    first: Ints
    second: Ints
    test: Ints


@dataclass(frozen=True)
class Tested:
    """One alternative on the images that test.

    signal: of its answers. gain: signal less that of the answers as they are, which count from 0. ci: of the gain, the
    intervals of all tested ones together covering 95 percent. p: of no gain, all tested ones counted. clear: whether
    gain and signal are above 0 with all counted.
    """

    signal: float
    gain: float
    ci: tuple[float, float]
    p: float
    clear: bool

    def explains(self, short: float) -> bool:
        """Whether it gives back SHARE of `short` or more, clearly."""
        return self.clear and short > 0 and self.gain >= SHARE * short


@dataclass(frozen=True)
class Known:
    """The images that test: labels and patient groups, [n_images], the number of classes, and the seed of resamples."""

    labels: Ints
    groups: Ints
    n_classes: int
    seed: int


def split(labels: Ints, groups: Ints, seed: int) -> Split:
    """Cut the sample by groups: a third of each class's at most screen. Raises TooFew."""
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    wanted = -(-SCREENED // len(classes))
    early, late, used = [], [], set()
    for label in classes:
        permuted = rng.permutation(np.unique(groups[labels == label]))
        own = [group for group in permuted if group not in used]
        taken: list[int] = []
        for group in own[: len(own) // 3]:
            if len(taken) >= wanted:
                break
            taken += np.flatnonzero((groups == group) & (labels == label))[:PER_GROUP].tolist()
            used.add(group)
        if not taken:
            raise TooFew("a class has fewer than 3 groups, so that none can be kept for the test")
        n_first = -(-FIRST // len(classes))
        early += taken[:n_first]
        late += taken[n_first:wanted]
    rest = np.flatnonzero(~np.isin(groups, list(used)))
    if len(np.unique(labels[rest])) < len(classes):
        raise TooFew("a class has fewer than 3 groups, so that none can be kept for the test")
    return Split(np.sort(early), np.sort(np.array(late, dtype=np.int64)), _whole_groups(rest, labels, groups, rng))


def _whole_groups(rows: Ints, labels: Ints, groups: Ints, rng: np.random.Generator) -> Ints:
    """Rows of whole groups, the classes in turn, until TESTED is reached."""
    if len(rows) <= TESTED:
        return rows
    orders = [list(rng.permutation(np.unique(groups[rows][labels[rows] == label]))) for label in np.unique(labels)]
    taken: set[int] = set()
    n_images = 0
    while n_images < TESTED and any(orders):
        for order in orders:
            if order and (group := order.pop()) not in taken:
                taken.add(group)
                n_images += int((groups[rows] == group).sum())
    return rows[np.isin(groups[rows], list(taken))]


def promise(scores: Features | Floats, labels: Ints, normalise: bool) -> float:
    """Mean over the classes of the probability of the right answer, from log-likelihoods [n_images, K].

    Among the options where the likeliest is judged; of the writing itself where what is said is. Probabilities rank
    alternatives on fewer images than whether the answer is right.
    """
    right = _right(scores, labels, normalise)
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def _right(scores: Features | Floats, labels: Ints, normalise: bool) -> Floats:
    scores = np.asarray(scores, dtype=np.float64)
    if normalise:
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return np.exp(scores[np.arange(len(labels)), labels])


def best(promises: Sequence[float], own: float, n: int) -> list[int]:
    """The n most promising that promise more than the input as it is, the best first; NaN is none."""
    order = np.argsort([-np.inf if np.isnan(value) else value for value in promises], kind="stable")[::-1]
    return [int(i) for i in order[:n] if promises[i] > own]


def may_explain(answers: Ints, own: Ints, labels: Ints, short: float, n_classes: int) -> bool:
    """Whether the answers on images that screen leave it open that an alternative gives back SHARE of `short`. Own
    answers below chance count as chance.
    """
    below = min(signal_of(labels, own, n_classes), 0.0)
    return _at_most(_gains(answers, own, labels, n_classes)) + below >= SHARE * short


def may_be_as_good(answers: Ints, best: Ints, labels: Ints, n_classes: int) -> bool:
    """Whether they leave it open that an alternative is as good as the most promising one."""
    return _at_most(_gains(answers, best, labels, n_classes)) >= 0


def _at_most(gains: Floats) -> float:
    """The sum of [n_images] gains and DISMISSED standard errors of it."""
    return float(gains.sum() + DISMISSED * np.sqrt(np.sum((gains - gains.mean()) ** 2)))


def _gains(answers: Ints, own: Ints, labels: Ints, n_classes: int) -> Floats:
    """What each image adds to the difference of signal, [n_images]."""
    right = (answers == labels).astype(np.float64) - (own == labels)
    shares = np.bincount(labels, minlength=n_classes)[labels]
    present = len(np.unique(labels))
    return np.asarray(right / shares / present / (1 - 1 / n_classes))


def assess(answers: Ints, own: Ints, known: Known) -> list[Tested]:
    """Each of the alternatives' [n, n_images] answers against the model's own.

    A gain is clear where the largest of the groups' gains under random sign flips, over all alternatives, reaches it
    with p below ALPHA / 2, and where gain and signal are above 0 in the resamples of groups at that level (Bonferroni).
    Answers below chance count as chance, since to guess again is no recovery.
    """
    labels, n_classes = known.labels, known.n_classes
    level = ALPHA / 2 / max(len(answers), 1)
    resamples = Resamples(labels, known.groups, n_classes, known.seed)
    gains = np.stack([_gains(row, own, labels, n_classes) for row in answers])
    p_values = sign_flips(gains, known.groups, known.seed)
    base = max(signal_of(labels, own, n_classes), 0.0)
    base_drawn = np.maximum(resamples.signal(own), 0.0)
    found = []
    for row, p in zip(answers, p_values, strict=True):
        point, drawn = signal_of(labels, row, n_classes), resamples.signal(row)
        low, high = np.quantile(drawn - base_drawn, [level, 1 - level])
        clear = bool(p < ALPHA / 2 and min(low, np.quantile(drawn, level)) > 0)
        found.append(Tested(point, point - base, (float(low), float(high)), float(p), clear))
    return found


def sign_flips(gains: Floats, groups: Ints, seed: int) -> Floats:
    """One-sided p of each row of [n, n_images] gains under random signs of whole groups, with all rows counted."""
    _, group = np.unique(groups, return_inverse=True)
    by_group: Floats = np.stack([np.bincount(group, weights=row) for row in gains]).astype(np.float64)
    spread = np.sqrt((by_group**2).sum(axis=1))
    by_group = by_group / np.where(spread > 0, spread, 1.0)[:, None]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(by_group.shape[1], DRAWS))
    largest = (by_group @ signs).max(axis=0)
    observed = by_group.sum(axis=1)
    # Sums of the same numbers in another order may differ in the last bit.
    return np.asarray((1 + (largest >= observed[:, None] - 1e-9).sum(axis=1)) / (1 + DRAWS))


def named(tested: Sequence[Tested], short: float) -> int | None:
    """The alternative that explains `short`, of several the one with the largest gain."""
    explaining = [i for i, one in enumerate(tested) if one.explains(short)]
    return max(explaining, key=lambda i: tested[i].gain) if explaining else None


def rivals(
    chosen: int, tested: Sequence[Tested], answers: Ints, changes: Sequence[Set[str]], short: float, known: Known
) -> list[int]:
    """Alternatives that explain `short` too, by settings of which the chosen one changes none, and do not answer
    clearly worse than it. changes: the paths that each alternative changes.
    """
    resamples = Resamples(known.labels, known.groups, known.n_classes, known.seed)
    drawn = resamples.signal(answers[chosen])
    return [
        i
        for i, one in enumerate(tested)
        if one.explains(short)
        and not changes[i] & changes[chosen]
        and np.quantile(drawn - resamples.signal(answers[i]), ALPHA / 2) <= 0
    ]


def restoring(alike: Sequence[int], restores: Sequence[bool]) -> int | None:
    """Of alternatives that help alike the only one that puts back what the checkpoint says elsewhere; None without."""
    found = [i for i in alike if restores[i]]
    return found[0] if len(found) == 1 else None
