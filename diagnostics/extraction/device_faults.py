"""Faults of the device: memory that runs out, a device that is lost, numbers that are wrong afterwards."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import torch

from medprobe.diagnostics.extraction.extractor import Batch

Given = TypeVar("Given")

NO_MEMORY = re.compile(r"CUBLAS_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)|CUDNN_STATUS_ALLOC_FAILED|can't allocate memory")
"""Memory that ran out inside a library, or on a CPU, which torch does not raise as `OutOfMemoryError`."""

LOST = re.compile(
    r"(CUDA|HIP|MPS|XPU|acceleratorError|cuDNN|CUBLAS|CUDNN|NCCL)\b.{0,40}(error|_STATUS_)", re.IGNORECASE
)

TOLERANCE = 0.1
"""Largest relative distance between two readings of the same images. Another batch size makes 2e-3 in float32
(tests/families/test_extraction.py), bfloat16 some hundredths; states that have nothing to do with the images make
about 1.
"""


class DeviceFault(RuntimeError):
    """The device gave up, or cannot be believed; one sentence with the mend."""


class Guard(Generic[Given]):
    """`read`, of which out of memory and the loss of the device are told apart, and which is not believed untested
    once memory has run out.

    A pass that was broken off may leave half-written state behind: a cache, a buffer that is filled once. So the last
    batch read before is read again and compared; where none was, the first one after is read twice. That costs one
    batch for every time memory runs out. `size` is the number of images of what is given.
    """

    def __init__(self, read: Callable[[Given], Batch], size: Callable[[Given], int]) -> None:
        self._read, self._size = read, size
        self._before: tuple[Given, Batch] | None = None
        self._suspect = False

    def __call__(self, given: Given) -> Batch:
        """Raises torch.OutOfMemoryError for several images, DeviceFault."""
        batch: Batch | None = None
        try:
            batch = self._attempt(given)
        except torch.OutOfMemoryError:
            self._suspect = True
            if self._size(given) > 1:
                raise
        if batch is None:
            # Outside the handler, whose traceback holds on to what the pass had allocated.
            batch = self._again(given)
        if self._suspect:
            self._require_agreement(given, batch)
            self._suspect = False
        self._before = given, batch
        return batch

    def _attempt(self, given: Given) -> Batch:
        try:
            return self._read(given)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            text = " ".join(str(error).split())
            if NO_MEMORY.search(text):
                raise torch.OutOfMemoryError(text) from error
            if isinstance(error, torch.AcceleratorError) or LOST.search(text):
                raise DeviceFault(
                    f"the device failed ({text[:120]}); nothing can be computed on it in this process any more, what "
                    "was finished is in the store, and the same call goes on from there"
                ) from error
            raise

    def _again(self, given: Given) -> Batch:
        """Once more, since another process may have given memory back."""
        release()
        try:
            return self._attempt(given)
        except torch.OutOfMemoryError as error:
            raise DeviceFault(
                "the memory does not hold one image beside the weights, twice tried; try --dtype bfloat16, --quantize "
                "or --device-map auto, or end what else runs there; what was finished is in the store, and the same "
                "call goes on from there"
            ) from error

    def _require_agreement(self, given: Given, batch: Batch) -> None:
        earlier, known = self._before or (given, batch)
        try:
            again = self._attempt(earlier)
        except torch.OutOfMemoryError:
            # What fitted before does not fit any more.
            release()
            known, again = batch, self._again(given)
        locus = differing(known, again)
        if locus is not None:
            raise DeviceFault(
                f"after memory ran out the same images gave other numbers at {locus}, so nothing read since can be "
                "believed; what was finished before is in the store, and the same call with a smaller --batch-size "
                "goes on from there"
            )


def release() -> None:
    """Give back what no tensor holds any more."""
    gc.collect()
    torch.cuda.empty_cache()


def differing(one: Batch, other: Batch) -> str | None:
    """The first locus whose features lie further apart than `TOLERANCE`, relative to their length; None if none."""
    for name, values in {**one.features, "the options": one.option_log_likelihoods}.items():
        again = other.option_log_likelihoods if name == "the options" else other.features[name]
        if not np.linalg.norm(values - again) <= TOLERANCE * np.linalg.norm(values):
            return name
    return None
