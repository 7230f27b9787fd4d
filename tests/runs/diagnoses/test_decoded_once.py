"""How often a diagnosis decodes an image: once, for the model. The untrained twin, the question in other words and a
second model in the same process are shown the picture that is held.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from medprobe.diagnostics.diagnosis import diagnose
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets import images as decoding
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.models.registry import ModelSpec, resolve
from medprobe.fixtures.phantoms.images import draw_dataset

N_IMAGES = 48


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """How often each image was read after it was hashed, and decoded: on an empty store, by a second model, again."""
    root = tmp_path_factory.mktemp("decoded")
    manifest = draw_dataset(root / "set", N_IMAGES // 2, 2, seed=11)
    read: Counter[str] = Counter()
    decoded: Counter[str] = Counter()
    read_bytes, decode = ImageFile.read_bytes, decoding._decode

    def counted_read(image: ImageFile) -> bytes:
        read[image.content] += 1
        return read_bytes(image)

    def counted_decode(data: bytes, *windows: object) -> object:
        decoded[hashlib.sha256(data).hexdigest()] += 1
        return decode(data, *windows)  # type: ignore[arg-type]

    source = resolve("phantom").source

    def run(fault: str | None, in_another_process: bool = True) -> tuple[Counter[str], Counter[str]]:
        if in_another_process:
            decoding.HELD.clear()
        read.clear()
        decoded.clear()
        settings = Settings(store=Path(root) / "store")
        found, _ = diagnose(
            ModelOnDemand(ModelSpec(source, name="phantom", source=source, fault=fault), settings),
            "phantom",
            lambda: manifest,
            lambda *_: None,
        )
        assert found.error is None
        return Counter(read), Counter(decoded)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ImageFile, "read_bytes", counted_read)
        patched.setattr(decoding, "_decode", counted_decode)
        return {
            "first": run(None),
            "second": run("healthy.rescaled", in_another_process=False),
            "again": run(None),
        }


FOR_MODEL, REWORDED = 1, 1
"""Readings of each image, of whose file facts are noted; the phantom's options are asked in reverse order too."""


def test_an_image_is_decoded_once(runs):
    read, decoded = runs["first"]
    assert sorted(decoded.values()) == [1] * N_IMAGES
    assert sorted(read.values()) == [FOR_MODEL + REWORDED] * N_IMAGES


def test_a_second_model_in_the_same_process_decodes_nothing(runs):
    read, decoded = runs["second"]
    assert decoded == Counter()
    assert len(read) == N_IMAGES


def test_a_diagnosis_from_the_store_decodes_nothing(runs):
    assert runs["again"] == (Counter(), Counter())
