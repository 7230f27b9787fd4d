"""Batches that fit, prepared ahead: halved where the device runs out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from medprobe.diagnostics.extraction.ahead import ahead

Item = TypeVar("Item")
"""A picture, or what holds one."""
Given = TypeVar("Given")
Read = TypeVar("Read")

MOST = 64
"""Images of a batch where memory would hold more: beyond, little time is saved."""

PREPARED = 2
"""Batches that wait for the model."""


@dataclass
class Limit:
    """How much goes into a batch. One is shared by all that read a model, so that what did not fit is not tried again.

    `tokens` counts padding; None where only `images` limits.
    """

    images: int
    tokens: int | None = None

    def __str__(self) -> str:
        """As `--batch-size` takes it."""
        return str(self.images) if self.tokens is None else f"{self.tokens}t"

    @staticmethod
    def parse(text: str) -> Limit:
        """The limit that `str` wrote."""
        return Limit(MOST, int(text[:-1])) if text.endswith("t") else Limit(int(text))

    def fits(self, lengths: Sequence[int]) -> bool:
        """Whether images of so many tokens make one batch; a single one always does."""
        return len(lengths) <= 1 or (
            len(lengths) <= self.images and (self.tokens is None or len(lengths) * max(lengths) <= self.tokens)
        )

    def halve(self, lengths: Sequence[int]) -> None:
        """A batch of `lengths` was too much."""
        if self.tokens is None:
            self.images = min(self.images, len(lengths) // 2)
        else:
            self.tokens = min(self.tokens, len(lengths) * max(lengths) // 2)


def budget(n_tokens: int, used: int, free: int) -> int:
    """Tokens of a batch, where one of `n_tokens` used so many bytes beyond the weights: half of what is free, since
    attention and fragments do not grow in proportion, and a power of two, so that two runs agree.
    """
    return 1 << max(0, (n_tokens * free // (2 * max(used, 1))).bit_length() - 1)


def measured(read_one: Callable[[], object], n_tokens: int) -> Limit:
    """The limit that the memory of this process's GPUs sets, from reading one image of `n_tokens`."""
    devices = range(torch.cuda.device_count())
    before = [torch.cuda.memory_allocated(device) for device in devices]
    for device in devices:
        torch.cuda.reset_peak_memory_stats(device)
    read_one()
    torch.cuda.empty_cache()
    budgets = [
        budget(n_tokens, torch.cuda.max_memory_allocated(device) - before[device], torch.cuda.mem_get_info(device)[0])
        for device in devices
        if before[device]
    ]
    return Limit(MOST, min(budgets))


def read_all(
    prepare: Callable[[Sequence[Item]], Given],
    read: Callable[[Given], Read],
    images: Iterable[Item],
    limit: Limit,
    length: Callable[[Item], int] = lambda _: 1,
) -> Iterator[Read]:
    """Read `images` in order, in batches within `limit`; out of memory at one image is raised.

    `prepare` runs on another thread while the model reads. `length` is an image's tokens, asked for where the limit
    counts them.
    """

    def one(chunk: Sequence[tuple[Item, int]]) -> tuple[Sequence[tuple[Item, int]], Given]:
        return chunk, prepare([image for image, _ in chunk])

    def fitted(chunk: Sequence[tuple[Item, int]], given: Given) -> Iterator[Read]:
        lengths = [n for _, n in chunk]
        if limit.fits(lengths):  # batches prepared before the limit fell may not
            try:
                result = read(given)
            except torch.OutOfMemoryError:
                if len(chunk) == 1:
                    raise
            else:
                yield result
                return
            # Outside the handler, whose traceback holds on to what the pass had allocated.
            torch.cuda.empty_cache()
            limit.halve(lengths)
        middle = len(chunk) // 2
        yield from fitted(*one(chunk[:middle]))
        yield from fitted(*one(chunk[middle:]))

    for chunk, given in ahead(one, _chunks(images, limit, length), PREPARED, 1):
        yield from fitted(chunk, given)


def _chunks(images: Iterable[Item], limit: Limit, length: Callable[[Item], int]) -> Iterator[list[tuple[Item, int]]]:
    chunk: list[tuple[Item, int]] = []
    if limit.tokens is None:
        sized: Iterable[tuple[Item, int]] = ((image, 1) for image in images)
    else:
        sized = ahead(lambda image: (image, length(image)), images, limit.images, 2)
    for image, n in sized:
        if chunk and not limit.fits([*(m for _, m in chunk), n]):
            yield chunk
            chunk = []
        chunk.append((image, n))
    if chunk:
        yield chunk
