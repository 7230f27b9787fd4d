"""A store at a URL: what one machine finished, another finds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from medprobe.diagnostics.store import PICTURES, Folder, Shard, StoreError, key, located, mirror, push, remembered

URL = "memory://bucket/store"
EXTRACTION, READING = key(features=1), key(reading=1)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The store as a machine with an empty cache of its own sees it."""
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]
    made: list[Any] = []

    def fresh(url: str = URL) -> Path:
        mirror._open.cache_clear()
        mirror._of.cache_clear()
        made.append(tmp_path / f"machine-{len(made)}")
        monkeypatch.setattr(mirror, "user_cache_dir", lambda *_: str(made[-1]))
        return located(url, tmp_path)

    fsspec.filesystem("memory").mkdir("/bucket")
    return fresh


def fill(root: Path) -> None:
    folder = Folder(root, EXTRACTION)
    with folder.lock():
        folder.describe(device="cpu")
        folder.add(Shard(["a", "b"], {"options": np.eye(2, dtype=np.float32)}, ["x", "y"]))
    remembered(root, READING, lambda: {"x": np.arange(3)})
    push(root)


def brought(root: Path) -> set[str]:
    folder = Folder(root, EXTRACTION)
    with folder.lock():
        return folder.images()


def test_what_one_machine_finished_another_finds(machine) -> None:
    fill(machine())
    other = machine()
    assert brought(other) == {"a", "b"}
    assert Folder(other, EXTRACTION).about() == {"device": "cpu"}
    assert remembered(other, READING, dict)["x"].tolist() == [0, 1, 2]
    assert not list(other.rglob(".draft*"))


def test_a_file_url_too(machine, tmp_path: Path) -> None:
    url = (tmp_path / "shared").as_uri()
    fill(machine(url))
    assert brought(machine(url)) == {"a", "b"}


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_broken_file_is_named_made_again_and_replaced(machine, damage) -> None:
    fill(machine())
    memory = fsspec.filesystem("memory")
    names = [name for name in memory.find("/bucket") if name.endswith(".safetensors")]
    for name in names:
        memory.pipe_file(name, damage(memory.cat_file(name)))
    other = machine()
    with pytest.warns(UserWarning, match=rf"{URL}/.*is not used: .* is broken.*made again"):
        assert brought(other) == set()
    with pytest.warns(UserWarning, match="is not used"):
        fill(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        third = machine()
        assert brought(third) == {"a", "b"}
        assert remembered(third, READING, dict)["x"].tolist() == [0, 1, 2]


def test_only_files_of_a_store_are_brought(machine) -> None:
    fill(machine())
    fsspec.filesystem("memory").pipe_file(f"/bucket/store/{EXTRACTION}/evil.py", b"print()")
    other = machine()
    brought(other)
    assert {path.suffix for path in (other / EXTRACTION).iterdir() if not path.name.startswith(".")} == {
        ".safetensors",
        ".json",
    }


def test_what_cannot_be_sent_stays_and_goes_with_the_next_run(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine()

    def refuse(*_: object) -> None:
        raise PermissionError("Access Denied")

    with monkeypatch.context() as broken:
        broken.setattr(mirror.Remote, "put", refuse)
        with pytest.warns(UserWarning, match=r"Access Denied.*are kept in"):
            fill(root)
    assert brought(root) == {"a", "b"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        push(root)
    assert brought(machine()) == {"a", "b"}


def test_a_url_that_goes_away_is_gone_on_without(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine()

    def refuse(*_: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(mirror.Remote, "listing", refuse)
    with pytest.warns(UserWarning, match=r"cannot be read \(no route\).*without it"):
        assert remembered(root, READING, lambda: {"x": np.arange(2)})["x"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://no-bucket/store", "cannot be reached"),
        ("file:///no-such-folder/store", "cannot be reached"),
        ("nowhere://bucket/store", "is no URL that can be opened"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_sentence(machine, url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        machine(url)


def test_a_store_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"can be no folder.*--store"):
        located("file/store", tmp_path)


def test_pictures_stay_on_the_machine(machine) -> None:
    root = machine()
    folder = Folder(root, PICTURES + key(pictures=1))
    with folder.lock():
        folder.add(Shard(["a"], {"grey16": np.zeros((1, 16, 16), dtype=np.uint8)}, [""]))
    fill(root)
    sent = fsspec.filesystem("memory").find("bucket")
    assert len(sent) == 3
    assert not [name for name in sent if PICTURES in name]
