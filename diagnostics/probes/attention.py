"""A small attention probe on region means: which of the sixteen regions count is learnt, image by image.

A lesion of 1 to 3 percent of the picture is diluted by a mean, and a probe on the regions side by side must learn it
anew in every region. Here a few learnt queries weigh the regions of each image before one linear reading, as the
attentive probes of self-supervised learning do (Bardes et al. 2024, arXiv 2404.08471, and others), with one layer. On
three sets of phantom images with such lesions, K-means filters read 67 to 72 points of signal by their mean, 44 to 59
by regions side by side and 73 to 81 by attention (`python -m benchmarks.small_lesions`).

For every fold a second head is trained without the fold that follows, which it then predicts: the inner reading by
which exits are chosen.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medprobe.diagnostics.arrays import Bools, Features, Floats, Ints
from medprobe.diagnostics.probes.reading import Reading, constant_columns
from medprobe.diagnostics.scores import balanced_accuracy

REGIONS = 16
HEADS, WIDTH = 4, 64
"""Queries, and principal components kept of a region's features."""
STEPS, RATE, DECAY = 60, 0.05, 5.0
"""AdamW over the whole training part at once, cosine schedule. The decay stands for early stopping: it pulls the
queries towards the plain mean."""


def read_attention(regions: Features, labels: Ints, folds: Ints, seed: int) -> Reading:
    """Held-out log-probabilities of [n_images, 16 * width] region means; `folds` already keep groups together."""
    n_folds, n_classes = int(folds.max()) + 1, int(labels.max()) + 1
    states = regions.reshape(len(labels), REGIONS, -1)
    outer = [folds != f for f in range(n_folds)]
    following = [folds == (f + 1) % n_folds for f in range(n_folds)]
    masks = np.stack([*outer, *(o & ~h for o, h in zip(outer, following, strict=True))])
    rotated = _stacked([_components(states, mask) for mask in masks[:n_folds]]).repeat(2, 1, 1, 1)
    log_probabilities = _train(rotated, torch.from_numpy(labels), torch.from_numpy(masks), n_classes, seed)
    held_out = np.empty((len(labels), n_classes))
    inner = []
    for f in range(n_folds):
        held_out[folds == f] = log_probabilities[f, folds == f]
        rows = following[f]
        inner.append(balanced_accuracy(labels[rows], log_probabilities[n_folds + f, rows].argmax(axis=1), n_classes))
    return Reading(held_out, np.array(inner))


def _components(states: Features, training: Bools) -> Tensor:
    """[n_images, 16, width] -> [n_images, 16, at most WIDTH]: whitened principal components of the training regions."""
    x = states.astype(np.float64)
    seen = x[training].reshape(-1, x.shape[2])
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)
    constant = constant_columns(mean, deviation)
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
    seen = (seen - mean) * scale
    values, vectors = np.linalg.eigh(seen.T @ seen / len(seen))
    kept = np.argsort(values)[::-1][:WIDTH]
    kept = kept[values[kept] > max(values.max(), 1e-12) * 1e-8]
    return torch.from_numpy((((x - mean) * scale) @ vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32))


def _stacked(parts: list[Tensor]) -> Tensor:
    """One tensor of all folds; a fold that lacks a direction which others have has zeros in its place."""
    width = max(part.shape[-1] for part in parts)
    return torch.stack([functional.pad(part, (0, width - part.shape[-1])) for part in parts])


def _train(states: Tensor, labels: Tensor, masks: Tensor, n_classes: int, seed: int) -> Floats:
    """One head a mask, all at once; class-balanced log-probabilities of all images, [n_masks, n_images, K]."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(seed)
    n_masks, n_images, _, width = states.shape
    states, target = states.to(device), labels.to(device).repeat(n_masks)
    queries = (torch.randn(n_masks, width, HEADS, generator=generator) / width**0.5).to(device).requires_grad_()
    weights = torch.zeros(n_masks, HEADS * width, n_classes, device=device, requires_grad=True)
    offsets = torch.zeros(n_masks, 1, n_classes, device=device, requires_grad=True)
    share = torch.stack([1 / torch.bincount(labels[mask], minlength=n_classes).float() for mask in masks]) / n_classes
    importance = (masks.float() * share[:, labels]).to(device)

    def scores() -> Tensor:
        attention = torch.softmax(torch.einsum("mnrd,mdh->mnrh", states, queries), dim=2)
        pooled = torch.einsum("mnrh,mnrd->mnhd", attention, states).reshape(n_masks, n_images, -1)
        return torch.baddbmm(offsets, pooled, weights)

    optimizer = torch.optim.AdamW([queries, weights, offsets], lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        # Summed over heads, so that each has the gradient it would have alone.
        wrong = functional.cross_entropy(scores().flatten(0, 1), target, reduction="none").view(n_masks, n_images)
        optimizer.zero_grad()
        (wrong * importance).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return torch.log_softmax(scores().double(), dim=-1).cpu().numpy()
