"""What a GPU reads is what the CPU reads, and each worker reads on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import resolve
from tests.runs.calling import medprobe
from tests.runs.conftest import drawn

TOLERANCE = 0.02
"""Of a locus's standard deviation: cuDNN rounds the inputs of convolutions to TF32, which has 10 bits of mantissa."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.datasets.images import open_image

    dataset = open_dataset(drawn(tmp_path_factory.mktemp("gpu"), "small", 8, 2, seed=5), None)
    return [open_image(image) for image in dataset.images]


def read(images: list[Any], device_map: str | None) -> Any:
    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.phantoms.images import ANSWERS, PROMPT

    loaded = load(resolve("phantom"), LoadOptions(device_map=device_map))
    assert loaded.device.type == (device_map or "cuda")
    with Extractor(loaded, PROMPT, list(ANSWERS), 8).hooked() as extractor:
        return extractor.read(images)


def test_features_and_answers_are_those_of_the_cpu(images: list[Any]) -> None:
    here, there = read(images, "cpu"), read(images, None)
    assert set(here.features) == set(there.features)
    for name, values in here.features.items():
        assert np.abs(there.features[name] - values).max() <= TOLERANCE * values.std(), name
    assert here.texts == there.texts
    spread = here.option_log_likelihoods.std()
    assert np.abs(there.option_log_likelihoods - here.option_log_likelihoods).max() <= TOLERANCE * spread


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    import torch

    from medprobe.diagnostics.extraction.batches import Limit, read_all

    limit = 2**30
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + limit) / total)

    def allocate(chunk: Any) -> int:
        torch.empty(len(chunk) * (limit // 5), dtype=torch.uint8, device="cuda")
        return len(chunk)

    try:
        assert list(read_all(list, allocate, list(range(16)), Limit(16))) == [4] * 4
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


SEEN = """
import torch

def test_seen():
    assert torch.cuda.device_count() == 1
    assert torch.ones(2, device="cuda").sum().item() == 2
"""


def test_a_worker_sees_one_gpu(tmp_path: Path) -> None:
    (tmp_path / "test_seen.py").write_text(SEEN)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    root = Path(__file__).resolve().parents[2]
    run = medprobe(
        *(
            "-p",
            "medprobe.plugins.options",
            "-p",
            "medprobe.plugins.run.devices",
            "-n",
            "auto",
            "-p",
            "no:cacheprovider",
            tmp_path / "test_seen.py",
        ),
        report_dir=tmp_path / "reports",
        cwd=tmp_path,
        PYTHONPATH=str(root),
    )
    assert run.code == 0, run.out + run.err
    assert "medprobe: GPUs of each worker: " in run.out
