"""The ridge probe on few images beside scikit-learn's RidgeClassifier, and what it believes of itself.

    python -m benchmarks.small_samples run --part 1 --of 4    # and 2, 3, 4: minutes each on one core
    python -m benchmarks.small_samples time
    python -m benchmarks.small_samples page

Writes benchmarks/small_samples.json and docs/small-samples.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ROWS = HERE / "small_samples.json"
PAGE = HERE.parent / "docs" / "small-samples.md"

N_IMAGES = (60, 120, 200, 400, 800)
WIDTHS = (16, 64, 256, 1024)
STRENGTHS = {"weak": 0.15, "middle": 0.4, "strong": 0.75}
"""Signal of the best linear reader that knows the distribution, in words."""
PER_GROUP = 2
WITHIN = 0.3
"""Share of the variance of the noise that the images of a group have in common."""
SPECTRUM = 0.5
"""Columns' noise and signal fall as their number to the power of minus this, before standardising."""
MOST_WORK = 4e8
"""Images times images times columns of a cell's data sets, which sets how many are drawn."""
LEAST_RUNS, MOST_RUNS = 40, 300
N_INNER = 5
PENALTIES = np.logspace(-3, 4, 8)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    n_images: int
    width: int
    strength: str
    n_classes: int
    skewed: bool


def cells() -> Iterator[Cell]:
    for values in itertools.product(N_IMAGES, WIDTHS, STRENGTHS, (2, 3), (False, True)):
        yield Cell(*values)


def draw(cell: Cell, rng: np.random.Generator) -> tuple[NDArray[np.float32], Ints, Ints]:
    """Features [n_images, width] of Gaussian classes in a mixed basis, labels and groups."""
    k, n_groups = cell.n_classes, cell.n_images // PER_GROUP
    shares = np.full(k, 1 / k) if not cell.skewed else np.r_[0.8, np.full(k - 1, 0.2 / (k - 1))]
    of_group = np.repeat(np.arange(k), np.maximum(np.round(shares * n_groups).astype(int), 1))[:n_groups]
    of_group = rng.permutation(np.r_[of_group, np.zeros(n_groups - len(of_group), int)])
    groups = np.repeat(np.arange(n_groups), PER_GROUP)
    labels = of_group[groups]
    noise = np.sqrt(WITHIN) * rng.normal(size=(n_groups, cell.width))[groups]
    noise += np.sqrt(1 - WITHIN) * rng.normal(size=(len(groups), cell.width))
    scale = np.arange(1, cell.width + 1) ** -SPECTRUM
    centres = rng.normal(size=(k, cell.width)) * scale
    centres -= centres.mean(axis=0)
    # Distance between two classes in units of the noise: the best linear reader's signal is 2 Phi(d / 2) - 1.
    centres *= distance(STRENGTHS[cell.strength]) / np.sqrt(2 * (centres**2).sum() / (k - 1))
    mixing = np.linalg.qr(rng.normal(size=(cell.width, min(cell.width, 64))))[0]
    x = noise + centres[labels]
    x += 2 * (x @ mixing) @ mixing.T  # columns that share directions, as features do
    return x.astype(np.float32), labels, groups


def distance(signal: float) -> float:
    from scipy.stats import norm

    return float(2 * norm.ppf((signal + 1) / 2))


def ridge_classifier(x: Floats, labels: Ints, z: Floats, penalties: Floats, n_classes: int) -> Ints:
    """What scikit-learn's RidgeClassifier(class_weight="balanced") reads of z, [n_penalties, n_z], by one decomposition."""
    weights = len(labels) / (n_classes * np.bincount(labels, minlength=n_classes))[labels]
    y = np.where(labels[:, None] == np.arange(n_classes), 1.0, -1.0)
    x_mean, y_mean = np.average(x, axis=0, weights=weights), np.average(y, axis=0, weights=weights)
    root = np.sqrt(weights)[:, None]
    u, s, v = np.linalg.svd((x - x_mean) * root, full_matrices=False)
    told, seen = u.T @ ((y - y_mean) * root), (z - x_mean) @ v.T
    scores = [y_mean + (seen * (s / (s**2 + penalty))) @ told for penalty in penalties]
    return np.asarray(np.stack(scores).argmax(axis=2), dtype=np.int64)


def inner_cross_validated(x: Floats, labels: Ints, groups: Ints, z: Floats, n_classes: int, seed: int) -> Ints:
    """RidgeClassifier whose penalty reads best, in balanced accuracy, in grouped stratified cross-validation inside."""
    from diagnostics import folds
    from diagnostics.scores import balanced_accuracy

    # The probe's own grid: relative to the mean eigenvalue of the Gram matrix.
    penalties = PENALTIES * (x**2).sum() / min(x.shape)
    try:
        fold = folds.assign(labels, groups, N_INNER, seed)
    except folds.TooFewGroups:
        return ridge_classifier(x, labels, z, penalties[4:5], n_classes)[0]
    read = np.empty((len(penalties), len(labels)), dtype=np.int64)
    for f in range(int(fold.max()) + 1):
        inside = fold != f
        read[:, ~inside] = ridge_classifier(x[inside], labels[inside], x[~inside], penalties, n_classes)
    chosen = int(np.argmax([balanced_accuracy(labels, one, n_classes) for one in read]))
    return ridge_classifier(x, labels, z, penalties[chosen : chosen + 1], n_classes)[0]


def n_runs(cell: Cell) -> int:
    work = cell.n_images * min(cell.n_images, cell.width) * max(cell.n_images, cell.width)
    return int(np.clip(MOST_WORK / work, LEAST_RUNS, MOST_RUNS))


def run(cell: Cell, runs: int | None = None, first: int = 0) -> dict[str, Any]:
    """Balanced accuracies held out of the probe and of scikit-learn's, and the probe's inner one, with standard errors."""
    from diagnostics import folds, probing
    from diagnostics.scores import balanced_accuracy

    found = []
    for seed in range(first, first + (runs or n_runs(cell))):
        rng = np.random.default_rng([seed, *map(ord, repr(cell))])
        x, labels, groups = draw(cell, rng)
        k = cell.n_classes
        fold = folds.assign(labels, groups, 5, seed)
        reading = probing.read_ridge(x, labels, groups, fold)
        other = np.empty_like(labels)
        for f in range(int(fold.max()) + 1):
            inside = fold != f
            a, b = probing.standardise(x[inside], x[~inside])
            other[~inside] = inner_cross_validated(a, labels[inside], groups[inside], b, k, seed)
        found.append(
            [
                balanced_accuracy(labels, reading.predictions, k),
                balanced_accuracy(labels, other, k),
                float(reading.inner_accuracy.mean()),
            ]
        )
    of = np.array(found)

    def told(values: Floats) -> list[float]:
        return [round(100 * float(values.mean()), 2), round(100 * float(values.std(ddof=1) / np.sqrt(len(values))), 2)]

    return {
        **asdict(cell),
        "n_runs": len(of),
        "accuracy": told(of[:, 0]),
        "difference": told(of[:, 0] - of[:, 1]),
        "inner_bias": told(of[:, 2] - of[:, 0]),
    }
