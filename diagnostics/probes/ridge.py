"""Probes: small classifiers that say what can be read from the features of one locus.

Everything a probe chooses (regularisation, class offsets) is chosen inside the training folds, from predictions in
which the image's own patient group was left out. What comes back are held-out predictions for every image, and the
inner predictions from which one readout can be preferred to another without looking at the held-out ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from medprobe.diagnostics.arrays import Bools, Features, Floats, Ints
from medprobe.diagnostics.probes.reading import Reading, standardise

ProbeName = Literal["ridge", "mlp"]

PROBES = "4"
"""Changes with what a probe reads of the same features, so that no stored reading of before is taken for one."""

PENALTIES = np.logspace(-3, 4, 8)
"""Ridge penalties tried, relative to the mean eigenvalue of the training features' Gram matrix."""


LEAST_DIRECTION = 0.1
"""A direction in which the scores vary less than this share of their largest is not read. Leaving a group out moves its
scores by its own labels, a few percent of their spread, so that in a direction with no more of its own every label can
be told inside the training part and none outside: features of one column read three classes with 0.75 inside and 0.59
held out, with this limit 0.63 and 0.62 (`tests/unit/diagnostics/probes/test_ridge.py` draws such features).
"""

LEAST_LENGTH = 0.01
"""Least share of the distance between classes in training that is believed in where left-out scores show none: the sign
is the training's.
"""

N_PARTS = 4
"""Parts of a training part, each judged by what the others choose."""

SETS_AT_ONCE = 100
"""Labellings read together; more fill memory and save no time."""


def read(probe: ProbeName, features: Features, labels: Ints, groups: Ints, folds: Ints, seed: int) -> Reading:
    """Train `probe` on [n_images, width] features in every fold and predict the images held out."""
    if probe == "mlp":
        from medprobe.diagnostics.probes.mlp import read_mlp

        return read_mlp(features, labels, groups, folds, seed)
    return read_ridge(features, labels, groups, folds)


def read_ridge(features: Features, labels: Ints, groups: Ints, folds: Ints) -> Reading:
    """Ridge regression on one-hot labels, then the nearest class mean of its scores.

    One eigendecomposition a fold, in the smaller of the spaces of images and width, gives the fit for every penalty
    and, in closed form, the scores of every training image with its patient group left out:
    e_g = (I - H_gg)^-1 r_g, the block form of the PRESS residual (Allen 1974).
    """
    return read_beside(features, labels, np.empty((0, len(labels)), np.int64), groups, folds)[0]


def read_altered(
    features: Features, altered: Features, rows: Ints, labels: Ints, groups: Ints, folds: Ints
) -> tuple[Floats, Floats]:
    """What the probes of `read_ridge`, trained on `features` alone, read of other features of the images at `rows`.

    altered: [n_sets, n_rows, width]. Gives log-probabilities [n_sets, n_rows, K], each image by the probe of the fold
    that held its group out, and inner accuracies [n_folds].
    """
    n_classes, n_folds = int(labels.max()) + 1, int(folds.max()) + 1
    log_probabilities = np.empty((*altered.shape[:2], n_classes))
    inner = np.empty(n_folds)
    for fold in range(n_folds):
        training, asked = folds != fold, folds[rows] == fold
        held_out = altered[:, asked].reshape(-1, altered.shape[2])
        ridge = Ridge.factorise(*standardise(features[training], held_out), groups[training])
        read, inner[fold] = _read_true(ridge, labels[training], groups[training], n_classes)
        log_probabilities[:, asked] = read.reshape(len(altered), -1, n_classes)
    return log_probabilities, inner


def read_label_sets(
    features: Features,
    label_sets: Ints,
    groups: Ints,
    folds: Ints,
    n_classes: int,
    precision: type[np.float64] | type[np.float32] = np.float64,
) -> Floats:
    """What `read_ridge` reads, [n_sets, n_images, K] log-probabilities, for many labellings [n_sets, n_images] of the
    same features, each as if it were the only one.

    Labellings are right-hand sides of one factorisation a fold, so they cost little beside it. Every class must be in
    every training part. `precision` is that of the scores; the factorisation is always in float64.
    """
    log_probabilities = np.empty((*label_sets.shape, n_classes))
    for held_out, training, ridge in _factorised(features, groups, folds):
        read = _read_sets(ridge.to(precision), label_sets[:, training], n_classes)
        log_probabilities[:, held_out] = read
    return log_probabilities


def read_beside(features: Features, labels: Ints, permuted: Ints, groups: Ints, folds: Ints) -> tuple[Reading, Floats]:
    """`read_ridge` of the labels, and the log-probabilities [n_sets, n_images, K] of permuted ones [n_sets, n_images]
    in float32, from the same factorisations.
    """
    n_classes = int(labels.max()) + 1
    true, beside = np.empty((len(labels), n_classes)), np.empty((*permuted.shape, n_classes))
    inner = np.empty(int(folds.max()) + 1)
    for fold, (held_out, training, ridge) in enumerate(_factorised(features, groups, folds)):
        true[held_out], inner[fold] = _read_true(ridge, labels[training], groups[training], n_classes)
        beside[:, held_out] = _read_sets(ridge.to(np.float32), permuted[:, training], n_classes)
    return Reading(true, inner), beside


def _factorised(features: Features, groups: Ints, folds: Ints) -> Iterator[tuple[Bools, Bools, Ridge]]:
    """Which images each fold holds out and which it trains on, and the training part factorised."""
    for fold in range(int(folds.max()) + 1):
        held_out, training = folds == fold, folds != fold
        yield (
            held_out,
            training,
            Ridge.factorise(*standardise(features[training], features[held_out]), groups[training]),
        )


def _read_sets(ridge: Ridge, label_sets: Ints, n_classes: int) -> Floats:
    read = np.empty((len(label_sets), len(ridge.u_held_out), n_classes))
    for start in range(0, len(label_sets), SETS_AT_ONCE):
        sets = slice(start, start + SETS_AT_ONCE)
        read[sets] = _read_fold(ridge, label_sets[sets], np.ones_like(label_sets[sets], dtype=bool), n_classes)[0]
    return read


def _read_true(ridge: Ridge, labels: Ints, groups: Ints, n_classes: int) -> tuple[Floats, float]:
    """Held-out log-probabilities [n_held_out, K] and the inner accuracy of training labels [n_training].

    What penalty and offsets are chosen from must not judge them: each of the parts is read with those that the other
    parts choose.
    """
    part = _parts(labels, groups)
    n_parts = int(part.max()) + 1
    chosen_from = np.arange(-1, n_parts)[:, None] != part  # all images first, then all but one part
    read, inner = _read_fold(ridge, np.repeat(labels[None], n_parts + 1, axis=0), chosen_from, n_classes)
    own = inner[part + 1, np.arange(len(labels))]
    recalls = [np.mean(own[labels == k] == k) for k in range(n_classes)]
    return read[0], float(np.mean(recalls))


def _parts(labels: Ints, groups: Ints) -> Ints:
    """A part for every image, [n_images]: the groups of each class, by their first image, dealt out in turn."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    of_group = labels[first]
    dealt = np.empty(len(first), dtype=np.int64)
    n_parts = max(2, min(N_PARTS, int(np.bincount(of_group).min())))
    for k in np.unique(of_group):
        members = of_group == k
        dealt[members] = np.arange(members.sum()) % n_parts
    return dealt[group]


def _read_fold(ridge: Ridge, labels: Ints, chosen_from: Bools, n_classes: int) -> tuple[Floats, Ints]:
    """Held-out log-probabilities [n_sets, n_held_out, K] and the classes read of the left-out training images [n_sets,
    n_training], of training labels [n_sets, n_training]. Each set has the penalty that reads its left-out groups best,
    and the offsets, of the images where `chosen_from` [n_sets, n_training].

    Inside, the class comes first and the image last: sums over few classes then run over long rows, which numpy does
    several times faster. The last class's column is left out, being minus the sum of the others.
    """
    one_hot = (np.arange(n_classes)[:, None, None] == labels).astype(ridge.u.dtype)
    counts = one_hot.sum(axis=2)
    y = one_hot[:-1] - one_hot[:-1].mean(axis=2, keepdims=True)
    target = y @ ridge.u
    one_hot *= chosen_from
    shares = one_hot / np.maximum(one_hot.sum(axis=2, keepdims=True), 1)
    weights = shares.sum(axis=0) / n_classes
    n_sets = len(labels)
    least = np.full(n_sets, np.inf)
    read = np.empty((n_classes, n_sets, len(ridge.u_held_out)))
    inner_read = np.empty(labels.shape, dtype=np.int64)
    for penalty in ridge.penalties:
        left_out, held_out = ridge.scores(y, target, penalty)
        fitted = ridge.class_means(target, penalty, counts)
        discriminants = Discriminants.fit(left_out, fitted, one_hot, shares, ridge.directions(target, penalty))
        inner = discriminants.log_probabilities(left_out)
        own = np.take_along_axis(inner, labels[None], axis=0)[0]
        loss = -np.einsum("sn,sn->s", own, weights)
        better = loss < least
        least[better] = loss[better]
        read[:, better] = discriminants.of(better).log_probabilities(held_out[:, better])
        inner_read[better] = inner[:, better].argmax(axis=0)
    return read.transpose(1, 2, 0), inner_read


@dataclass(frozen=True)
class Ridge:
    """Training features factorised once for every penalty and labelling.

    u [n_training, rank], u_held_out [n_held_out, rank]: left singular vectors, and held-out features in their terms;
    values [rank]: eigenvalues of the Gram matrix; blocks: rows of the groups by size.
    """

    u: Floats
    u_held_out: Floats
    values: Floats
    blocks: list[Ints]

    @staticmethod
    def factorise(x: Floats, x_held_out: Floats, groups: Ints) -> Ridge:
        """Of standardised features [n_training, width] and [n_held_out, width]."""
        n, width = x.shape
        values, vectors = np.linalg.eigh(x.T @ x if width <= n else x @ x.T)
        keep = values > max(values.max(), 1e-12) * 1e-10
        values, vectors = values[keep], vectors[:, keep]
        if width <= n:
            u, u_held_out = x @ (vectors / np.sqrt(values)), x_held_out @ (vectors / np.sqrt(values))
        else:
            u, u_held_out = vectors, (x_held_out @ x.T) @ (vectors / values)
        return Ridge(u, u_held_out, values, _groups_by_size(groups))

    def to(self, precision: type[np.float64] | type[np.float32]) -> Ridge:
        """The same with singular vectors in another precision."""
        u: Any = self.u.astype(precision, copy=False)
        u_held_out: Any = self.u_held_out.astype(precision, copy=False)
        return replace(self, u=u, u_held_out=u_held_out)

    @property
    def penalties(self) -> Floats:
        return np.asarray(PENALTIES * (self.values.mean() if len(self.values) else 1.0))

    def directions(self, target: Floats, penalty: float) -> Floats:
        """Axes [n_sets, K - 1, K - 1] along which the scores of centred labels y vary, with target [K - 1, n_sets,
        rank] = y @ u; 0 for an axis along which they hardly do.
        """
        n_scores = len(target)
        coefficients = (target * self._shrink(penalty)).transpose(1, 0, 2)
        # All K classes alike: the last one's scores are minus the sum of the others.
        values, vectors = np.linalg.eigh(np.eye(n_scores) + 1)
        root = vectors * np.sqrt(values) @ vectors.T
        size, axes = np.linalg.eigh(root @ (coefficients @ coefficients.transpose(0, 2, 1)) @ root)
        kept = axes * (size > LEAST_DIRECTION**2 * size[:, -1:])[:, None]
        onto: Floats = kept.transpose(0, 2, 1) @ root
        return onto.astype(self.u.dtype)

    def class_means(self, target: Floats, penalty: float, counts: Floats) -> Floats:
        """Mean scores of the training images of each class, [n_sets, K, K - 1], with no group left out; counts
        [K, n_sets].
        """
        sums = np.concatenate([target, -target.sum(axis=0, keepdims=True)])
        means: Floats = sums.transpose(1, 0, 2) @ (target * self._shrink(penalty)).transpose(1, 2, 0)
        return means / counts.T[:, :, None]

    def _shrink(self, penalty: float) -> Floats:
        shrink: Floats = (self.values / (self.values + penalty)).astype(self.u.dtype)
        return shrink

    def scores(self, y: Floats, target: Floats, penalty: float) -> tuple[Floats, Floats]:
        """Scores of centred labels y [..., n_training], with target = y @ u: [..., n_training] with the own group left
        out, and [..., n_held_out].
        """
        n = y.shape[-1]
        if not len(self.values):
            # Constant features: what rounding leaves of the labels below must not be read.
            return np.zeros_like(y), np.zeros((*y.shape[:-1], len(self.u_held_out)))
        shrink = self._shrink(penalty)
        coefficients = target * shrink
        residual = y - coefficients @ self.u.T
        left_out = np.empty_like(y)
        for rows in self.blocks:
            ug = self.u[rows]
            hat = (ug * shrink) @ ug.transpose(0, 2, 1) + 1 / n
            inverse = np.linalg.inv((1 + 1e-9) * np.eye(rows.shape[1]) - hat).astype(y.dtype)
            own = y[..., rows]
            # Without its own group the mean label moves away from the group's class; scores that carry this shift let
            # the discriminant read every label off pure noise. What is kept is the slope's part, relative to the
            # others' mean.
            mean_without = -own.sum(axis=-1, keepdims=True) / max(n - rows.shape[1], 1)
            # Groups first, so that each is one product of matrices.
            told = np.moveaxis(residual[..., rows].reshape(-1, *rows.shape), 0, 1) @ inverse.transpose(0, 2, 1)
            left_out[..., rows] = own - mean_without - np.moveaxis(told, 0, 1).reshape(own.shape)
        return left_out, coefficients @ self.u_held_out.T


def _groups_by_size(groups: Ints) -> list[Ints]:
    """Row indices of the groups, one array [n_groups, size] for each size that occurs."""
    order = np.argsort(groups, kind="stable")
    _, counts = np.unique(groups, return_counts=True)
    members = np.split(order, np.cumsum(counts)[:-1])
    return [np.stack([m for m in members if len(m) == size]) for size in np.unique(counts)]


@dataclass(frozen=True)
class Discriminants:
    """Nearest class means, with equal class priors, on scores [K - 1, n_sets, n]: the class offsets of a probe, in
    closed form, for every labelling.

    weights: [n_sets, K, K - 1]. offsets: [n_sets, K].
    """

    weights: Floats
    offsets: Floats

    @staticmethod
    def fit(scores: Floats, fitted: Floats, one_hot: Floats, shares: Floats, onto: Floats) -> Discriminants:
        """scores: with the own group left out. fitted [n_sets, K, K - 1]: class means of the scores with none left out.
        one_hot [K, n_sets, n]; shares: the same, each image's share of its class; onto [n_sets, K - 1, K - 1]: axes.

        The class means have the pattern of `fitted` and the length that the left-out scores give it, but never a
        negative one; around them the scores vary alike in all directions. Means and covariances of the left-out scores
        alone turn a direction around where these happen to contradict the labels: noise is then read better inside, and
        what there is worse outside (benchmarks/small_samples.py).
        """
        n_classes = len(one_hot)
        scores = (onto @ scores.transpose(1, 0, 2)).transpose(1, 0, 2)
        means = np.einsum("ksn,dsn->skd", shares, scores)
        # Class-balanced within-class variance, so that no class sets the scale by its number.
        weights = shares.sum(axis=0) / n_classes
        variance = np.einsum("dsn,dsn,sn->s", scores, scores, weights) - (means**2).sum(axis=2).mean(axis=1)
        centre = means.mean(axis=1, keepdims=True)
        pattern = fitted @ onto.transpose(0, 2, 1)
        pattern -= pattern.mean(axis=1, keepdims=True)
        size = (pattern**2).sum(axis=(1, 2))
        length = (pattern * means).sum(axis=(1, 2)) / np.where(size > 0, size, 1)
        offset = pattern * np.maximum(length, LEAST_LENGTH)[:, None, None]
        directions = offset / np.maximum(variance / (n_classes - 1), 1e-12)[:, None, None]
        offsets = -0.5 * np.einsum("skd,skd->sk", directions, offset + 2 * centre)
        return Discriminants((directions @ onto).astype(scores.dtype), offsets.astype(scores.dtype))

    def of(self, sets: Bools) -> Discriminants:
        """Those of some labellings."""
        return Discriminants(self.weights[sets], self.offsets[sets])

    def log_probabilities(self, scores: Floats) -> Floats:
        """[K, n_sets, n]."""
        logits = np.empty((self.offsets.shape[1], *scores.shape[1:]), scores.dtype)
        for k, of_class in enumerate(logits):
            np.multiply(scores[0], self.weights[:, k, 0, None], out=of_class)
            for d in range(1, len(scores)):
                of_class += self.weights[:, k, d, None] * scores[d]
            of_class += self.offsets[:, k, None]
        logits -= logits.max(axis=0)
        logits -= np.log(np.exp(logits).sum(axis=0))
        return logits
