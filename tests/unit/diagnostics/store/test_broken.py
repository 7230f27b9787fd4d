"""A file that is not what was written is named, set aside and made again; it is never read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medprobe.diagnostics.store import BrokenFile, Folder, Shard, remembered
from medprobe.diagnostics.store.files import arrays

IMAGES = ["a", "b"]


def filled(root: Path) -> tuple[Folder, Path]:
    folder = Folder(root, "f" * 32)
    folder.add(Shard(IMAGES, {"llm.0.mean": np.arange(8, dtype=np.float32).reshape(2, 4)}, ["x", "y"]))
    return folder, folder.shards()[0]


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_truncated_shard_is_as_if_it_were_not_there(tmp_path: Path, cut: int) -> None:
    folder, path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.warns(UserWarning, match=rf"{path.name} is broken: cut short.*set aside"):
        assert folder.images() == set()
    assert not folder.shards()
    assert path.with_name(path.name + ".broken").exists()


def test_no_byte_can_change_unnoticed(tmp_path: Path) -> None:
    _, path = filled(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        if whole[place : place + 1] == b" ":  # padding of the header
            continue
        with pytest.raises(BrokenFile, match="is broken"):
            arrays(path)


def test_a_shard_altered_after_it_was_listed_is_set_aside(tmp_path: Path) -> None:
    folder, path = filled(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert folder.images() == set(IMAGES)
    with pytest.warns(UserWarning, match="set aside"), pytest.raises(BrokenFile, match=r"llm\.0\.mean is altered"):
        folder.arrays(["llm.0.mean"], IMAGES)
    assert folder.images() == set()


def test_a_broken_reading_is_computed_again(tmp_path: Path) -> None:
    remembered(tmp_path, "r", lambda: {"x": np.arange(3)})
    path = tmp_path / "readings" / "r.safetensors"
    path.write_bytes(b"half")
    with pytest.warns(UserWarning, match="set aside"):
        assert remembered(tmp_path, "r", lambda: {"x": np.arange(4)})["x"].tolist() == [0, 1, 2, 3]
    assert remembered(tmp_path, "r", dict)["x"].tolist() == [0, 1, 2, 3]


def test_what_fails_while_computing_is_not_taken_for_the_disk(tmp_path: Path) -> None:
    def compute() -> dict[str, np.ndarray]:
        raise OSError("an image is gone")

    with pytest.raises(OSError, match="an image is gone"):
        remembered(tmp_path, "r", compute)
