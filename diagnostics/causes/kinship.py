"""Whether the modules of two checkpoints have a common ancestor, by their weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from medprobe.diagnostics.causes.pieces import Piece, pieces
from medprobe.diagnostics.records.chain import STAGES, Stage
from medprobe.fixtures.models.loaded import LoadedModel

KIN = 0.5
"""The least cosine of the weights of kin. Matrices drawn apart have one of about 0, tuned ones stay near 1."""


def strangers(loaded: LoadedModel, against: LoadedModel) -> list[Stage]:
    """The modules whose matrices have a cosine below KIN: trained apart, or one of them rewritten by a fault. A module
    without matrices of floating point is not known to be one. The two are of one architecture.
    """
    products = {stage: torch.zeros(3, dtype=torch.float64) for stage in STAGES}
    theirs = {piece.path: tensors for piece, tensors in _matrices(against)}
    for piece, tensors in _matrices(loaded):
        for one, other in zip(tensors, theirs[piece.path], strict=True):
            a, b = (tensor.detach().to("cpu", torch.float32).flatten() for tensor in (one, other))
            products[piece.stage] += torch.stack([a @ b, a @ a, b @ b]).double()
    return [stage for stage, (ab, aa, bb) in products.items() if aa * bb > 0 and ab < KIN * (aa * bb).sqrt()]


def _matrices(loaded: LoadedModel) -> Iterator[tuple[Piece, list[torch.Tensor]]]:
    for piece in pieces(loaded.model, loaded.anatomy):
        parent, _, name = piece.path.rpartition(".")
        found = getattr(loaded.model.get_submodule(parent), name)
        every = found.parameters() if isinstance(found, nn.Module) else [] if found is None else [found]
        yield piece, [t for t in every if t.ndim > 1 and t.is_floating_point() and not t.is_meta]
