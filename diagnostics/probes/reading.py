"""What a probe read: out-of-fold predictions, and what they are worth inside the training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics.arrays import Bools, Features, Floats, Ints
from medprobe.diagnostics.scores import first_best

ROUNDING = 1e-5
"""A column that varies by no more than this share of its own size, or of the locus's (root mean square), is constant.

What float32 arithmetic leaves of the image in a state that does not depend on it must not be scaled up and read: with
all value projections of a small Qwen2.5-VL emptied, its last token varied by 4e-7 of the largest column and was read
with 29 points.
"""


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


def best(readings: Sequence[Reading], folds: Ints) -> Reading:
    """In every fold the reading that was best inside its training part; the first wins a tie."""
    inner = np.stack([reading.inner_accuracy for reading in readings])
    chosen = first_best(inner)
    stacked = np.stack([reading.log_probabilities for reading in readings])
    return Reading(stacked[chosen[folds], np.arange(len(folds))], inner[chosen, np.arange(len(chosen))])


def standardise(training: Features, held_out: Features) -> tuple[Floats, Floats]:
    """Both parts scaled by the mean and standard deviation of the training part; constant columns become 0."""
    x, z = training.astype(np.float64), held_out.astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    constant = constant_columns(mean, deviation)
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
    return (x - mean) * scale, (z - mean) * scale


def constant_columns(mean: Floats, deviation: Floats) -> Bools:
    """Which columns do not vary, [width], of their means and standard deviations."""
    return np.asarray(deviation <= ROUNDING * np.maximum(np.abs(mean), np.sqrt(np.mean(mean**2))))
