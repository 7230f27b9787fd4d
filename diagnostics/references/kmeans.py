"""The supervised reference: what the images allow, whatever the model under test does with them.

The default preset is fixed before looking and the same for every data set: a convolutional layer of K-means filters
over whitened patches (Coates, Lee and Ng 2011, "An analysis of single-layer networks in unsupervised feature
learning"), pooled over a 4 x 4 lattice, and read by the probe on the same folds as every other locus. Filters are
learnt from the images without labels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

NAME = "kmeans-filters-64px-6x6-128"
SIDE, PATCH, N_FILTERS, POOL = 64, 6, 128, 4
N_PATCHES = 60_000
POSITIONS = SIDE - PATCH + 1
"""Places of a patch along a side."""
BATCH = 16
"""Images at once: with 64 their responses are memory that is asked of the system and given back for every step."""


def pixels(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the reference sees of small pictures: [n_images, 64, 64] grey values in 0..1."""
    return grey.astype(np.float32) / np.float32(255)


def features(images: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """[n_images, 64, 64] -> [n_images, 16, 128] filter responses, averaged over each region of the lattice."""
    stack = torch.from_numpy(images)[:, None]
    mean, whiten, atoms = _learn_filters(stack, seed)
    pooled = [_respond(stack[i : i + BATCH], mean, whiten, atoms) for i in range(0, len(stack), BATCH)]
    return torch.cat(pooled).transpose(1, 2).contiguous().numpy()


def _patches(stack: Tensor) -> Tensor:
    """[n, 1, side, side] -> [n, positions, PATCH * PATCH], each with its brightness and contrast taken out."""
    patches = functional.unfold(stack, PATCH).transpose(1, 2)
    patches = patches - patches.mean(dim=2, keepdim=True)
    return patches / (patches.var(dim=2, keepdim=True) + 1e-3).sqrt()


def _learn_filters(stack: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    from sklearn.cluster import MiniBatchKMeans

    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(stack), size=min(len(stack), 600), replace=False)
    n_patches = len(chosen) * POSITIONS**2
    sample = _rows(stack[np.sort(chosen)], rng.choice(n_patches, size=min(n_patches, N_PATCHES), replace=False))
    mean = sample.mean(dim=0)
    centred = sample - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    whiten = vectors @ torch.diag((values.clamp(min=0) + 0.01).rsqrt()) @ vectors.T
    means = MiniBatchKMeans(N_FILTERS, random_state=seed, n_init=1, batch_size=4096, max_iter=30)
    means.fit((centred @ whiten).numpy())
    return mean, whiten, torch.from_numpy(means.cluster_centers_.astype(np.float32))


def _rows(stack: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """Some of the patches of all images, [n_rows, PATCH * PATCH]."""
    picked = torch.empty(len(rows), PATCH**2)
    of_batch = rows // (BATCH * POSITIONS**2)
    for i in np.unique(of_batch):
        patches = _patches(stack[i * BATCH : (i + 1) * BATCH]).reshape(-1, PATCH**2)
        here = of_batch == i
        picked[torch.from_numpy(here)] = patches[torch.from_numpy(rows[here] - i * BATCH * POSITIONS**2)]
    return picked


def _respond(stack: Tensor, mean: Tensor, whiten: Tensor, atoms: Tensor) -> Tensor:
    distance = torch.cdist((_patches(stack) - mean) @ whiten, atoms)
    response = (distance.mean(dim=2, keepdim=True) - distance).clamp(min=0)
    lattice = response.transpose(1, 2).reshape(len(stack), N_FILTERS, POSITIONS, POSITIONS)
    return functional.adaptive_avg_pool2d(lattice, POOL).flatten(2)
