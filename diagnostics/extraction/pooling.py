"""From token states to one feature vector an image: which rows belong to which image, and where in the picture they
lie.

Means are products with a matrix of weights: one kernel that waits for nothing and adds in the same order every time,
where sums scattered by index wait for the device and add in any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

GRID = 4
"""The `grid` readout has GRID x GRID regions."""


class RowCountError(RuntimeError):
    """The rows of a hooked tensor cannot be attributed to the images of the batch."""


class Rows:
    """The token rows of a batch, image after image, and the region (0..15) each lies in; -1 leaves a row out.

    `regions` holds one tensor [rows] an image.
    """

    def __init__(self, regions: Sequence[Tensor]) -> None:
        self._lengths = [len(region) for region in regions]
        inside = [(region == torch.arange(GRID * GRID)[:, None]).float() for region in regions]
        self._grid = self._stacked([hot / hot.sum(dim=1, keepdim=True).clamp(min=1) for hot in inside])
        kept = [hot.sum(dim=0, keepdim=True) for hot in inside]
        self._mean = self._stacked([row / row.sum().clamp(min=1) for row in kept])

    def mean(self, states: Tensor) -> Tensor:
        """[rows, width] -> [n_images, width], in float32."""
        self._mean = [weights.to(states.device) for weights in self._mean]
        return self._pool(self._mean, states)

    def grid(self, states: Tensor) -> Tensor:
        """[rows, width] -> [n_images, GRID * GRID * width]; a region without a token is 0."""
        self._grid = [weights.to(states.device) for weights in self._grid]
        return self._pool(self._grid, states)

    def _stacked(self, weights: list[Tensor]) -> list[Tensor]:
        """Images of equal length are pooled in one product."""
        return [torch.stack(weights)] if len(set(self._lengths)) == 1 else weights

    def _pool(self, weights: list[Tensor], states: Tensor) -> Tensor:
        if len(states) != sum(self._lengths):
            raise RowCountError(f"{len(states)} rows for images of {sum(self._lengths)}")
        states = states.float()
        if len(weights) == 1:
            return torch.bmm(weights[0], states.reshape(len(weights[0]), -1, states.shape[-1])).flatten(1)
        parts = torch.split(states, self._lengths)
        return torch.stack([(own @ part).flatten() for own, part in zip(weights, parts, strict=True)])


def raster_regions(height: int, width: int) -> Tensor:
    """Region of every token of a lattice read row by row, [height * width]."""
    rows = torch.arange(height) * GRID // height
    columns = torch.arange(width) * GRID // width
    return (rows[:, None] * GRID + columns[None, :]).reshape(-1)


def merge_block_regions(height: int, width: int, merge: int) -> Tensor:
    """Regions of a lattice whose tokens come in merge x merge blocks, as the packed towers order them."""
    lattice = raster_regions(height, width).reshape(height // merge, merge, width // merge, merge)
    return lattice.permute(0, 2, 1, 3).reshape(-1)


def run_regions(n_tokens: int) -> Tensor:
    """Regions where the lattice is unknown: sixteen runs of consecutive tokens."""
    return torch.arange(n_tokens) * GRID * GRID // max(n_tokens, 1)


def sequence_regions(n_tokens: int) -> Tensor:
    """Regions of one image's tokens read in order: a square lattice where the number is a square, else runs."""
    side = math.isqrt(n_tokens)
    return raster_regions(side, side) if side * side == n_tokens else run_regions(n_tokens)


def batched_rows(shape: tuple[int, int], tiles: list[int], n_prefix: int) -> Rows:
    """Rows of a tower's [n_tiles, tokens, width] output, flattened; `tiles` an image, `n_prefix` CLS or register
    tokens.
    """
    n_tiles, n_tokens = shape
    if sum(tiles) != n_tiles:
        raise RowCountError(f"the tower gave {n_tiles} tiles for images of {sum(tiles)}")
    within = sequence_regions(n_tokens - n_prefix)
    regions = []
    for count in tiles:
        region = torch.full((count, n_tokens), -1)
        # One tile is a picture; the tiles of a cut picture follow each other in runs.
        region[:, n_prefix:] = within[None] if count == 1 else run_regions(count * len(within)).reshape(count, -1)
        regions.append(region.reshape(-1))
    return Rows(regions)


def placed_rows(at_image: Tensor, regions: Sequence[Tensor]) -> Rows:
    """Rows of a decoder's [n_images, length, width] states, flattened: `regions` of the tokens at `at_image`, a mask
    [n_images, length].
    """
    placed = torch.full(at_image.shape, -1)
    for row, where, region in zip(placed, at_image, regions, strict=True):
        row[where] = region
    return Rows(list(placed))
