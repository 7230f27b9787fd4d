"""The ridge probe on few images beside scikit-learn's RidgeClassifier, and what it believes of itself.

    python -m benchmarks.small_samples --work DIR [--shard 1/8]

Cells are drawn in an order of chance and kept in DIR, so that a part of them says something already. Writes
benchmarks/results/small_samples.json and docs/studies/small-samples.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study import Rows, Study, chosen

N_IMAGES = (60, 120, 200, 400, 800)
WIDTHS = (16, 64, 256, 1024)
STRENGTHS = {"weak": 0.3, "middle": 0.6, "strong": 0.9}
"""Signal of the best linear reader that knows the distribution, in words."""
PER_GROUP = 2
WITHIN = 0.3
"""Share of the variance of the noise that the images of a group have in common."""
SPECTRUM = 0.5
"""Columns' noise and signal fall as their number to the power of minus this, before standardising."""
SECONDS, MOST_RUNS, LEAST_RUNS = 4.0, 40, 3
"""What a cell may take, by estimate, and the data sets it has at most and at least."""
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
    """What scikit-learn's RidgeClassifier(class_weight="balanced") reads of z, [n_penalties, n_z]."""
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
    from medprobe.diagnostics.probes import folds
    from medprobe.diagnostics.scores import balanced_accuracy

    # The probe's own grid: relative to the mean eigenvalue of the Gram matrix.
    penalties = PENALTIES * (x**2).sum() / min(x.shape)
    try:
        fold = folds.assign(labels, groups, N_INNER, seed)
    except folds.TooFewGroups:
        return ridge_classifier(x, labels, z, penalties[4:5], n_classes).ravel()
    read = np.empty((len(penalties), len(labels)), dtype=np.int64)
    for f in range(int(fold.max()) + 1):
        inside = fold != f
        read[:, ~inside] = ridge_classifier(x[inside], labels[inside], x[~inside], penalties, n_classes)
    chosen = int(np.argmax([balanced_accuracy(labels, one, n_classes) for one in read]))
    return ridge_classifier(x, labels, z, penalties[chosen : chosen + 1], n_classes).ravel()


def n_runs(cell: Cell) -> int:
    rows = 0.64 * cell.n_images
    seconds = 0.1 + 1e-7 * rows * cell.width * min(rows, cell.width)
    return int(np.clip(SECONDS / seconds, LEAST_RUNS, MOST_RUNS))


def run(cell: Cell, runs: int | None = None, first: int = 0) -> dict[str, Any]:
    """Balanced accuracies held out, of the probe and of scikit-learn's, and the probe's inner one, with errors."""
    from medprobe.diagnostics.probes import folds, ridge
    from medprobe.diagnostics.probes.reading import standardise
    from medprobe.diagnostics.scores import balanced_accuracy

    found = []
    for seed in range(first, first + (runs or n_runs(cell))):
        rng = np.random.default_rng([seed, *map(ord, repr(cell))])
        x, labels, groups = draw(cell, rng)
        k = cell.n_classes
        fold = folds.assign(labels, groups, 5, seed)
        reading = ridge.read_ridge(x, labels, groups, fold)
        other = np.empty_like(labels)
        for f in range(int(fold.max()) + 1):
            inside = fold != f
            a, b = standardise(x[inside], x[~inside])
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


def page(found: Mapping[str, Any]) -> str:
    rows = found["cells"]
    behind = [row for row in rows if row["difference"][0] < -3 * row["difference"][1]]
    off = [row for row in rows if abs(row["inner_bias"][0]) > 2 + 3 * row["inner_bias"][1]]
    lines = [
        "# The probe on few images",
        "",
        "    python -m benchmarks.small_samples --work DIR",
        "",
        "All data are in [benchmarks/results/small_samples.json](../../benchmarks/results/small_samples.json).",
        "",
        "**What is drawn.** Gaussian classes whose columns share directions, two images a patient, whose "
        "noise agrees in "
        "part. *Strength* is the",
        "signal of the best linear reader that knows the distribution: "
        f"{', '.join(f'{name} {100 * value:g}' for name, value in STRENGTHS.items())} points (two classes). "
        "Classes are",
        f"equal or 80:20. {min(r['n_runs'] for r in rows)} to {max(r['n_runs'] for r in rows)} data sets a "
        "cell, with seeds "
        "on which nothing was chosen.",
        "",
        '**Beside what.** scikit-learn\'s `RidgeClassifier(class_weight="balanced")`, on the same folds and '
        "penalties, its "
        "penalty the one that reads",
        "best in grouped, stratified cross-validation inside; worked out by one decomposition, equal to "
        "scikit-learn's in "
        "the tests.",
        "",
        f"{len(rows)} of the {len(list(cells()))} cells have been drawn so far, in an order of chance. The error of a",
        "cell with few data sets is itself uncertain.",
        "",
        f"Cells in which the probe reads less beyond three standard errors: {len(behind)} of {len(rows)}. "
        "Cells whose inner "
        f"accuracy is off by more than",
        f"2 points beyond three standard errors: {len(off)}. Mean over cells: {_mean(rows, 'difference'):+.2f} points "
        f"against scikit-learn's, inner accuracy {_mean(rows, 'inner_bias'):+.2f} points.",
        "",
        "Where a class comes from 3 patients, each part of a training part is judged by what a single one chooses: the",
        f"inner accuracy is then too low, by up to {-min(row['inner_bias'][0] for row in rows):.0f} points in these "
        "cells.",
        "",
        "Points of balanced accuracy, with standard errors: the probe's, its lead, and its inner accuracy "
        "less the held-out "
        "one.",
        "",
        "| images | width | strength | classes | ratio | reads | lead | inner accuracy |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['n_images']} | {row['width']} | {row['strength']} | {row['n_classes']} | "
            f"{'80:20' if row['skewed'] else 'equal'} | {row['accuracy'][0]:.1f} | {_with_error(row['difference'])} | "
            f"{_with_error(row['inner_bias'])} |"
            for row in rows
        ),
    ]
    return "\n".join([*lines, ""])


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(np.mean([row[key][0] for row in rows]))


def _with_error(told: Sequence[float]) -> str:
    return f"{told[0]:+.1f} ({told[1]:.1f})"


STUDY = Study("small_samples", page)


def main() -> None:
    given = STUDY.parser(__doc__, "--work", "--shard", "--limit").parse_args()
    every = list(cells())
    shuffled = [every[i] for i in np.random.default_rng(0).permutation(len(every))]
    rows = Rows(given.work, "small_samples", Cell.__dataclass_fields__, given.shard[0])
    rows.fill(chosen(shuffled, given.shard, given.limit), run)
    missing = set(rows.missing(every))
    STUDY.publish({"cells": rows.of(cell for cell in every if cell not in missing)})


if __name__ == "__main__":
    main()
