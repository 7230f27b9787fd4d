"""Batches that fit: halved where the device runs out of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from PIL.Image import Image

from diagnostics.extraction import Batch, Extractor


def read_all(extractor: Extractor, images: Sequence[Image], batch_size: int) -> Iterator[Batch]:
    """Read `images` in order, at most `batch_size` at a time; out of memory at one image is raised."""
    start = 0
    while start < len(images):
        try:
            batch = extractor.read(images[start : start + batch_size])
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
            torch.cuda.empty_cache()
            batch_size = max(1, batch_size // 2)
            continue
        yield batch
        start += len(batch.texts)
