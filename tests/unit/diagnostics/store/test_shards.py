import os
from pathlib import Path

import numpy as np
import pytest
import safetensors

from medprobe.diagnostics.store import Folder, Shard, StoreError, files, key, remembered


def shard(*images: str) -> Shard:
    values = np.array([[float(ord(image)), 1.0] for image in images], dtype=np.float32)
    return Shard(list(images), {"llm.0.mean": values, "options": -values}, [f"says {image}" for image in images])


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a")
    folder.add(shard("a", "b", "c"))
    folder.add(shard("x", "y"))
    wanted = ["y", "a", "x", "c", "a"]
    rows = folder.arrays(["llm.0.mean", "options"], wanted)
    assert rows["llm.0.mean"][:, 0].tolist() == [float(ord(image)) for image in wanted]
    assert rows["options"][:, 1].tolist() == [-1.0] * 5
    assert folder.texts(wanted) == [f"says {image}" for image in wanted]
    assert folder.names() == ["llm.0.mean", "options"]


def test_another_process_goes_on_where_one_stopped(tmp_path: Path) -> None:
    Folder(tmp_path, "a").add(shard("a", "b"))
    later = Folder(tmp_path, "a")
    assert later.images() == {"a", "b"}
    later.add(shard("c"))
    assert Folder(tmp_path, "a").images() == {"a", "b", "c"}
    assert Folder(tmp_path, "b").images() == set()


def test_an_image_in_two_shards_has_one_row(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a")
    folder.add(shard("a", "b"))
    folder.add(shard("b", "c"))
    assert folder.arrays(["llm.0.mean"], ["c", "b", "a"])["llm.0.mean"][:, 0].tolist() == [99.0, 98.0, 97.0]


def test_an_absent_image_is_a_key_error(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a")
    folder.add(shard("a"))
    with pytest.raises(KeyError):
        folder.arrays(["llm.0.mean"], ["a", "z"])


def test_drafts_that_an_interruption_left_are_not_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a")
    folder.add(shard("a"))
    (folder.path / ".draft-x").write_bytes(b"half a shard")
    assert folder.images() == {"a"}
    assert folder.arrays(["options"], ["a"])["options"].shape == (1, 2)


def test_a_shard_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path, "a")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "save_file", full)
    with pytest.raises(StoreError, match=r"No space left on device.*--store"):
        folder.add(shard("a"))
    assert list(folder.path.iterdir()) == []


def test_a_disk_that_fills_while_writing_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path, "a")

    def full(*args: object, **kwargs: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(files, "save_file", full)
    with pytest.raises(StoreError, match=r"No space left on device.*--store"):
        folder.add(shard("a"))
    with pytest.raises(StoreError, match=r"No space left on device.*--store"):
        remembered(tmp_path, "r", lambda: {"a": np.zeros(1)})


def test_a_folder_that_went_away_is_one_sentence(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a")
    folder.path.rmdir()
    with pytest.raises(StoreError, match=r"cannot be written.*--store"):
        folder.add(shard("a"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "s", "a")
    folder.path.chmod(0o500)
    (tmp_path / "s").chmod(0o500)
    with pytest.raises(StoreError, match=r"cannot be written.*--store"):
        folder.add(shard("a"))
    with pytest.raises(StoreError, match=r"cannot be written.*--store"):
        Folder(tmp_path / "s", "b")
    with pytest.raises(StoreError, match=r"cannot be written.*--store"):
        remembered(tmp_path / "s", "r", lambda: {"a": np.zeros(1)})


def test_a_store_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"the store .*file.* cannot be written.*--store"):
        Folder(tmp_path / "file", "a")
    with pytest.raises(StoreError, match=r"the store .*file.* cannot be written.*--store"):
        remembered(tmp_path / "file", "a", lambda: {"a": np.zeros(1)})


def test_what_is_remembered_is_computed_once(tmp_path: Path) -> None:
    calls = []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"x": np.arange(6).reshape(2, 3).T}

    first, second = (remembered(tmp_path, "r", compute) for _ in range(2))
    assert calls == [1]
    np.testing.assert_array_equal(first["x"], np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(second["x"], first["x"])


def test_a_failed_computation_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        remembered(tmp_path, "r", lambda: {"x": np.array(1 // 0)})
    assert remembered(tmp_path, "r", lambda: {"x": np.array([2])})["x"].tolist() == [2]


def test_the_first_description_stays(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a")
    assert folder.about() == {}
    folder.describe(device="cpu")
    folder.describe(device="cuda")
    assert folder.about() == {"device": "cpu"}


def test_a_key_names_its_content() -> None:
    assert key(a=1, b=[2]) == key(b=[2], a=1)
    assert len({key(a=1), key(a=2), key(b=1), key()}) == 4
