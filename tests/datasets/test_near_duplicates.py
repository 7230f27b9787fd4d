from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from medprobe.fixtures.datasets import near_duplicates
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.datasets.manifest import DataError
from tests.datasets.samples import png

Write = Callable[..., Path]
RULE = "[groups]\nnear_duplicates = true"


def scene(seed: int) -> Image.Image:
    """A smooth random picture: what two takes of one lesion share."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7), dtype=np.uint8)
    return Image.fromarray(coarse).resize((120, 100), Image.Resampling.BICUBIC)


def saved(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def marked(image: Image.Image) -> Image.Image:
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    draw.line((40, 30, 70, 60), fill=255)
    draw.text((5, 85), "RT AXILLA", fill=255)
    return copy


def takes() -> dict[str, bytes]:
    one = scene(1)
    return {
        "plain": saved(one),
        "marked": saved(marked(one)),
        "brighter": saved(ImageEnhance.Brightness(one).enhance(1.2)),
        "compressed": saved(one, "JPEG", quality=40),
        "smaller": saved(one.resize((70, 60))),
        "coloured": saved(one.convert("RGB")),
        "shifted": saved(one.transform(one.size, Image.Transform.AFFINE, (1, 0, 2, 0, 1, 1))),
    }


def test_takes_of_one_scene_are_one_group_and_others_are_not(write: Write) -> None:
    files = {f"dark/{name}": data for name, data in takes().items()}
    files |= {f"bright/{seed}": saved(scene(seed)) for seed in range(2, 40)}
    dataset = open_dataset(write(files, end=RULE), None)
    own = {image.group for image in dataset.images if image.label == 0}
    others = [image.group for image in dataset.images if image.label == 1]
    assert len(own) == 1
    assert len(set(others) - own) == len(others) == 38


def test_the_layout_alone_is_not_enough() -> None:
    """Bright above, dark below, with different detail: the raw correlation is high, the hash tells them apart."""
    slope = np.linspace(200, 20, 64)[:, None]
    pictures = []
    for seed in range(12):
        detail = np.asarray(scene(seed).resize((64, 64)), dtype=float)
        pictures.append(Bytes(saved(Image.fromarray((slope + 0.2 * detail).astype(np.uint8)))))
    assert near_duplicates.find_pairs(pictures) == []


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.reads = data, 0

    def read_bytes(self) -> bytes:
        self.reads += 1
        return self.data


def test_what_cannot_be_decoded_or_is_flat_has_no_duplicate() -> None:
    flat = saved(Image.new("L", (20, 20), 7))
    pictures = [Bytes(b""), Bytes(b"junk"), Bytes(flat), Bytes(flat), Bytes(saved(scene(1)))]
    assert near_duplicates.find_pairs(pictures) == []
    assert near_duplicates.find_pairs([]) == []


def test_blocks_do_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [Bytes(data) for data in takes().values()]
    whole = near_duplicates.find_pairs(pictures)
    assert len(whole) >= 15
    monkeypatch.setattr(near_duplicates, "_BLOCK", 2)
    assert near_duplicates.find_pairs(pictures) == whole


def test_pairs_are_remembered_by_content(own_cache: Path) -> None:
    data = list(takes().values())
    digests = [str(index) for index in range(len(data))]
    first = near_duplicates.near_duplicates([Bytes(one) for one in data], digests)
    unread = [Bytes(one) for one in reversed(data)]
    again = near_duplicates.near_duplicates(unread, digests[::-1])
    last = len(data) - 1
    assert {frozenset(pair) for pair in again} == {frozenset((last - one, last - other)) for one, other in first}
    assert sum(image.reads for image in unread) == 0
    (cached,) = (own_cache / "medprobe" / "near-duplicates").iterdir()
    for broken in ("", "[[0, 99]]", "{}", "[[1]]", "null"):
        cached.write_text(broken)
        assert near_duplicates.near_duplicates([Bytes(one) for one in data], digests) == first


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(near_duplicates, "user_cache_dir", lambda name: str(tmp_path / "file" / name))
    data = list(takes().values())
    assert near_duplicates.near_duplicates([Bytes(one) for one in data], [str(n) for n in range(len(data))])


def test_images_too_alike_for_it_are_refused(write: Write) -> None:
    one = scene(1)
    files = {}
    for seed in range(24):
        shade = ImageEnhance.Brightness(one).enhance(0.8 + seed / 100)
        files[f"{'dark' if seed % 2 else 'bright'}/{seed}.png"] = saved(shade)
    with pytest.raises(DataError, match="24 of its 24 images look alike"):
        open_dataset(write(files, end=RULE), None)


def test_noise_has_no_duplicates(write: Write) -> None:
    files = {f"{'dark' if seed % 2 else 'bright'}/{seed}.png": png(seed) for seed in range(60)}
    assert open_dataset(write(files, end=RULE), None).n_groups == 60


def test_the_hash_alone_is_not_enough() -> None:
    """The difference hash sees horizontal steps only: with opposite shading from top to bottom it is still the same."""
    detail = np.asarray(scene(1).resize((64, 64)), dtype=float) * 0.25
    down = np.linspace(0, 190, 64)[:, None]
    pictures = [Bytes(saved(Image.fromarray((detail + shade).astype(np.uint8)))) for shade in (down, down[::-1])]
    looks = [near_duplicates._look(picture) for picture in pictures]
    assert (looks[0][0] ^ looks[1][0]).bit_count() <= near_duplicates.MAX_BITS
    assert near_duplicates.find_pairs(pictures) == []
