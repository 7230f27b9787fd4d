"""Places hidden in a picture: the whole lesion, as much elsewhere, and nothing beside."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medprobe.fixtures.datasets.lesions.occlusion import Occluded, elsewhere, filled, hull, moved
from medprobe.fixtures.datasets.tree import Entry

ROWS, COLUMNS = np.mgrid[0:40, 0:48]


def disc(row: float, column: float, radius: float) -> np.ndarray:
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


@given(st.tuples(st.floats(0, 39), st.floats(0, 47), st.floats(0.8, 6)), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_place_elsewhere_is_as_large_and_apart(lesion, seed):
    region = hull(disc(*lesion))
    found = elsewhere(region, np.random.default_rng(seed))
    if not disc(*lesion).any():
        return
    assert found is not None
    there = moved(region, *found)
    assert there.sum() == region.sum()
    assert not (there & region).any()


def test_no_place_is_made_up_where_none_is():
    assert elsewhere(hull(disc(20, 24, 19)), np.random.default_rng(0)) is None


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 47)), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_the_hull_of_any_parts_holds_them_all(points):
    lesion = np.zeros((40, 48), bool)
    lesion[tuple(zip(*points, strict=True))] = True
    assert hull(lesion)[lesion].all()
    assert not hull(np.zeros((4, 5), bool)).any()


def test_the_hull_does_not_tell_the_outline():
    star = disc(20, 24, 12) & (np.cos(8 * np.arctan2(ROWS - 20, COLUMNS - 24)) > 0)
    assert (hull(star) ^ hull(disc(20, 24, 12))).sum() < 0.15 * disc(20, 24, 12).sum()


def test_a_hidden_lesion_cannot_be_told_from_its_surroundings():
    rng = np.random.default_rng(3)
    clean = 90 + 0.8 * ROWS - 0.5 * COLUMNS
    noisy = clean + rng.normal(0, 5, clean.shape)
    lesion = hull(disc(22, 20, 7))
    shown = np.where(disc(22, 20, 7), noisy + 70, noisy)[..., None].repeat(3, axis=2)
    hidden = filled(shown, lesion, rng)
    np.testing.assert_array_equal(hidden[~lesion], shown[~lesion])
    np.testing.assert_array_equal(hidden[..., 0], hidden[..., 2])
    rest = (hidden[..., 0] - clean)[lesion]
    assert abs(rest.mean()) < 2
    assert 4 < rest.std() < 6.5


def test_an_occlusion_is_known_by_mask_and_place_and_follows_the_picture(tmp_path):
    mask = tmp_path / "mask.png"
    Image.fromarray(disc(10, 12, 5).astype(np.uint8) * 255).save(mask)
    here = Occluded.of([Entry(("mask.png",), mask)])
    there = Occluded(here.masks, here.digest, 15, 20)
    assert here.words != there.words
    assert here.place(48, 40)[10, 12]
    assert there.place(48, 40)[25, 32]
    assert there.place(96, 80)[50, 64]
    assert 3.6 < there.place(96, 80).sum() / there.place(48, 40).sum() < 4.4
    picture = Image.fromarray(np.full((40, 48, 3), 7, np.uint8))
    assert here.apply(picture).tobytes() == picture.tobytes()
    Image.fromarray(disc(10, 12, 6).astype(np.uint8) * 255).save(mask)
    assert Occluded.of([Entry(("mask.png",), mask)]).words != here.words
