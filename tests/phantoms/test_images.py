"""Phantom images: what was drawn is known, the same seed draws the same bytes."""

import csv
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from medprobe.fixtures.phantoms import images, phantom_manifest


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return images.draw_dataset(tmp_path_factory.mktemp("phantom"), n_patients=12, images_per_patient=2, seed=3)


def test_counts_and_sizes(drawn):
    files = [p for p in sorted(drawn.parent.glob("images/*/*.png")) if not p.stem.endswith("_mask")]
    assert len(files) == 24
    assert {p.parent.name for p in files} == set(images.ANSWERS)
    for path in files:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((64, 64), "L")


def test_same_seed_same_bytes(drawn, tmp_path):
    again = images.draw_dataset(tmp_path, n_patients=12, images_per_patient=2, seed=3)
    for path in drawn.parent.rglob("*.*"):
        assert (again.parent / path.relative_to(drawn.parent)).read_bytes() == path.read_bytes()


def test_seeds_differ():
    first, second = (images.draw_patient(1, 1, (seed, 0))[0].pixels for seed in (0, 1))
    assert (first != second).any()


def test_manifest_leaves_masks_out_and_groups_by_patient(drawn):
    manifest = tomllib.loads(drawn.read_text())
    assert [entry["answer"] for entry in manifest["classes"]] == list(images.ANSWERS)
    assert all(entry["exclude"] == ["*/*_mask.png"] for entry in manifest["classes"])
    assert manifest["groups"]["pattern"] == r"(patient\d+)"


def test_lesion_lies_where_the_table_says(drawn):
    rows = list(csv.DictReader((drawn.parent / images.LESIONS).read_text().splitlines()))
    assert len(rows) == 24
    for row in rows:
        with Image.open(drawn.parent / "images" / row["image"].replace(".png", "_mask.png")) as image:
            mask = np.asarray(image) > 0
        if row["image"].startswith("normal"):
            assert not mask.any()
            assert row["row"] == ""
        else:
            centre = np.argwhere(mask).mean(0)
            assert np.abs(centre - [float(row["row"]), float(row["column"])]).max() < 2.0


@pytest.mark.parametrize("difficulty", [1.0, 3.0])
def test_contrast_is_what_difficulty_leaves(difficulty):
    shown, asked = [], []
    for patient in range(40):
        phantom = images.draw_patient(1, 1, (0, patient), difficulty)[0]
        y, x = np.ogrid[0:64, 0:64]
        near = np.hypot(y - phantom.lesion.row, x - phantom.lesion.column) < phantom.lesion.radius + 6
        ring = near & ~phantom.mask
        shown.append(phantom.pixels[phantom.mask].mean() - phantom.pixels[ring].mean())
        asked.append(phantom.lesion.contrast)
    assert np.mean(asked) == pytest.approx(47 / difficulty, rel=0.15)
    assert np.mean(shown) == pytest.approx(np.mean(asked), rel=0.2)


def test_only_the_outline_tells_lesions_apart():
    areas = {k: np.mean([images.draw_patient(k, 1, (0, p))[0].mask.sum() for p in range(300)]) for k in (1, 2)}
    brightness = {k: np.mean([images.draw_patient(k, 1, (0, p))[0].pixels.mean() for p in range(300)]) for k in (1, 2)}
    assert areas[2] == pytest.approx(areas[1], rel=0.15)
    assert brightness[2] == pytest.approx(brightness[1], abs=2.5)


def test_default_set_is_drawn_once(tmp_path, monkeypatch):
    monkeypatch.setattr(images.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    monkeypatch.setattr(images, "draw_dataset", _fewer(images.draw_dataset))
    first = phantom_manifest(5)
    stamp = first.stat().st_mtime_ns
    assert phantom_manifest(5) == first
    assert first.stat().st_mtime_ns == stamp
    assert [p.name for p in tmp_path.iterdir()] == [first.parent.name]


def _fewer(draw):
    return lambda folder, seed: draw(folder, n_patients=3, images_per_patient=1, seed=seed)


def test_drawing_imports_no_torch():
    code = (
        "import sys, medprobe.fixtures.phantoms.images as i; i.draw_patient(1, 1, (0,));"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_mark_tells_the_class_and_changes_nothing_else(drawn, tmp_path):
    marked = images.draw_dataset(tmp_path, n_patients=12, images_per_patient=2, seed=3, marked=True)
    corners = set()
    for path in drawn.parent.glob("images/*/*_[01].png"):
        plain, shown = (
            np.asarray(Image.open(root / path.relative_to(drawn.parent))) for root in (drawn.parent, tmp_path)
        )
        rows, columns = np.nonzero(plain != shown)
        assert np.ptp(rows) < images.MARK > np.ptp(columns)
        corners.add((path.parent.name, rows.min() > 32, columns.min() > 32))
    assert len(corners) == len({corner[1:] for corner in corners}) == 3
    assert marked.read_text() == drawn.read_text()


def test_lesions_that_do_not_tell_are_of_any_class(tmp_path):
    images.draw_dataset(tmp_path, n_patients=30, images_per_patient=1, seed=3, lesions_tell=False)
    shown = [np.asarray(Image.open(path)).any() for path in sorted(tmp_path.glob("images/normal/*_mask.png"))]
    assert any(shown)
    assert not all(shown)
