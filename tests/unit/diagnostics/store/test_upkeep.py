"""Listing, checking and removing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from medprobe.commands.cache import main
from medprobe.diagnostics.store import PICTURES, Folder, Shard, in_use, key, remembered
from medprobe.diagnostics.store.upkeep import items

DAY = 86400


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two extractions and two readings, one of each 40 days old."""
    for i, name in enumerate(("old", "new")):
        folder = Folder(tmp_path, key(features=name))
        folder.add(Shard([name], {"options": np.ones((1, 1000), dtype=np.float32)}, ["x"]))
        folder.used(f"model-{name}", "busi")
        remembered(tmp_path, key(reading=name), lambda: {"x": np.arange(9)})
        age = os.stat(folder.path).st_mtime - (1 - i) * 40 * DAY
        for path in (folder.path / "uses.json", tmp_path / "readings" / f"{key(reading=name)}.safetensors"):
            os.utime(path, (age, age))
    return tmp_path


def kept(root: Path) -> list[str]:
    return sorted(item.models[0] if item.models else "reading" for item in items(root))


def test_list_says_what_is_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--store", str(root)]) == 0
    said = capsys.readouterr().out
    assert "model-new on busi, 1 images" in said
    assert said.index("model-new") < said.index("model-old")
    assert "readings  2," in said


def test_small_pictures_are_listed_and_removed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Folder(root, PICTURES + key(pictures=1)).add(Shard(["a"], {"grey16": np.zeros((1, 16, 16), np.uint8)}, [""]))
    main(["list", "--store", str(root)])
    assert "pictures  small, for controls, 1 images" in capsys.readouterr().out
    main(["prune", "--keep-size", "0", "--store", str(root)])
    assert not list(root.glob(f"{PICTURES}*"))


def test_verify_names_the_broken(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--store", str(root)]) == 0
    assert "4 files are whole, 0 broken" in capsys.readouterr().out
    path = next(root.glob("readings/*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["verify", "--store", str(root)]) == 1
    said = capsys.readouterr().out
    assert f"{path} is broken" in said
    assert "3 files are whole, 1 broken" in said


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (("--older-than", "30"), ["model-new", "reading"]),
        (("--keep-size", "0.000006"), ["model-new", "reading", "reading"]),
        (("--keep-size", "0"), []),
    ],
)
def test_prune_removes_the_longest_unused(root: Path, limit: tuple[str, str], left: list[str]) -> None:
    assert main(["prune", *limit, "--store", str(root), "--dry-run"]) == 0
    assert kept(root) == ["model-new", "model-old", "reading", "reading"]
    assert main(["prune", *limit, "--store", str(root)]) == 0
    assert kept(root) == left


def test_nothing_is_removed_under_a_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with in_use(root):
        assert main(["prune", "--older-than", "30", "--store", str(root)]) == 1
    assert "a run is using the store" in capsys.readouterr().err
    assert len(kept(root)) == 4


def test_prune_wants_to_know_what(root: Path) -> None:
    with pytest.raises(SystemExit):
        main(["prune", "--store", str(root)])


def test_a_store_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--store", str(tmp_path / "nothing")]) == 4
    assert "there is no store" in capsys.readouterr().err
