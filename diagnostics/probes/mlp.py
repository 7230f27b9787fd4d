"""The paper's probe: two linear layers with ReLU and dropout, for all loci and folds in one batched training.

AdamW at 1e-4, cosine schedule after 5 percent of warm-up, 20 epochs, batches of 4 (arXiv 2604.08333). The paper gives
no hidden width; it is HIDDEN here. For every fold a second head is trained without the fold that follows, which it then
predicts: that is the inner reading by which an exit is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medprobe.diagnostics.arrays import Bools, Features, Floats, Ints
from medprobe.diagnostics.learning_rate import share_of_rate
from medprobe.diagnostics.probes.reading import Reading, standardise
from medprobe.diagnostics.scores import balanced_accuracy

HIDDEN, DROPOUT, LEARNING_RATE, WARM_UP, EPOCHS, BATCH = 256, 0.1, 1e-4, 0.05, 20, 4

AT_ONCE = {"cpu": 2**25, "cuda": 2**28}
"""Bytes of features and weights trained together, or one locus. What is over a processor's cache costs more than calls
saved: 8.2 s at 2^25, 10.1 s at 2^28 and 13.0 s locus by locus, for 13 loci of 96 columns and 600 images; not tried on a
GPU.
"""


def read_mlp(features: Features, labels: Ints, groups: Ints, folds: Ints, seed: int) -> Reading:
    """Held-out log-probabilities of [n_images, width] features; `folds` already keep groups together."""
    return read_mlp_loci([features], labels, folds, seed)[0]


def read_mlp_loci(features: Sequence[Features], labels: Ints, folds: Ints, seed: int) -> list[Reading]:
    """`read_mlp` of several loci, each as if it were the only one: all draw the same weights, batches and dropout."""
    n_folds, n_classes = int(folds.max()) + 1, int(labels.max()) + 1
    training = [folds != f for f in range(n_folds)]
    following = [folds == (f + 1) % n_folds for f in range(n_folds)]
    masks = [*training, *(t & ~h for t, h in zip(training, following, strict=True))]
    found: dict[int, Reading] = {}
    for together in _together([min(x.shape) for x in features], len(labels), len(masks)):
        x = np.stack([_scaled(features[i], masks) for i in together])
        for i, logits in zip(together, _train(x, labels, masks, n_classes, seed), strict=True):
            log_probabilities = np.empty((len(labels), n_classes))
            inner = []
            for f, rows in enumerate(following):
                log_probabilities[folds == f] = logits[f, folds == f]
                told = logits[n_folds + f, rows].argmax(axis=1)
                inner.append(balanced_accuracy(labels[rows], told, n_classes))
            found[i] = Reading(log_probabilities, np.array(inner))
    return [found[i] for i in range(len(features))]


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _together(widths: Sequence[int], n_images: int, n_masks: int) -> list[list[int]]:
    """Indices of loci of one width, as many as AT_ONCE allows."""
    parts: list[list[int]] = []
    for width in sorted(set(widths)):
        same = [i for i, w in enumerate(widths) if w == width]
        # Weights come with gradients and two moments.
        most = max(1, AT_ONCE[_device()] // (4 * n_masks * width * (n_images + 4 * HIDDEN)))
        parts += [same[start : start + most] for start in range(0, len(same), most)]
    return parts


def _scaled(features: Features, masks: Sequence[Bools]) -> Features:
    """[n_masks, n_images, width] features as each mask's rows standardise them."""
    return _shorten(np.stack([standardise(features[mask], features)[1].astype(np.float32) for mask in masks]))


def _shorten(x: Features) -> Features:
    """[n_heads, n_images, width], rotated to n_images columns where wider: every linear map of it stays possible."""
    n_images, width = x.shape[1:]
    return x if width <= n_images else np.stack([np.asarray(np.linalg.qr(part.T, mode="r")).T for part in x])


@torch.no_grad()
def _train(x: Features, labels: Ints, masks: list[Bools], n_classes: int, seed: int) -> Floats:
    """One head a locus and mask, trained on the mask's rows of x [n_loci, n_masks, n_images, width]; class-balanced
    log-probabilities of all rows, [n_loci, n_masks, n_images, K].
    """
    generator = torch.Generator().manual_seed(seed)
    device = _device()
    n_loci, n_masks, n_images, width = x.shape
    data = torch.from_numpy(x).to(device).flatten(0, 1)
    target = torch.from_numpy(labels).to(device)
    rows = [torch.from_numpy(np.flatnonzero(mask)) for mask in masks]
    longest = max(len(r) for r in rows)
    n_steps = math.ceil(longest / BATCH) * EPOCHS

    def parameter(*shape: int, fan: int) -> Tensor:
        values = (torch.rand(*shape, generator=generator) * 2 - 1) / math.sqrt(fan)
        return values.to(device).repeat(n_loci, 1, 1)

    w1, b1 = parameter(n_masks, width, HIDDEN, fan=width), parameter(n_masks, 1, HIDDEN, fan=width)
    w2, b2 = parameter(n_masks, HIDDEN, n_classes, fan=HIDDEN), parameter(n_masks, 1, n_classes, fan=HIDDEN)
    for weights in (w1, b1, w2, b2):
        weights.grad = torch.empty_like(weights)
    optimizer = torch.optim.AdamW([w1, b1, w2, b2], lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of_rate(step, n_steps, WARM_UP))
    head = torch.arange(n_loci * n_masks, device=device)[:, None]
    for _ in range(EPOCHS):
        order = torch.stack(
            [r[torch.randperm(len(r), generator=generator)].repeat(-(-longest // len(r)))[:longest] for r in rows]
        )
        for start in range(0, longest, BATCH):
            batch = order[:, start : start + BATCH].to(device).repeat(n_loci, 1)
            kept = torch.rand(n_masks, batch.shape[1], HIDDEN, generator=generator) >= DROPOUT
            kept = (kept.to(device) / (1 - DROPOUT)).repeat(n_loci, 1, 1)
            _gradients(data[head, batch], target[batch], kept, w1, b1, w2, b2)
            optimizer.step()
            schedule.step()
    scores = torch.baddbmm(b2, functional.relu(torch.baddbmm(b1, data, w1)), w2)
    prior = np.stack([np.bincount(labels[mask], minlength=n_classes) / mask.sum() for mask in masks])
    of_heads = scores.cpu().double().view(n_loci, n_masks, n_images, n_classes)
    balanced = of_heads - torch.from_numpy(np.log(np.maximum(prior, 1e-9)))[:, None]
    return torch.log_softmax(balanced, dim=-1).numpy()


def _gradients(x: Tensor, target: Tensor, kept: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> None:
    """Those of every head's mean cross-entropy on x [n_heads, n, width] and target [n_heads, n], written into `.grad`;
    `kept` [n_heads, n, HIDDEN] is what dropout multiplies by.

    Written out, since autograd makes tensors as large as the weights anew at every step: a quarter of the time.
    """
    hidden = functional.relu(torch.baddbmm(b1, x, w1)) * kept
    error = torch.softmax(torch.baddbmm(b2, hidden, w2), dim=-1)
    error -= functional.one_hot(target, error.shape[-1])
    error /= target.shape[1]
    back = torch.bmm(error, w2.transpose(1, 2)).mul_(kept).mul_(hidden > 0)
    torch.bmm(x.transpose(1, 2), back, out=w1.grad)
    torch.sum(back, dim=1, keepdim=True, out=b1.grad)
    torch.bmm(hidden.transpose(1, 2), error, out=w2.grad)
    torch.sum(error, dim=1, keepdim=True, out=b2.grad)
