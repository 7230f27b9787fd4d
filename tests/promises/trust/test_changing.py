"""What was hashed is what is read: checkpoints and images that change between two runs, or while one reads them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medprobe.diagnostics.extraction.measurement import OPTIONS, RANDOM_TOKENS, Extracted, measure
from medprobe.diagnostics.extraction.model_on_demand import ChangedWeights, ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.store import Folder, Shard
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.datasets.errors import ChangedImage
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.models import fingerprint as known
from medprobe.fixtures.models.registry import resolve
from tests.unit.fixtures.datasets.samples import MANIFEST

LARGE = 3 * known.SMALL


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    monkeypatch.delenv("MEDPROBE_ID_KEY", raising=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(LARGE))
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("dark", "bright"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST.format(top="", end=""))
    return path


def rewritten(path: Path, data: bytes) -> None:
    """Other bytes in the same inode under the old time, as an archive leaves them that is unpacked over another."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)


@pytest.mark.parametrize("size", [64, LARGE])
def test_a_release_unpacked_over_another_is_known_as_new(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(size))
    first = known.file_sha256(path)
    rewritten(path, b"\1")
    assert known.file_sha256(path) != first


@pytest.mark.parametrize("where", [8, LARGE // 2, LARGE - 1])
def test_the_memory_is_not_believed_against_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    monkeypatch.setattr(known, "_mark", lambda path: [0])
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(LARGE))
    first = known.file_sha256(path)
    block = bytearray(LARGE)
    block[where : where + 2 * LARGE // known.N_BLOCKS] = b"\1" * len(block[where : where + 2 * LARGE // known.N_BLOCKS])
    rewritten(path, bytes(block))
    assert known.file_sha256(path) != first


def test_a_hash_is_remembered_until_it_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(LARGE))
    truth = known.file_sha256(path)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed anew"))
    assert known.file_sha256(path) == truth
    known.forget()
    with pytest.raises(pytest.fail.Exception, match="hashed anew"):
        known.file_sha256(path)


def test_without_a_place_to_remember_in_files_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(known, "user_cache_dir", lambda name: str(tmp_path / "file" / name))
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(LARGE))
    assert known.file_sha256(path) == known.file_sha256(path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_checkpoint_rewritten_and_put_back_is_refused(checkpoint: Path, name: str) -> None:
    model = ModelOnDemand(resolve(str(checkpoint)), Settings(checkpoint / "store"))
    model.fingerprint()
    model.require_unchanged()
    held = (checkpoint / name).read_bytes()
    for data in (b"[]", held[:2]):
        rewritten(checkpoint / name, data)
    assert (checkpoint / name).read_bytes() == held
    with pytest.raises(ChangedWeights, match="changed while the run read them"):
        model.require_unchanged()


def test_features_of_a_changed_checkpoint_are_not_stored(checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    spec, settings = resolve(str(checkpoint)), Settings(tmp_path / "store")

    def extract(touch: bool) -> Callable[..., Iterator[Extracted]]:
        def read(model: ModelOnDemand, dataset: Any, chunks: Any, *_: Any) -> Iterator[Extracted]:
            model.tell({"device": "cpu", "dtype": "float32", "batch_size": "1"})
            if touch:
                rewritten(checkpoint / "model.safetensors", b"\0")
            for chunk in chunks:
                names = ("vision.0.mean", OPTIONS, RANDOM_TOKENS)
                arrays = {name: np.zeros((len(chunk), 2), np.float32) for name in names}
                yield Extracted(Shard([image.digest for image in chunk], arrays, [""] * len(chunk)), {})

        return read

    def run(touch: bool) -> Folder:
        model = ModelOnDemand(spec, settings)
        return measure(model, open_dataset(manifest, None), lambda *_: None, extract(touch)).folder

    with pytest.raises(ChangedWeights):
        run(touch=True)
    assert not list(tmp_path.glob("store/**/*.safetensors"))
    assert run(touch=False).shards()


def test_an_image_rewritten_after_hashing_is_refused(manifest: Path) -> None:
    first = open_dataset(manifest, None).images[0]
    held = first.path.read_bytes()
    other = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(other, "PNG")
    first.path.write_bytes(other.getvalue())
    with pytest.raises(ChangedImage, match="was changed since the run hashed it"):
        open_image(first)
    first.path.write_bytes(held)
    assert open_image(first).size == (16, 16)
