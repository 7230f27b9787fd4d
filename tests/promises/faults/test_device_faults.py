"""Faults of a GPU, simulated where a batch is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medprobe.diagnostics.extraction import measurement
from medprobe.diagnostics.extraction.batches import Limit, read_all
from medprobe.diagnostics.extraction.device_faults import DeviceFault, Guard, differing
from medprobe.diagnostics.extraction.extractor import Batch, Extractor
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import Dataset, open_dataset
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms.images import draw_dataset


def batch(rows: Sequence[int], shift: float = 0.0) -> Batch:
    """What a pretended model reads of images that are numbers."""
    features = np.array([[row + 1 + shift, 2 * row + shift] for row in rows], np.float32)
    return Batch({"llm.0.last": features}, features.copy(), features.copy(), [str(row) for row in rows])


class Device:
    """Reads lists of numbers; `holds` images fit, and `faults` are raised by the calls of these numbers."""

    def __init__(self, holds: int = 100, faults: dict[int, Exception] | None = None) -> None:
        self.holds, self.faults = holds, faults or {}
        self.shift = 0.0
        self.calls: list[list[int]] = []

    def read(self, rows: Sequence[int]) -> Batch:
        self.calls.append(list(rows))
        if len(self.calls) in self.faults:
            raise self.faults[len(self.calls)]
        if len(rows) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")
        return batch(rows, self.shift)


def all_texts(device: Device, n: int = 20, size: int = 8) -> list[str]:
    found = read_all(list, Guard(device.read, len), list(range(n)), Limit(size))
    return [text for one in found for text in one.texts]


@pytest.mark.parametrize("holds", [1, 2, 3, 7])
def test_memory_that_runs_out_halves_the_batch(holds: int) -> None:
    device = Device(holds)
    assert all_texts(device) == [str(n) for n in range(20)]
    read = [rows for rows in device.calls if len(rows) <= holds]
    assert read[0] == read[1], "where nothing was read before, the first batch is read twice"
    assert sum(map(len, read)) == 20 + len(read[0])


def test_what_was_read_before_is_read_again_and_compared() -> None:
    device = Device(faults={2: torch.OutOfMemoryError("at the second batch")})
    assert all_texts(device) == [str(n) for n in range(20)]
    assert device.calls[:4] == [list(range(8)), list(range(8, 16)), list(range(8, 12)), list(range(8))]


def test_wrong_numbers_after_memory_ran_out_are_not_believed() -> None:
    device = Device()

    def read(rows: Sequence[int]) -> Batch:
        if len(device.calls) == 1 and device.shift == 0:
            device.shift = 5.0  # whatever the broken pass left behind
            raise torch.OutOfMemoryError("at the second batch")
        return device.read(rows)

    with pytest.raises(DeviceFault, match=r"other numbers at llm\.0\.last.*smaller --batch-size"):
        list(read_all(list, Guard(read, len), list(range(20)), Limit(8)))


def test_one_image_is_tried_twice() -> None:
    once = Device(faults={1: torch.OutOfMemoryError("another process held it")})
    assert all_texts(once, n=1) == ["0"]
    never = Device(holds=0)
    with pytest.raises(DeviceFault, match=r"does not hold one image beside the weights, twice tried; try --dtype"):
        all_texts(never, n=4)
    assert [len(rows) for rows in never.calls] == [4, 2, 1, 1]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported"),
        RuntimeError("CUDA error: device-side assert triggered"),
        torch.AcceleratorError("CUDA error: unspecified launch failure"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_a_lost_device_is_said_once(error: Exception) -> None:
    device = Device(faults={2: error})
    with pytest.raises(DeviceFault, match=r"the device failed .*the same call goes on from there"):
        all_texts(device)
    assert len(device.calls) == 2, "the context is gone: a second try would fail for it"


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_memory_that_runs_out_inside_a_library_halves_too(text: str) -> None:
    device = Device(faults={1: RuntimeError(text)})
    assert all_texts(device) == [str(n) for n in range(20)]
    assert [len(rows) for rows in device.calls[:2]] == [8, 4]


def test_any_other_error_stays_itself() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2") as caught:
        all_texts(Device(faults={1: RuntimeError("mat1 and mat2 shapes cannot be multiplied")}))
    assert not isinstance(caught.value, DeviceFault)


def test_what_differs() -> None:
    one = batch([1, 2])
    assert differing(one, batch([1, 2], 0.01)) is None
    assert differing(one, batch([2, 1])) == "llm.0.last"
    assert differing(one, batch([1, 2], float("nan"))) == "llm.0.last"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(draw_dataset(tmp_path_factory.mktemp("set"), 12, 2, seed=3), None)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: unspecified launch failure"), MemoryError()])
def test_finished_shards_stay_and_a_rerun_goes_on(
    error: Exception, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

    spec, settings = resolve("phantom"), Settings(store=tmp_path / "store", batch_size=4)
    model = ModelOnDemand(spec, settings)
    monkeypatch.setattr(measurement, "SHARD", 8)
    honest = Extractor.read
    seen: list[int] = []

    def failing(at: int | None) -> Callable[[Extractor, Any], Batch]:
        def read(self: Extractor, images: Any) -> Batch:
            if at is not None and len(seen) >= at:
                raise error
            found = honest(self, images)
            seen.extend(range(len(found.texts)))
            return found

        return read

    def measured() -> measurement.Measurement:
        return measurement.measure(model, dataset, lambda *_: None)

    monkeypatch.setattr(Extractor, "read", failing(12))
    with pytest.raises((DeviceFault, MemoryError)):
        measured()
    assert len(seen) == 12
    seen.clear()
    monkeypatch.setattr(Extractor, "read", failing(None))
    found = measured()
    assert len(seen) == 24 - 8, "the finished shard of 8 is not read again"
    whole = Settings(store=tmp_path / "other", batch_size=4)
    undisturbed = measurement.measure(ModelOnDemand(spec, whole), dataset, lambda *_: None)
    for name in undisturbed.loci():
        np.testing.assert_allclose(found.array(name), undisturbed.array(name), rtol=1e-4, atol=1e-5)
    assert found.texts() == undisturbed.texts()
