"""The paper's probe: two linear layers with ReLU and dropout, for all folds of a locus in one batched training.

AdamW at 1e-4, cosine schedule after 5 percent of warm-up, 20 epochs, batches of 4 (arXiv 2604.08333). The paper gives
no hidden width; it is HIDDEN here. For every fold a second head is trained without the fold that follows, which it then
predicts: that is the inner reading by which an exit is chosen.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diagnostics.probing import Reading, standardise
from diagnostics.scores import balanced_accuracy

HIDDEN, DROPOUT, LEARNING_RATE, WARM_UP, EPOCHS, BATCH = 256, 0.1, 1e-4, 0.05, 20, 4

Ints = NDArray[np.int64]


def read_mlp(features: NDArray[np.float32], labels: Ints, groups: Ints, folds: Ints, seed: int) -> Reading:
    """Held-out log-probabilities of [n_images, width] features; `folds` already keep groups together."""
    n_folds, n_classes = int(folds.max()) + 1, int(labels.max()) + 1
    training = [folds != f for f in range(n_folds)]
    inner_held_out = [folds == (f + 1) % n_folds for f in range(n_folds)]
    masks = [*training, *(t & ~h for t, h in zip(training, inner_held_out, strict=True))]
    scaled = [standardise(features[mask], features)[1].astype(np.float32) for mask in masks]
    logits = _train(_shorten(np.stack(scaled)), labels, masks, n_classes, seed)
    log_probabilities = np.empty((len(labels), n_classes))
    inner = []
    for f in range(n_folds):
        log_probabilities[folds == f] = logits[f, folds == f]
        held_out = inner_held_out[f]
        inner.append(balanced_accuracy(labels[held_out], logits[n_folds + f, held_out].argmax(axis=1), n_classes))
    return Reading(log_probabilities, np.array(inner))


def _shorten(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n_heads, n_images, width], rotated to n_images columns where wider: every linear map of it stays possible."""
    n_images, width = x.shape[1:]
    return x if width <= n_images else np.stack([np.asarray(np.linalg.qr(part.T, mode="r")).T for part in x])


def _train(
    x: NDArray[np.float32], labels: Ints, masks: list[NDArray[np.bool_]], n_classes: int, seed: int
) -> NDArray[np.float64]:
    """One head a mask, trained on its rows; class-balanced log-probabilities of all rows, [n_masks, n_images, K]."""
    generator = torch.Generator().manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data, target = torch.from_numpy(x).to(device), torch.from_numpy(labels).to(device)
    n_heads, _, width = data.shape
    rows = [torch.from_numpy(np.flatnonzero(mask)) for mask in masks]
    longest = max(len(r) for r in rows)
    n_steps = math.ceil(longest / BATCH) * EPOCHS

    def parameter(*shape: int, fan: int) -> Tensor:
        values = (torch.rand(*shape, generator=generator) * 2 - 1) / math.sqrt(fan)
        return values.to(device).requires_grad_()

    w1, b1 = parameter(n_heads, width, HIDDEN, fan=width), parameter(n_heads, 1, HIDDEN, fan=width)
    w2, b2 = parameter(n_heads, HIDDEN, n_classes, fan=HIDDEN), parameter(n_heads, 1, n_classes, fan=HIDDEN)
    optimizer = torch.optim.AdamW([w1, b1, w2, b2], lr=LEARNING_RATE, fused=True)
    warm_up = max(1, round(WARM_UP * n_steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / warm_up, 0.5 * (1 + math.cos(math.pi * max(0, step - warm_up) / (n_steps - warm_up)))
        ),
    )
    head = torch.arange(n_heads)[:, None]
    for _ in range(EPOCHS):
        order = torch.stack(
            [r[torch.randperm(len(r), generator=generator)].repeat(-(-longest // len(r)))[:longest] for r in rows]
        )
        for start in range(0, longest, BATCH):
            batch = order[:, start : start + BATCH]
            hidden = functional.relu(torch.baddbmm(b1, data[head, batch], w1))
            keep = (torch.rand(hidden.shape, generator=generator) >= DROPOUT).to(device) / (1 - DROPOUT)
            scores = torch.baddbmm(b2, hidden * keep, w2)
            # Summed over heads, so that each head has the gradient it would have alone.
            loss = (
                functional.cross_entropy(scores.flatten(0, 1), target[batch].flatten(), reduction="sum")
                / batch.shape[1]
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        scores = torch.baddbmm(b2, functional.relu(torch.baddbmm(b1, data, w1)), w2)
    prior = np.stack([np.bincount(labels[mask], minlength=n_classes) / mask.sum() for mask in masks])
    balanced = scores.cpu().double() - torch.from_numpy(np.log(np.maximum(prior, 1e-9)))[:, None]
    return torch.log_softmax(balanced, dim=-1).numpy()
