"""What an offset for each option gives back: the likeliest option once the answer's own preferences are taken off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medprobe.diagnostics.arrays import Bools, Features, Floats, Ints


def calibrated(log_likelihoods: Features, labels: Ints, folds: Ints) -> Ints:
    """The likeliest option, [n_images], under one scale and an offset an option, fitted on the other folds.

    Scale and offsets minimise the class-balanced log loss of softmax(scale * score + offset): the vector form of Platt
    scaling (Guo et al. 2017, arXiv 1706.04599, with one scale), so that options may be preferred less, but not swapped
    one for another.
    """
    predictions = np.empty(len(labels), dtype=np.int64)
    for held_out, logits in _held_out(log_likelihoods, labels, folds):
        predictions[held_out] = logits.argmax(axis=1)
    return predictions


def calibrated_probabilities(log_likelihoods: Features, labels: Ints, folds: Ints) -> Floats:
    """Log-probabilities of the options, [n_images, n_classes], under the scale and offsets of `calibrated`.

    They are those of classes of equal size, so each is moved by the log of its class's share of the other folds, by
    Bayes' rule (Saerens et al. 2002), to be probabilities among these images.
    """
    found: Floats = np.empty(log_likelihoods.shape)
    for held_out, logits in _held_out(log_likelihoods, labels, folds):
        shares = np.bincount(labels[~held_out], minlength=found.shape[1]) / (~held_out).sum()
        found[held_out] = logits + np.log(shares)
    return np.asarray(found - np.logaddexp.reduce(found, axis=1, keepdims=True))


def _held_out(log_likelihoods: Features, labels: Ints, folds: Ints) -> Iterator[tuple[Bools, Floats]]:
    """The images that each fold holds out, and their logits [n_held_out, n_classes]."""
    scores = log_likelihoods.astype(np.float64)
    scores -= scores.mean(axis=1, keepdims=True)
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        scale, offsets = _fit(scores[~held_out], labels[~held_out])
        yield held_out, scale * scores[held_out] + offsets


def _fit(scores: Floats, labels: Ints) -> tuple[float, Floats]:
    from scipy.optimize import minimize

    n_classes = scores.shape[1]
    truth = np.eye(n_classes)[labels]
    share = (1 / np.bincount(labels, minlength=n_classes)[labels] / n_classes)[:, None]
    spread = scores.std() or 1.0

    def loss(parameters: Floats) -> tuple[float, Floats]:
        # The logarithm keeps the scale above 0: a likelier option never counts against itself.
        scale = np.exp(parameters[0]) / spread
        logits = scale * scores + parameters[1:]
        logits -= logits.max(axis=1, keepdims=True)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        error = (np.exp(log_probabilities) - truth) * share
        slope = np.concatenate([[(error * scores).sum() * scale], error.sum(axis=0)])
        return -float((log_probabilities * truth * share).sum()), slope

    found = minimize(
        loss, np.zeros(1 + n_classes), jac=True, method="L-BFGS-B", bounds=[(-6, 6)] + [(-50, 50)] * n_classes
    )
    return float(np.exp(found.x[0]) / spread), found.x[1:]
