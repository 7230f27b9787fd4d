"""How well scores rank the images of one class above the others: AUROC and average precision, with their intervals.

Both are linearised. An image's value says how much the area would move if the image had more weight. For AUROC it is
the image's placement, the share of the images of the other side that it is ranked rightly against (DeLong, DeLong and
Clarke-Pearson 1988), and resampling the groups' placements is what Obuchowski 1997 does for patients with several
images. So intervals come from `Resamples`, with its corrections for few groups, and no resample ranks anew.
What they cover: benchmarks/auroc.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics.arrays import Bools, Floats, Ints
from medprobe.diagnostics.judgement.resamples import Resamples

ROC_RATES = np.linspace(0, 1, 101)
"""False-positive rates at which a ROC curve is kept."""


class NoPairs(ValueError):
    """Nothing can be ranked; one sentence."""


def log_odds(log_likelihoods: Floats) -> Floats:
    """The log odds of each class among the classes, [n_images, n_classes]: it ranks as the normalised probability does,
    and does not end at 1 for a sure model.
    """
    scores = log_likelihoods.astype(np.float64)
    rest = [np.logaddexp.reduce(np.delete(scores, k, axis=1), axis=1) for k in range(scores.shape[1])]
    return np.asarray(scores - np.stack(rest, axis=1))


@dataclass(frozen=True)
class Area:
    """An area under a curve. values, [n_images]: what each image counts; their mean is `value` among the images of the
    class and among the others.
    """

    value: float
    values: Floats

    def resampled(self, labels: Ints, of: int, resamples: Resamples, place: str) -> Floats:
        """[n_resamples]; readings under one `place` share the coin of the added groups.

        An added group counts a quarter more or less than the area: where everything is ranked rightly, one on either
        side that is not leaves what chance leaves, 1/2.
        """
        right, wrong = min(self.value + 0.25, 1.0), max(self.value - 0.25, 0.0)
        drawn = resamples.means(self.values, place, right, wrong)
        return np.clip(one_against_rest(drawn, labels, of) - self.value, 0, 1)


def one_against_rest(means: Floats, labels: Ints, of: int) -> Floats:
    """Class means [..., n_classes] of a class plus those of all other images together, [...]."""
    counts = np.bincount(labels, minlength=means.shape[-1])
    share = counts / (counts.sum() - counts[of])
    share[of] = 1
    return np.asarray(means @ share)


def auroc(is_class: Bools, scores: Floats, folds: Ints) -> Area:
    """The share of pairs, an image of the class and another, of which the first has the larger score, [n_images]; a tie
    counts half (Mann and Whitney 1947). Raises NoPairs.

    Only images of one fold are compared, since scores of differently trained probes have no common scale (Forman and
    Scholz 2010); all pairs count alike. Scores that nothing was trained for are of one fold.
    """
    from scipy.stats import rankdata

    placements, others, n_pairs = np.zeros(len(scores)), np.zeros(len(scores)), 0
    for fold in np.unique(folds):
        ones, rest = (np.flatnonzero((folds == fold) & side) for side in (is_class, ~is_class))
        if not len(ones) or not len(rest):
            continue
        both = np.concatenate([ones, rest])
        among_all = rankdata(scores[both])
        placements[ones] = (among_all[: len(ones)] - rankdata(scores[ones])) / len(rest)
        placements[rest] = 1 - (among_all[len(ones) :] - rankdata(scores[rest])) / len(ones)
        others[ones], others[rest] = len(rest), len(ones)
        n_pairs += len(ones) * len(rest)
    if not n_pairs:
        raise NoPairs("no fold holds images of the class and others")
    value = float((placements * others)[is_class].sum() / n_pairs)
    n_side = np.where(is_class, is_class.sum(), (~is_class).sum())
    return Area(value, value + n_side * others / n_pairs * (placements - value))


def average_precision(is_class: Bools, scores: Floats) -> Area:
    """The precision at each image of the class, averaged (the step integral of the precision-recall curve, as in
    scikit-learn). Raises NoPairs.
    """
    if is_class.all() or not is_class.any():
        raise NoPairs("there are no images of the class, or no others")
    ones, rest = np.sort(scores[is_class]), np.sort(scores[~is_class])
    n_ones, n_rest = len(ones), len(rest)
    true = n_ones - np.searchsorted(ones, ones)  # as many of the class have this score or a larger one
    false = n_rest - np.searchsorted(rest, ones)
    precision = true / (true + false)
    value = float(precision.mean())
    # Derivatives of the precision by the shares of the class and of the others that have its score or a larger one,
    # summed over the images of the class that an image is not below.
    gains, losses = (np.append(0, np.cumsum(part / (true + false) ** 2)) for part in (false, true))
    above = np.searchsorted(ones, scores, side="right")
    own = precision[np.minimum(np.searchsorted(ones, scores), n_ones - 1)]
    values = np.where(is_class, own + gains[above], -n_rest / n_ones * losses[above])
    for side in (is_class, ~is_class):
        values[side] += value - values[side].mean()
    return Area(value, values)


def roc(is_class: Bools, scores: Floats) -> Floats:
    """The sensitivity at ROC_RATES, the larger one where the curve rises there; straight over tied scores."""
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(is_class, scores)
    return np.asarray(np.interp(ROC_RATES + 1e-12, false, true))
