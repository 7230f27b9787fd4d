"""Masks beside an image: found by the manifest's pattern, put together, and read as they come."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.datasets.images import UnreadableImage
from medprobe.fixtures.datasets.lesions.masks import Masks
from medprobe.fixtures.datasets.lesions.places import read_masks
from medprobe.fixtures.datasets.manifest import DataError, load_manifest
from medprobe.fixtures.datasets.tree import Entry
from tests.datasets.samples import MANIFEST, png, zipped


def entries(tmp_path, *names: str) -> list[Entry]:
    return [Entry((name,), tmp_path / name) for name in names]


def drawn(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def square(start: int, bright: int) -> bytes:
    pixels = np.zeros((24, 24))
    pixels[start : start + 4, start : start + 4] = bright
    return drawn(pixels)


def test_masks_of_busi_are_those_of_their_image_alone(tmp_path):
    names = ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png", "benign/benign (10)_mask.png"]
    masks = Masks("{stem}_mask*.png", entries(tmp_path, *names, "malignant/benign (1)_mask.png"))
    assert [entry.name for entry in masks.of(Entry(("benign/benign (1).png",), tmp_path))] == names[:2]
    assert masks.of(Entry(("benign/benign (2).png",), tmp_path)) == ()
    assert Masks(None, entries(tmp_path, *names)).of(Entry(("benign/benign (1).png",), tmp_path)) == ()


@given(stem=st.text("ab*?[](). _", min_size=1, max_size=6).filter(lambda s: s.strip(".") and not s.endswith(".")))
def test_a_name_with_signs_of_a_glob_stands_for_itself(stem):
    from pathlib import Path

    files = entries(Path(), f"x/{stem}_mask.png", f"x/m_{stem}.png", "x/other_mask.png", f"{stem}_mask.png")
    image = Entry((f"x/{stem}.png",), Path("x"))
    assert [e.name for e in Masks("{stem}_mask*.png", files).of(image)] == [f"x/{stem}_mask.png"]
    assert f"x/m_{stem}.png" in [e.name for e in Masks("?_{stem}.png", files).of(image)]


def test_masks_in_a_zip_file_are_united_and_a_black_one_is_none(tmp_path):
    (tmp_path / "small.toml").write_text(MANIFEST.format(top='masks = "{stem}_mask*.png"', end=""))
    members = {f"pictures/{name}/{i}.png": png(10 * k + i) for k, name in enumerate(("dark", "bright")) for i in (1, 2)}
    masks = {"1_mask": square(2, 255), "1_mask_1": square(12, 1), "2_mask": square(2, 0)}
    for name, data in masks.items():
        members[f"pictures/dark/{name}.png"] = data
    zipped(tmp_path / "small.zip", members)
    images = {
        (i.label, (i.member or "").rsplit("/")[-1]): i for i in open_dataset(tmp_path / "small.toml", None).images
    }
    united = read_masks(images[0, "1.png"].masks)
    assert united.sum() == 32
    assert united[3, 3]
    assert united[13, 13]
    assert not read_masks(images[0, "2.png"].masks).any()
    assert images[1, "1.png"].masks == ()


def test_masks_of_one_image_have_one_size(tmp_path):
    (tmp_path / "a.png").write_bytes(square(2, 255))
    (tmp_path / "b.png").write_bytes(drawn(np.zeros((10, 10))))
    with pytest.raises(UnreadableImage, match="differ in size"):
        read_masks(entries(tmp_path, "a.png", "b.png"))


@pytest.mark.parametrize(
    "pattern", ["_mask.png", "../{stem}.png", "masks/{stem}.png", "{stem}{stem}.png", "a\\\\{stem}"]
)
def test_a_pattern_is_a_file_name_with_the_stem_once(tmp_path, pattern):
    (tmp_path / "small.toml").write_text(MANIFEST.format(top=f'masks = "{pattern}"', end=""))
    with pytest.raises(DataError, match="masks: "):
        load_manifest(tmp_path / "small.toml")
