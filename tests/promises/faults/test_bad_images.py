"""Damaged and odd image files: read as the whole file is, or named and left out; never something in between."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medprobe.fixtures.datasets.dicom import pictures as reading_dicom
from medprobe.fixtures.datasets.errors import UnreadableImage
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.images import FORMATS, open_image
from tests.promises.faults.corpus import COLOUR, FILES, GREY, dicom, saved, written


def pixels(data: bytes) -> np.ndarray | None:
    """None where the file is refused."""
    try:
        image = open_image(data)
    except UnreadableImage as error:
        assert str(error)  # noqa: PT017
        return None
    assert image.mode == "RGB"
    return np.asarray(image)


def silently_other(data: bytes, whole: np.ndarray) -> bool:
    found = pixels(data)
    return found is not None and not np.array_equal(found, whole)


@pytest.fixture(params=FILES)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.filterwarnings("ignore")
def test_a_cut_file_is_refused_or_lacks_nothing(form: str) -> None:
    data = FILES[form]()
    whole = pixels(data)
    assert whole is not None
    assert [n for n in range(len(data)) if silently_other(data[:n], whole)] == []
    assert pixels(data[: len(data) // 2]) is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", [name for name in FILES if name.startswith("png")])
def test_a_changed_byte_of_a_png_is_noticed(form: str) -> None:
    """By its checksums, which a decoder that has all its rows does not look at."""
    data = FILES[form]()
    whole = pixels(data)
    rng = np.random.default_rng(0)
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= int(rng.integers(1, 256))
        assert not silently_other(bytes(flipped), whole), place


@pytest.mark.filterwarnings("ignore")
@settings(deadline=5000)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_other_damage_is_refused_or_survived(form: str, data: st.DataObject) -> None:
    """JPEG, TIFF, BMP, WebP, GIF, PPM, JPEG 2000 and plain DICOM hold no checksum: a changed byte may be other pixels,
    which nothing but the file's own hash could tell. It is no crash and no hang."""
    damaged = bytearray(FILES[form]())
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    pixels(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize(("shape", "read"), [((1, 1), True), ((100, 20_000), True), ((20_001, 100), False)])
def test_odd_shapes(shape: tuple[int, int], read: bool) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = pixels(saved(Image.fromarray(drawn), "PNG"))
    if read:
        assert np.array_equal(found[..., 0], drawn)
    else:
        with pytest.raises(UnreadableImage, match="100 x 20,001 pixels, one side more than 200 times the other"):
            open_image(saved(Image.fromarray(drawn), "PNG"))


@pytest.mark.parametrize("name", ["x.jpg", "x.dcm", "x", "x.png"])
def test_the_bytes_say_what_a_file_is_not_its_name(name: str, tmp_path: Path) -> None:
    for number, form in enumerate(("png", "jpeg", "dicom")):
        path = tmp_path / f"{number}{name}"
        path.write_bytes(FILES[form]())
        assert np.array_equal(np.asarray(open_image(ImageFile("id", path, None, 0, 0))), pixels(FILES[form]()))


def test_what_is_read_is_what_was_drawn() -> None:
    for form in ("png", "png stored", "tiff", "tiff lzw", "tiff deflate", "bmp", "webp lossless", "ppm", "jpeg 2000"):
        assert np.array_equal(pixels(FILES[form]()), COLOUR), form
    for form in ("dicom", "dicom deflated", "dicom run length"):
        assert np.array_equal(pixels(FILES[form]())[..., 0], GREY), form
    assert np.array_equal(pixels(FILES["dicom turned"]())[..., 0], 255 - GREY)


def test_a_compression_without_a_decoder_is_named() -> None:
    dataset = dicom()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"  # JPEG-LS
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
    dataset["PixelData"].is_undefined_length = True
    with pytest.raises(UnreadableImage, match=r"cannot be decoded .*JPEG-LS"):
        open_image(written(dataset))


def test_a_deflated_dicom_does_not_unpack_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = dicom("1.2.840.10008.1.2.1.99")
    bomb.add_new(0x00091010, "OB", b"\0" * 2_000_000)
    data = written(bomb)
    assert len(data) < 5_000
    assert np.array_equal(pixels(data)[..., 0], GREY)
    monkeypatch.setattr(reading_dicom, "MAX_INFLATED", 1_000_000)
    with pytest.raises(UnreadableImage, match="unpacks to more than 1,000,000 bytes"):
        open_image(data)


@pytest.mark.filterwarnings("ignore")
def test_damage_to_real_files() -> None:
    root = os.environ.get("MEDPROBE_DATA")
    if not root:
        pytest.skip("MEDPROBE_DATA does not say where real images are")
    files = [path for path in sorted(Path(root).rglob("*")) if path.suffix.lower() in (".png", ".jpeg", ".jpg")]
    if not files:
        pytest.skip(f"{root} holds no unpacked images")
    rng = np.random.default_rng(0)
    for path in rng.choice(np.array(files), min(12, len(files)), replace=False):
        data = Path(path).read_bytes()
        whole = pixels(data)
        assert whole is not None, path
        for _ in range(3):
            assert not silently_other(data[: int(rng.integers(len(data)))], whole), path
            flipped = bytearray(data)
            flipped[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
            if data.startswith(b"\x89PNG"):
                assert not silently_other(bytes(flipped), whole), path
            else:
                pixels(bytes(flipped))


def test_every_format_is_in_the_corpus() -> None:
    kinds = {"JPEG2000": "jpeg 2000"}
    assert all(any(name.startswith(kinds.get(form, form.lower())) for name in FILES) for form in FORMATS)
