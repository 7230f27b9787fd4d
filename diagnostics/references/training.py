"""A timm network trained from scratch on the folds of a data set.

For every fold one network is trained on all images outside it and predicts the images inside; a second one is trained
without the fold that follows and predicts that, which is the inner reading by which an exit is chosen. Folds keep
patients together, so no network has seen a patient it predicts. Nothing is chosen on either: the recipe is fixed and
the weights of the last step are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from medprobe.diagnostics.arrays import Bools, Floats, Ints
from medprobe.diagnostics.learning_rate import share_of_rate
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.references.networks import Sight, device
from medprobe.diagnostics.scores import balanced_accuracy

Bytes = NDArray[np.uint8]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """AdamW with a cosine schedule after a warm-up (shares of all steps), gradients clipped to norm 1.

    Pictures are mirrored left to right and shifted by up to `shift` of their side: a body is never upside down, and
    turning, stretching or cutting could change what a finding looks like. side: None for the network's own size.
    """

    epochs: int = 50
    batch: int = 32
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warm_up: float = 0.1
    shift: float = 1 / 16
    side: int | None = None


RECIPE = Recipe()


def read_from_scratch(
    name: str,
    pixels_at: Callable[[Sight], Bytes],
    labels: Ints,
    folds: Ints,
    seed: int,
    recipe: Recipe,
    remember: Callable[[int, Callable[[], Arrays]], Arrays],
    progress: Callable[[str, int, int], None],
) -> Reading:
    """Train `name` in every fold that `remember(fold, compute)` has not kept.

    pixels_at: gives [n_images, 3, height, width]; asked only when a fold has to be trained.
    """
    n_folds, n_classes = int(folds.max()) + 1, int(labels.max()) + 1
    sight, pictures = Sight.of(name, recipe.side), cache(pixels_at)

    def read_fold(fold: int) -> Arrays:
        held_out, inner_held_out = folds == fold, folds == (fold + 1) % n_folds

        def predict(training: Bools, wanted: Bools, epochs_before: int) -> Floats:
            def at_epoch(epoch: int) -> None:
                what = f"training the reference, fold {fold + 1} of {n_folds}, epoch"
                progress(what, epochs_before + epoch, 2 * recipe.epochs)

            return _train(name, pictures(sight), sight, labels, training, wanted, seed, recipe, at_epoch)

        outer = predict(~held_out, held_out, 0)
        inner = predict(~held_out & ~inner_held_out, inner_held_out, recipe.epochs)
        reached = balanced_accuracy(labels[inner_held_out], inner.argmax(axis=1), n_classes)
        return {"log_probabilities": outer, "inner_accuracy": np.array([reached])}

    log_probabilities, inner_accuracy = np.empty((len(labels), n_classes)), []
    for fold in range(n_folds):
        found = remember(fold, partial(read_fold, fold))
        log_probabilities[folds == fold] = found["log_probabilities"]
        inner_accuracy.append(float(found["inner_accuracy"][0]))
    return Reading(log_probabilities, np.array(inner_accuracy))


def _train(
    name: str,
    pixels: Bytes,
    sight: Sight,
    labels: Ints,
    training: Bools,
    wanted: Bools,
    seed: int,
    recipe: Recipe,
    at_epoch: Callable[[int], None],
) -> Floats:
    """Class-balanced log-probabilities of the `wanted` images, [n_wanted, K], from a network that saw `training`.

    The log frequencies of the classes are added to the scores in the loss (Menon et al. 2021, "Long-tail learning via
    logit adjustment"), so that the scores themselves are those of equal priors.
    """
    n_classes, place = int(labels.max()) + 1, device()
    rows, target = np.flatnonzero(training), torch.from_numpy(labels).to(place)
    prior = torch.from_numpy(np.log(np.bincount(labels[rows], minlength=n_classes) / len(rows))).float().to(place)
    batch = min(recipe.batch, len(rows))
    n_batches = len(rows) // batch
    n_steps = n_batches * recipe.epochs
    cards = list(range(torch.cuda.device_count())) if place == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(seed)
        network = timm.create_model(name, pretrained=False, num_classes=n_classes).to(place).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: share_of_rate(step, n_steps, recipe.warm_up)
        )
        for epoch in range(recipe.epochs):
            at_epoch(epoch)
            order = rows[torch.randperm(len(rows)).numpy()]
            # The last few images of an epoch are left to the next shuffle: batch statistics of one image are none.
            for chosen in order[: n_batches * batch].reshape(n_batches, batch):
                seen = _moved(torch.from_numpy(pixels[chosen]).to(place), recipe.shift)
                loss = functional.cross_entropy(network(sight.scaled(seen)) + prior, target[chosen])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
    return _predict(network.eval(), pixels, sight, np.flatnonzero(wanted), recipe.batch)


def _moved(pictures: Tensor, shift: float) -> Tensor:
    """Each of [n, 3, height, width] mirrored left to right or not, and shifted with its edge continued."""
    n, _, height, width = pictures.shape
    margin = round(shift * min(height, width))
    mirrored = torch.where((torch.rand(n) < 0.5).to(pictures.device).view(-1, 1, 1, 1), pictures.flip(3), pictures)
    wide = functional.pad(mirrored.float(), (margin,) * 4, mode="replicate")
    corners = torch.randint(0, 2 * margin + 1, (n, 2)).tolist()
    return torch.stack([one[:, y : y + height, x : x + width] for one, (y, x) in zip(wide, corners, strict=True)])


def _predict(network: Any, pixels: Bytes, sight: Sight, rows: Ints, batch: int) -> Floats:
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            seen = torch.from_numpy(pixels[rows[start : start + batch]]).to(device())
            found.append(torch.log_softmax(network(sight.scaled(seen)).double(), dim=-1).cpu().numpy())
    return np.concatenate(found)
