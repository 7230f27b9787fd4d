"""From token states to one feature vector an image: which rows belong to which image, and where in the picture they
lie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

GRID = 4
"""The `grid` readout has GRID x GRID regions."""


class RowCountError(RuntimeError):
    """The rows of a hooked tensor cannot be attributed to the images of the batch."""


@dataclass(frozen=True)
class Rows:
    """For every token row of a tensor the image it belongs to and the region (0..15) it lies in; -1 leaves it out."""

    image: Tensor
    region: Tensor
    n_images: int

    def mean(self, states: Tensor) -> Tensor:
        """[rows, width] -> [n_images, width], in float32."""
        return _segment_mean(states, self.image, self.n_images)

    def grid(self, states: Tensor) -> Tensor:
        """[rows, width] -> [n_images, GRID * GRID * width]; a region without a token is 0."""
        cells = GRID * GRID
        pooled = _segment_mean(
            states, torch.where(self.image < 0, -1, self.image * cells + self.region), self.n_images * cells
        )
        return pooled.reshape(self.n_images, -1)


def _segment_mean(states: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    segment = segment.to(states.device)
    kept = segment >= 0
    states, segment = states[kept].float(), segment[kept]
    total = torch.zeros(n_segments, states.shape[1], device=states.device).index_add_(0, segment, states)
    count = torch.bincount(segment, minlength=n_segments).clamp(min=1)
    return total / count[:, None]


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


def from_counts(counts: list[int], regions: list[Tensor]) -> Rows:
    """Rows of images that follow each other, `counts` tokens each."""
    image = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return Rows(image, torch.cat(regions), len(counts))


def batched_rows(shape: tuple[int, int], tiles: list[int], n_prefix: int) -> Rows:
    """Rows of a tower's [n_tiles, tokens, width] output, flattened; `tiles` an image, `n_prefix` CLS or register
    tokens.
    """
    n_tiles, n_tokens = shape
    if sum(tiles) != n_tiles:
        raise RowCountError(f"the tower gave {n_tiles} tiles for images of {sum(tiles)}")
    owner = torch.repeat_interleave(torch.arange(len(tiles)), torch.tensor(tiles))
    image = owner[:, None].expand(n_tiles, n_tokens).clone()
    image[:, :n_prefix] = -1
    within = sequence_regions(n_tokens - n_prefix)
    region = torch.zeros(n_tiles, n_tokens, dtype=torch.long)
    start = 0
    for count in tiles:
        # One tile is a picture; the tiles of a cut picture follow each other in runs.
        spread = within[None] if count == 1 else run_regions(count * len(within)).reshape(count, -1)
        region[start : start + count, n_prefix:] = spread
        start += count
    return Rows(image.reshape(-1), region.reshape(-1), len(tiles))
