"""Which images make a step: by the seed alone, so that a run that goes on sees what an undisturbed one does."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.arrays import Ints


def rows_of(step: int, n_images: int, batch: int, seed: int) -> Ints:
    """The `batch` rows of a step, counted from 0. Steps follow each other through one order of all images after
    another.
    """
    first, last = step * batch, (step + 1) * batch
    epochs = range(first // n_images, (last - 1) // n_images + 1)
    orders = [np.random.default_rng((seed, epoch)).permutation(n_images) for epoch in epochs]
    start = first - epochs[0] * n_images
    return np.concatenate(orders)[start : start + batch]


def passes(rows: Ints, process: int, n_processes: int, micro_batch: int) -> list[Ints]:
    """The part of a process, in pieces that pass through its GPU at once."""
    mine = rows[process::n_processes]
    return [mine[i : i + micro_batch] for i in range(0, len(mine), micro_batch)]
