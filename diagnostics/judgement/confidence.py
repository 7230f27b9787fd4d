"""Whether probabilities can be believed: Brier score, expected calibration error, bins of a reliability plot."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.judgement.resamples import Resamples

N_BINS = 10

CLEAR = 2.0
"""Standard errors from which on a bin's distance is no chance."""


def probabilities(log_likelihoods: Floats) -> Floats:
    """Probabilities of the classes among themselves, [n_images, n_classes]."""
    scores = log_likelihoods.astype(np.float64)
    return np.asarray(np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)))


def squared_errors(labels: Ints, p: Floats) -> Floats:
    """The squared distance of probabilities [n_images, n_classes] from the truth, summed over the classes, [n_images];
    half of it for two classes. Its mean is the Brier score (Brier 1950), as scikit-learn scales it.
    """
    errors = ((p - np.eye(p.shape[1])[labels]) ** 2).sum(axis=1)
    return np.asarray(errors / 2 if p.shape[1] == 2 else errors)


def most_squared(n_classes: int) -> float:
    """The squared error of an image that is surely taken for another class."""
    return 1.0 if n_classes == 2 else 2.0


def bins(p: Floats) -> Ints:
    """The bin of each image, [n_images], by the probability of its likeliest class: N_BINS of equal width."""
    return np.asarray(np.minimum(p.max(axis=1) * N_BINS, N_BINS - 1), dtype=np.int64)


def overconfidence(labels: Ints, p: Floats) -> Floats:
    """[N_BINS, n_images]: whether the likeliest class is right, less its probability, in the image's bin; else 0."""
    excess = (p.argmax(axis=1) == labels) - p.max(axis=1)
    return np.asarray(np.where(bins(p) == np.arange(N_BINS)[:, None], excess, 0.0))


def ece(labels: Ints, p: Floats) -> float:
    """Expected calibration error: over the bins, the distance between the share of likeliest classes that are right and
    their mean probability, weighted by the images (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599).
    """
    return float(np.abs(overconfidence(labels, p).mean(axis=1)).sum())


def ece_interval(labels: Ints, p: Floats, resamples: Resamples) -> tuple[float, float]:
    """The 95 percent interval of the calibration error.

    Distances add up even where they are chance alone, so that the error of a few images lies above the truth. How far,
    the resamples tell if distances that chance can make (under CLEAR standard errors) are taken as none, as tests of
    many inequalities do (Andrews and Soares 2010): that gives the lower bound, which then reaches 0 where nothing is
    wrong. The upper one takes all distances as true. No groups are added: of these it is not known in which bin they
    would be.
    """
    shares = np.bincount(labels) / len(labels)
    excess = overconfidence(labels, p)
    distance, value = excess.mean(axis=1), ece(labels, p)
    chance = resamples.means(excess, None) @ shares - distance[:, None]
    clear = np.where(np.abs(distance) > CLEAR * chance.std(axis=1), distance, 0.0)
    too_high = np.abs(clear[:, None] + chance).sum(axis=0) - np.abs(clear).sum()
    too_low = np.abs(distance[:, None] + chance).sum(axis=0) - value
    low, high = value - np.quantile(too_high, 0.975), value - np.quantile(too_low, 0.025)
    return float(max(low, 0)), float(min(max(high, value), 1))
