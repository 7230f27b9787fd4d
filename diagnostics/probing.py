"""Probes: small classifiers that say what can be read from the features of one locus.

Everything a probe chooses (regularisation, class offsets) is chosen inside the training folds, from predictions in
which the image's own patient group was left out. What comes back are held-out predictions for every image, and the
inner predictions from which one readout can be preferred to another without looking at the held-out ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ProbeName = Literal["ridge", "mlp"]

PENALTIES = np.logspace(-3, 4, 8)
"""Ridge penalties tried, relative to the mean eigenvalue of the training features' Gram matrix."""


@dataclass(frozen=True)
class Reading:
    """What a probe read at one locus, out of fold.

    log_probabilities: [n_images, n_classes], each image predicted by the fold that held its group out.
    inner_accuracy: [n_folds], balanced accuracy inside the training part of each fold, groups left out.
    """

    log_probabilities: Floats
    inner_accuracy: Floats

    @property
    def predictions(self) -> Ints:
        return np.asarray(self.log_probabilities.argmax(axis=1), dtype=np.int64)


def read(
    probe: ProbeName, features: NDArray[np.float32], labels: Ints, groups: Ints, folds: Ints, seed: int
) -> Reading:
    """Train `probe` on [n_images, width] features in every fold and predict the images held out."""
    if probe == "mlp":
        from diagnostics.mlp_probe import read_mlp

        return read_mlp(features, labels, groups, folds, seed)
    return read_ridge(features, labels, groups, folds)


def best(readings: Sequence[Reading], folds: Ints) -> Reading:
    """In every fold the reading that was best inside its training part; the first wins a tie."""
    inner = np.stack([reading.inner_accuracy for reading in readings])
    chosen = inner.argmax(axis=0)
    stacked = np.stack([reading.log_probabilities for reading in readings])
    return Reading(stacked[chosen[folds], np.arange(len(folds))], inner.max(axis=0))


def read_ridge(features: NDArray[np.float32], labels: Ints, groups: Ints, folds: Ints) -> Reading:
    """Ridge regression on one-hot labels, then a discriminant with equal priors on its scores.

    One eigendecomposition a fold, in the smaller of the spaces of images and width, gives the fit for every penalty
    and, in closed form, the scores of every training image with its patient group left out:
    e_g = (I - H_gg)^-1 r_g, the block form of the PRESS residual (Allen 1974).
    """
    n_classes = int(labels.max()) + 1
    log_probabilities = np.empty((len(labels), n_classes))
    inner = []
    for fold in range(int(folds.max()) + 1):
        held_out, training = folds == fold, folds != fold
        x, x_held_out = standardise(features[training], features[held_out])
        scores, scores_held_out = _ridge_scores(x, x_held_out, labels[training], groups[training], n_classes)
        discriminants = [Discriminant.fit(s, labels[training], n_classes) for s in scores]
        inner_readings = [d.log_probabilities(s) for d, s in zip(discriminants, scores, strict=True)]
        best = int(np.argmin([_balanced_log_loss(r, labels[training]) for r in inner_readings]))
        log_probabilities[held_out] = discriminants[best].log_probabilities(scores_held_out[best])
        inner.append(_balanced_accuracy(inner_readings[best], labels[training], n_classes))
    return Reading(log_probabilities, np.array(inner))


def standardise(training: NDArray[np.float32], held_out: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Both parts scaled by the mean and standard deviation of the training part; constant columns become 0."""
    x, z = training.astype(np.float64), held_out.astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    # Below float32 rounding of the column's size a deviation is noise; scaling it up would make a constant readable.
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-12)
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
    return (x - mean) * scale, (z - mean) * scale


def _ridge_scores(x: Floats, x_held_out: Floats, labels: Ints, groups: Ints, n_classes: int) -> tuple[Floats, Floats]:
    """Scores for every penalty: [n_penalties, n_training, K] with the own group left out, and [n_penalties, n_held_out,
    K].
    """
    y = np.eye(n_classes)[labels]
    prior = y.mean(axis=0)
    y = y - prior
    n, width = x.shape
    if width <= n:
        values, vectors = np.linalg.eigh(x.T @ x)
        keep = values > max(values.max(), 1e-12) * 1e-10
        values, v = values[keep], vectors[:, keep]
        u = x @ (v / np.sqrt(values))
        u_held_out = x_held_out @ (v / np.sqrt(values))
    else:
        values, vectors = np.linalg.eigh(x @ x.T)
        keep = values > max(values.max(), 1e-12) * 1e-10
        values, u = values[keep], vectors[:, keep]
        u_held_out = x_held_out @ (x.T @ (u / values))
    if not len(values):
        return (
            np.zeros((len(PENALTIES), n, n_classes)),
            np.zeros((len(PENALTIES), len(x_held_out), n_classes)),
        )
    target = u.T @ y
    blocks = _groups_by_size(groups)
    # Without its own group the mean label moves away from the group's class; scores that carry this shift let the
    # discriminant read every label off pure noise. What is kept is the slope's part, relative to the others' mean.
    means_without = np.empty_like(y)
    for rows in blocks:
        means_without[rows] = -y[rows].sum(axis=1, keepdims=True) / max(n - rows.shape[1], 1)
    left_out, held_out = [], []
    for penalty in PENALTIES * values.mean():
        shrink = values / (values + penalty)
        coefficients = shrink[:, None] * target
        residual = y - u @ coefficients
        scores = np.empty_like(y)
        for rows in blocks:
            ug = u[rows]
            hat = np.einsum("gmr,r,gkr->gmk", ug, shrink, ug, optimize=True) + 1 / n
            identity = (1 + 1e-9) * np.eye(rows.shape[1])
            scores[rows] = y[rows] - np.linalg.solve(identity - hat, residual[rows]) - means_without[rows]
        left_out.append(scores)
        held_out.append(u_held_out @ coefficients)
    return np.stack(left_out), np.stack(held_out)


def _groups_by_size(groups: Ints) -> list[Ints]:
    """Row indices of the groups, one array [n_groups, size] for each size that occurs."""
    order = np.argsort(groups, kind="stable")
    _, counts = np.unique(groups, return_counts=True)
    members = np.split(order, np.cumsum(counts)[:-1])
    return [np.stack([m for m in members if len(m) == size]) for size in np.unique(counts)]


@dataclass(frozen=True)
class Discriminant:
    """Linear discriminant with equal class priors on scores [n, K]: the class offsets of a probe, in closed form."""

    weights: Floats
    offsets: Floats

    @staticmethod
    def fit(scores: Floats, labels: Ints, n_classes: int) -> Discriminant:
        means = np.stack([scores[labels == k].mean(axis=0) for k in range(n_classes)])
        centred = scores - means[labels]
        # Class-balanced within-class covariance, so that no class sets the scale by its number.
        weights = 1 / np.bincount(labels, minlength=n_classes)[labels] / n_classes
        covariance = (centred * weights[:, None]).T @ centred
        precision = np.linalg.pinv(covariance + 1e-12 * np.eye(len(covariance)), rcond=1e-6, hermitian=True)
        centre = means.mean(axis=0)
        directions = (means - centre) @ precision
        return Discriminant(directions, -0.5 * np.einsum("kd,kd->k", directions, means + centre))

    def log_probabilities(self, scores: Floats) -> Floats:
        logits = scores @ self.weights.T + self.offsets
        logits -= logits.max(axis=1, keepdims=True)
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def _balanced_log_loss(log_probabilities: Floats, labels: Ints) -> float:
    own = log_probabilities[np.arange(len(labels)), labels]
    return -float(np.mean([own[labels == k].mean() for k in np.unique(labels)]))


def _balanced_accuracy(log_probabilities: Floats, labels: Ints, n_classes: int) -> float:
    from diagnostics.scores import balanced_accuracy

    return balanced_accuracy(labels, log_probabilities.argmax(axis=1), n_classes)
