from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medprobe.fixtures.datasets import images
from medprobe.fixtures.datasets.dataset import ImageFile
from medprobe.fixtures.datasets.images import UnreadableImage, open_image
from medprobe.fixtures.datasets.lesions.alterations import Blank, Noised

RAMP = np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8) * 8


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    image = open_image(data)
    assert image.mode == "RGB"
    array = np.asarray(image)
    assert array.dtype == np.uint8
    return array


def grey(data: bytes) -> np.ndarray:
    array = pixels(data)
    assert (array == array[..., :1]).all()
    return array[..., 0]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "WEBP", "PPM", "JPEG2000"])
def test_grey_becomes_three_equal_channels(form: str) -> None:
    options: dict[str, object] = {"lossless": True} if form == "WEBP" else {}
    assert (grey(saved(Image.fromarray(RAMP), form, **options)) == RAMP).all()


def test_one_bit_and_palette() -> None:
    assert set(np.unique(grey(saved(Image.fromarray(RAMP > 99))))) == {0, 255}
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:2] = (200, 30, 40)
    palette = Image.fromarray(colours).quantize(4)
    assert palette.mode == "P"
    assert (pixels(saved(palette)) == colours).all()
    assert (pixels(saved(palette, "GIF")) == colours).all()


def test_transparent_parts_become_black() -> None:
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:8] = 0
    alpha[8] = 128
    colour = np.stack([np.full_like(alpha, 240)] * 3 + [alpha], -1)
    for mode in ("RGBA", "LA"):
        result = grey(saved(Image.fromarray(colour).convert(mode)))
        assert (result[:8] == 0).all()
        assert (abs(result[8].astype(int) - 120) <= 1).all()
        assert (result[9:] == 240).all()


def test_a_transparent_palette_entry_becomes_black() -> None:
    image = Image.fromarray(np.repeat(np.array([[0, 1]], np.uint8), 2, 0), "P")
    image.putpalette([200, 200, 200, 90, 90, 90])
    assert grey(saved(image, transparency=0)).tolist() == [[0, 90], [0, 90]]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_windowed(form: str) -> None:
    deep = (np.linspace(900, 3100, 4096).reshape(64, 64)).astype(np.uint16)
    deep[0, :3] = 65535
    result = grey(saved(Image.fromarray(deep), form))
    assert result.min() == 0
    assert result[-1].max() == 255
    assert (np.diff(result.ravel()[3:].astype(int)) >= 0).all()
    assert len(np.unique(result)) > 250


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_deeper_tiff_is_windowed(dtype: type) -> None:
    deep = np.linspace(-1000, 3000, 4096).reshape(64, 64).astype(dtype)
    result = grey(saved(Image.fromarray(deep), "TIFF"))
    assert (result.min(), result.max()) == (0, 255)
    assert len(np.unique(result)) > 250


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_deep_tiff_with_white_as_zero_is_turned_round(dtype: type) -> None:
    deep = np.linspace(900, 3100, 4096).reshape(64, 64).astype(dtype)
    dark = grey(saved(Image.fromarray(deep), "TIFF"))
    assert (grey(saved(Image.fromarray(deep), "TIFF", tiffinfo={262: 0})) == 255 - dark).all()
    assert (grey(saved(Image.fromarray(RAMP), "TIFF")) == RAMP).all()


def flat(kind: str) -> bytes:
    pixels = np.full((64, 64), 7, np.uint8)
    if kind == "nearly":
        pixels = np.random.default_rng(0).integers(100, 103, (64, 64), dtype=np.uint8)
    if kind == "a marker":
        pixels[2:6, 2:6] = 255
    if kind == "deep":
        return saved(Image.fromarray(np.full((64, 64), 700, np.uint16)))
    return saved(Image.fromarray(pixels))


@pytest.mark.parametrize("kind", ["one level", "nearly", "a marker", "deep"])
def test_a_flat_picture_of_a_data_set_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "flat.png"
    path.write_bytes(flat(kind))
    image = ImageFile("0123456789abcdef", path, None, 0, 0)
    with pytest.raises(UnreadableImage, match=r"^image 0123456789ab: it is flat: "):
        open_image(image)
    with pytest.raises(UnreadableImage, match="it is flat"):
        open_image(image.altered(Noised()))
    assert open_image(path.read_bytes()).size == (64, 64)


def test_a_faint_picture_and_the_blank_control_are_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "faint.png"
    path.write_bytes(saved(Image.fromarray(RAMP // 24 + 100)))
    image = ImageFile("id", path, None, 0, 0)
    assert open_image(image).size == (16, 16)
    assert np.unique(np.asarray(open_image(image.altered(Blank(20, 10))))).tolist() == [128]


@given(st.integers(0, 255), st.integers(0, 255))
def test_two_halves_are_flat_within_eight_levels(one: int, other: int) -> None:
    picture = Image.fromarray(np.repeat(np.array([[one, other]], np.uint8), 32, axis=1)).convert("RGB")
    if abs(one - other) < images.FLAT:
        with pytest.raises(UnreadableImage, match="it is flat"):
            images.refuse_flat(picture)
    else:
        images.refuse_flat(picture)


def test_flat_deep_images_are_black_and_sparse_ones_are_not() -> None:
    assert (grey(saved(Image.fromarray(np.full((8, 8), 700, np.uint16)))) == 0).all()
    sparse = np.zeros((64, 64), np.uint16)
    sparse[3, 3] = 4000
    assert grey(saved(Image.fromarray(sparse)))[3, 3] == 255


def test_not_a_number_is_left_out_of_the_window() -> None:
    deep = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    deep[0, 0], deep[15, 15] = np.nan, np.inf
    result = grey(saved(Image.fromarray(deep), "TIFF"))
    assert (result[0, 0], result[15, 15]) == (0, 255)
    with pytest.raises(UnreadableImage, match="no finite value"):
        open_image(saved(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"))


def test_cmyk() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for form in ("JPEG", "TIFF"):
        red = pixels(saved(image, form))[8, 8].astype(int)
        assert red[0] > 240
        assert red[1:].max() < 20


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 250
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (grey(saved(Image.fromarray(np.ascontiguousarray(turned)), exif=exif)) == upright).all()


def test_several_frames_are_refused_and_one_is_not() -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP.T // 2)]
    for form in ("GIF", "TIFF", "PNG", "WEBP"):
        with pytest.raises(UnreadableImage, match="holds 2 frames"):
            open_image(saved(frames[0], form, save_all=True, append_images=frames[1:]))
        open_image(saved(frames[0], form))


def test_a_phones_picture_with_a_preview_is_its_first_frame() -> None:
    picture = Image.new("RGB", (16, 16), (200, 200, 200))
    data = saved(picture, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16))])
    assert pixels(data).min() > 190


@pytest.mark.filterwarnings("ignore")
def test_bombs_are_refused_by_their_header() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for side in (10_000, 60_000):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
        with pytest.raises(UnreadableImage, match="pixels"):
            open_image(data)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x00" * 200, b"PK\x03\x04"]
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        open_image(data)


@pytest.mark.filterwarnings("ignore")
@given(st.data())
def test_damage_is_refused_or_survived_but_nothing_else(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"]))
    whole = bytearray(saved(Image.fromarray(RAMP), form))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)):
        whole[place] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(UnreadableImage):
        assert open_image(damaged).mode == "RGB"


def test_half_a_file_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for form in ("PNG", "JPEG"):
        data = saved(Image.fromarray(noise), form)
        with pytest.raises(UnreadableImage, match="cannot be decoded"):
            open_image(data[: len(data) // 2])


def test_the_message_names_the_image_and_not_its_file(tmp_path: Path) -> None:
    path = tmp_path / "broken [1].png"
    image = ImageFile("id", path, None, 0, 0)
    with pytest.raises(UnreadableImage, match=r"^image id: the file cannot be read \(No such file or directory\)\.$"):
        open_image(image)
    path.write_bytes(b"junk")
    with pytest.raises(UnreadableImage, match=r"^image id: it is not an image"):
        open_image(image)
    path.write_bytes(saved(Image.fromarray(RAMP)))
    assert open_image(image).size == (16, 16)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_windowing_keeps_the_order(values: list[float]) -> None:
    shown = images.window(np.array(values)[None])[0]
    order = np.argsort(values, kind="stable")
    assert (np.diff(shown[order].astype(int)) >= 0).all()
    if max(values) - min(values) > 1e-3:
        assert (shown.min(), shown.max()) == (0, 255)
