"""Batches that fit: halved where the device runs out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from PIL.Image import Image

Read = TypeVar("Read")


def read_all(read: Callable[[Sequence[Image]], Read], images: Sequence[Image], batch_size: int) -> Iterator[Read]:
    """Read `images` in order, at most `batch_size` at a time; out of memory at one image is raised."""
    start = 0
    while start < len(images):
        chunk = images[start : start + batch_size]
        try:
            batch = read(chunk)
        except torch.OutOfMemoryError:
            if len(chunk) == 1:
                raise
        else:
            yield batch
            start += len(chunk)
            continue
        # Outside the handler, whose traceback holds on to what the pass had allocated.
        torch.cuda.empty_cache()
        batch_size = len(chunk) // 2
